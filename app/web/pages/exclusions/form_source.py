"""The data with which the exclusion form is filled in: an alert, its event, and earlier versions."""

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
from app.web.pages.exclusions.forms import (
    BLANK_CONDITION,
    ConditionInput,
    FormInput,
    format_last_day,
)
from app.web.services import Services
from app.web.stored_event import parse_match_event

SUGGESTIONS_LIMIT = 30
DISPLAY_VALUE_LENGTH_LIMIT = 200


@dataclass(frozen=True, slots=True)
class FormSource:
    """The objects with which the exclusion form is filled in.

    `alert` is the alert from which the exclusion is created, and `event` is the event of this alert.
    `history` is the exclusion that the user edits, or None for a new exclusion.
    """

    alert: Alert | None = None
    event: Event | None = None
    history: ExclusionHistory | None = None


def load_form_source(
    services: Services, alert_id: int | None, exclusion_id: int | None
) -> FormSource:
    """Load the objects with which the exclusion form is filled in.

    For a new exclusion, `exclusion_id` is None, and the function loads the alert `alert_id`. Otherwise, the
    function loads the exclusion, and the alert from which the exclusion was created. Raises NotFound if the
    alert or the exclusion does not exist.
    """
    with services.database.read() as session:
        history = exclusions.get(session, exclusion_id) if exclusion_id is not None else None
        if exclusion_id is not None and history is None:
            raise NotFound(f"There is no exclusion {exclusion_id}.")
        if history is not None:
            alert_id = history.record.from_alert_id
        alert = alerts.get(session, alert_id) if alert_id is not None else None
        if alert_id is not None and alert is None:
            raise NotFound(f"There is no alert {alert_id}.")
        match = matches.displayed_match(session, alert) if alert else None
    return FormSource(alert, parse_match_event(match) if match else None, history)


def _event_values(event: Event, name: str) -> list[tuple[str, str]]:
    """Return values of the event for the field `name`, as a list of (field, value) pairs.

    The list omits values that are invalid in a condition, such as very long values. For most names, the list
    contains at most one pair, with the first valid value. For the name `container.labels.*`, the list
    contains one pair for each label, such as ("container.labels.app", "web").
    """
    if name == LABEL_PREFIX + "*":
        labels = sorted(event.labels.items())
        return [(LABEL_PREFIX + key, value) for key, value in labels if is_valid_value(value)]
    field = find_field(name)
    values = field.extract(event) if field else ()
    return [(name, value) for value in values if value and is_valid_value(value)][:1]


def initial_conditions(source: FormSource, fields: Sequence[str]) -> tuple[ConditionInput, ...]:
    """Return a condition for each of `fields` that the event has.

    If there is no event, return one blank condition.
    """
    if source.event is None:
        return (BLANK_CONDITION,)
    values = [pair for name in fields for pair in _event_values(source.event, name)[:1]]
    return tuple(ConditionInput(name, str(Operator.IS), value) for name, value in values)


def suggestions(event: Event | None, form_input: FormInput) -> tuple[Suggestion, ...]:
    """Return suggestions. Each suggestion is a value of the event that the user can add as a condition.

    If the form already has a condition on a field, the function returns no suggestion for this field.
    """
    if event is None:
        return ()
    used = {row.field for row in form_input.rows}
    offered = []
    for name in (*FIELDS, LABEL_PREFIX + "*"):
        for field_name, value in _event_values(event, name):
            field = find_field(field_name)
            if field_name in used or field_name == "process.args" or field is None:
                continue
            offered.append(
                Suggestion(
                    label=field.label,
                    display_value=value[:DISPLAY_VALUE_LENGTH_LIMIT],
                    value=json.dumps([field_name, value]),
                    caution=field.warning,
                )
            )
    return tuple(offered[:SUGGESTIONS_LIMIT])


def covers_alert_event(source: FormSource, form_input: FormInput) -> bool | None:
    """Return whether the conditions in the form cover the event of the alert.

    Return None if there is no event or a condition is invalid.
    """
    if source.event is None or source.alert is None:
        return None
    try:
        conditions = validate_conditions([row.as_draft() for row in form_input.rows])
    except InvalidInput:
        return None
    rule_id = source.alert.rule_id
    exclusion = Exclusion(0, 0, rule_id, conditions, datetime.max.replace(tzinfo=UTC))
    return exclusion.covers(source.event, rule_id=rule_id, at=datetime.min.replace(tzinfo=UTC))


def changes_since(
    history: ExclusionHistory, base_version: int | None
) -> tuple[tuple[str, str], ...]:
    """Return (label, current value) of each field that changed since the version `base_version`."""
    base = next((v for v in history.versions if v.version == base_version), None)
    fields: list[tuple[str, Callable[[ExclusionVersion], str]]] = [
        ("Conditions", lambda v: actions.describe_conditions(exclusions.conditions_of(v))),
        ("Reason", lambda v: v.reason),
        ("Owner", lambda v: v.owner),
        ("Ends", lambda v: format_last_day(v.ends_at)),
    ]
    return tuple(
        (label, read(history.newest))
        for label, read in fields
        if base is None or read(base) != read(history.newest)
    )
