"""Switching a rule from a page or through the API: durable first, then obeyed, then answered."""

import logging

from app.actions import rules as actions
from app.detection.rule import Rule
from app.domain.errors import Unavailable
from app.domain.principal import Principal
from app.web.services import Services

log = logging.getLogger(__name__)


def set_rule_enabled(
    services: Services, rule: Rule, *, enabled: bool, version: int | None, principal: Principal
) -> bool:
    """Whether it changed anything; the next event that this process reads is decided accordingly.

    Raises what `actions.rules.switch` raises.
    """
    changed = actions.set_rule_enabled(
        services.database,
        rule,
        enabled=enabled,
        version=version,
        principal=principal,
        at=services.clock(),
    )
    try:
        services.current_detector.refresh()
    except Unavailable as error:
        # It is done and stays done; the look every half second makes up for this one.
        log.warning("a rule was switched, but what is switched cannot be read yet: %s", error)
    return changed
