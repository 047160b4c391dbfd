"""Input of a user for an exclusion, before and after validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.errors import InvalidInput
from app.domain.exclusion import Condition, validate_conditions, validate_end
from app.domain.text import text_error

REASON_MAX_LENGTH = 2_000
OWNER_MAX_LENGTH = 100


@dataclass(frozen=True, slots=True)
class ExclusionDraft:
    """Unvalidated input of a user for an exclusion. Each condition is (field, operator, values)."""

    rule_id: str
    conditions: Sequence[tuple[str, str, Sequence[str]]]
    reason: str
    owner: str
    ends_at: datetime | None
    from_alert_id: int | None = None


@dataclass(frozen=True, slots=True)
class ValidExclusion:
    """The content of an ExclusionDraft after validation."""

    rule_id: str
    conditions: tuple[Condition, ...]
    reason: str
    owner: str
    ends_at: datetime
    from_alert_id: int | None


def validate(
    draft: ExclusionDraft, *, at: datetime, longest: timedelta, rule_ids: Sequence[str]
) -> ValidExclusion:
    """Validate a draft; raises InvalidInput with the errors of all fields at once.

    `longest` is the maximum duration of an exclusion. `rule_ids` are the ids of the rules that the user can
    choose.
    """
    problems: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()
    ends_at = at
    if draft.rule_id not in rule_ids:
        problems["rule"] = "Choose a rule."
    try:
        conditions = validate_conditions(draft.conditions)
    except InvalidInput as invalid:
        problems |= invalid.fields
    reason, owner = draft.reason.strip(), draft.owner.strip()
    reason_hint = "Enter why these matches are harmless."
    if error := text_error(reason, REASON_MAX_LENGTH, if_empty=reason_hint):
        problems["reason"] = error
    owner_hint = "Enter the user or team responsible for this exclusion."
    if error := text_error(owner, OWNER_MAX_LENGTH, if_empty=owner_hint):
        problems["owner"] = error
    try:
        ends_at = validate_end(draft.ends_at, now=at, max_duration=longest)
    except InvalidInput as invalid:
        problems |= invalid.fields
    if problems:
        raise InvalidInput(problems)
    return ValidExclusion(draft.rule_id, conditions, reason, owner, ends_at, draft.from_alert_id)
