"""What the form of an exclusion knows of where it comes from: an alert and its event, or earlier versions."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.actions import exclusions as actions
from app.domain.errors import InvalidInput, NotFound
from app.domain.event import Event
from app.domain.exclusion import (
    FIELDS,
    LABEL_PREFIX,
    Exclusion,
    Operator,
    find_field,
    is_valid_value,
    validate_conditions,
)
from app.store import alerts, exclusions, matches
from app.store.exclusions import ExclusionHistory
from app.store.tables import Alert, ExclusionVersion
from app.web.pages.exclusions.form_context import Suggestion
from app.web.pages.exclusions.forms import ConditionInput, FormInput, format_last_day
from app.web.services import Services
from app.web.stored_event import parse_match_event


@dataclass(frozen=True, slots=True)
class FormSource:
    """What the form is about: the alert it comes from with its event, or the exclusion it edits."""

    alert: Alert | None = None
    event: Event | None = None
    history: ExclusionHistory | None = None


def load_form_source(
    services: Services, alert_id: int | None, exclusion_id: int | None
) -> FormSource:
    """Raises NotFound when the alert or the exclusion is not there."""
    with services.database.read() as session:
        history = exclusions.get(session, exclusion_id) if exclusion_id is not None else None
        if exclusion_id is not None and history is None:
            raise NotFound(f"There is no exclusion {exclusion_id}.")
        if history is not None:
            alert_id = history.record.from_alert_id
        alert = alerts.get(session, alert_id) if alert_id is not None else None
        if alert_id is not None and alert is None:
            raise NotFound(f"There is no alert {alert_id}.")
        shown = matches.displayed_match(session, alert) if alert else None
    return FormSource(alert, parse_match_event(shown) if shown else None, history)


def _event_values(event: Event, name: str) -> list[tuple[str, str]]:
    """(field, value) of `name` in the event; `container.labels.*` stands for each of its labels.

    Only what a condition can hold: a value of a megabyte could not be saved.
    """
    if name == LABEL_PREFIX + "*":
        labels = sorted(event.labels.items())
        return [(LABEL_PREFIX + key, value) for key, value in labels if is_valid_value(value)]
    field = find_field(name)
    known = field.extract(event) if field else ()
    found = next((value for value in known if value and is_valid_value(value)), None)
    return [(name, found)] if found else []


def initial_conditions(source: FormSource, wanted: Sequence[str]) -> tuple[ConditionInput, ...]:
    """What a new form starts with: `wanted` fields as far as the event has them, else one empty row."""
    if source.event is None:
        return (ConditionInput("container.image.name", str(Operator.IS), ""),)
    found = [pair for name in wanted for pair in _event_values(source.event, name)[:1]]
    return tuple(ConditionInput(name, str(Operator.IS), value) for name, value in found)


def suggestions(event: Event | None, form_input: FormInput) -> tuple[Suggestion, ...]:
    """The event's values that no condition names yet."""
    if event is None:
        return ()
    used = {row.field for row in form_input.rows}
    offered = []
    for name in (*FIELDS, LABEL_PREFIX + "*"):
        for field, value in _event_values(event, name):
            known = find_field(field)
            if field in used or field == "process.args" or known is None:
                continue
            offered.append(
                Suggestion(
                    field=field,
                    label=known.label,
                    display_value=value[:200],
                    value=json.dumps([field, value]),
                    caution=known.warning,
                )
            )
    return tuple(offered[:30])


def covers_alert_event(source: FormSource, form_input: FormInput) -> bool | None:
    """Whether these conditions hold for the alert's own event; None when that cannot be said."""
    if source.event is None or source.alert is None:
        return None
    try:
        conditions = validate_conditions([row.as_draft() for row in form_input.rows])
    except InvalidInput:
        return None
    tried = Exclusion(0, 0, source.alert.rule_id, conditions, datetime.max.replace(tzinfo=UTC))
    return tried.covers(
        source.event, rule_id=source.alert.rule_id, at=datetime.min.replace(tzinfo=UTC)
    )


def changes_since(
    history: ExclusionHistory, base_version: int | None
) -> tuple[tuple[str, str], ...]:
    """What is different now from the version that the person began with: (what, now)."""
    base = next((v for v in history.versions if v.version == base_version), None)
    now = history.newest
    told: list[tuple[str, Callable[[ExclusionVersion], str]]] = [
        ("Conditions", lambda v: actions.describe_conditions(exclusions.conditions_of(v))),
        ("Reason", lambda v: v.reason),
        ("Owner", lambda v: v.owner),
        ("Ends", lambda v: format_last_day(v.ends_at)),
    ]
    return tuple(
        (what, read(now)) for what, read in told if base is None or read(base) != read(now)
    )
