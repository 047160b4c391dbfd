"""What the form of an exclusion knows of where it comes from: an alert and its event, or earlier versions."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.actions import exclusions as actions
from app.domain.errors import Invalid, NotFound
from app.domain.event import Event
from app.domain.exclusion import (
    FIELDS,
    LABEL_PREFIX,
    Exclusion,
    Operator,
    checked_conditions,
    field_named,
    fits_condition,
)
from app.store import alerts, exclusions, matches
from app.store.exclusions import Whole
from app.store.tables import Alert, ExclusionVersion
from app.web.pages.alert_event import event_of
from app.web.pages.exclusion_form_context import Suggestion
from app.web.pages.exclusion_typed import Row, Typed, day_of
from app.web.services import Services


@dataclass(frozen=True, slots=True)
class Origin:
    """What the form is about: the alert it comes from with its event, or the exclusion it edits."""

    alert: Alert | None = None
    event: Event | None = None
    whole: Whole | None = None


def origin_of(services: Services, alert_id: int | None, exclusion_id: int | None) -> Origin:
    """Raises NotFound when the alert or the exclusion is not there."""
    with services.database.read() as session:
        whole = exclusions.get(session, exclusion_id) if exclusion_id is not None else None
        if exclusion_id is not None and whole is None:
            raise NotFound(f"There is no exclusion {exclusion_id}.")
        if whole is not None:
            alert_id = whole.record.from_alert_id
        alert = alerts.get(session, alert_id) if alert_id is not None else None
        if alert_id is not None and alert is None:
            raise NotFound(f"There is no alert {alert_id}.")
        shown = matches.shown(session, alert) if alert else None
    return Origin(alert, event_of(shown) if shown else None, whole)


def _known_values(event: Event, name: str) -> list[tuple[str, str]]:
    """(field, value) of `name` in the event; `container.labels.*` stands for each of its labels.

    Only what a condition can hold: a value of a megabyte could not be saved.
    """
    if name == LABEL_PREFIX + "*":
        labels = sorted(event.labels.items())
        return [(LABEL_PREFIX + key, value) for key, value in labels if fits_condition(value)]
    field = field_named(name)
    known = field.read(event) if field else ()
    found = next((value for value in known if value and fits_condition(value)), None)
    return [(name, found)] if found else []


def first_rows(origin: Origin, wanted: Sequence[str]) -> tuple[Row, ...]:
    """What a new form starts with: `wanted` fields as far as the event has them, else one empty row."""
    if origin.event is None:
        return (Row("container.image.name", str(Operator.IS), ""),)
    found = [pair for name in wanted for pair in _known_values(origin.event, name)[:1]]
    return tuple(Row(name, str(Operator.IS), value) for name, value in found)


def suggestions(event: Event | None, typed: Typed) -> tuple[Suggestion, ...]:
    """The event's values that no condition names yet."""
    if event is None:
        return ()
    used = {row.field for row in typed.rows}
    offered = []
    for name in (*FIELDS, LABEL_PREFIX + "*"):
        for field, value in _known_values(event, name):
            known = field_named(field)
            if field in used or field == "process.args" or known is None:
                continue
            offered.append(
                Suggestion(
                    field=field,
                    label=known.label,
                    shown=value[:200],
                    value=json.dumps([field, value]),
                    caution=known.caution,
                )
            )
    return tuple(offered[:30])


def covers(origin: Origin, typed: Typed) -> bool | None:
    """Whether these conditions hold for the alert's own event; None when that cannot be said."""
    if origin.event is None or origin.alert is None:
        return None
    try:
        conditions = checked_conditions([row.as_draft() for row in typed.rows])
    except Invalid:
        return None
    tried = Exclusion(0, 0, origin.alert.rule_id, conditions, datetime.max.replace(tzinfo=UTC))
    return tried.covers(
        origin.event, rule_id=origin.alert.rule_id, at=datetime.min.replace(tzinfo=UTC)
    )


def changes(whole: Whole, base_version: int | None) -> tuple[tuple[str, str], ...]:
    """What is different now from the version that the person began with: (what, now)."""
    base = next((v for v in whole.versions if v.version == base_version), None)
    now = whole.newest
    told: list[tuple[str, Callable[[ExclusionVersion], str]]] = [
        ("Conditions", lambda v: actions.in_words(exclusions.conditions_of(v))),
        ("Reason", lambda v: v.reason),
        ("Owner", lambda v: v.owner),
        ("Ends", lambda v: day_of(v.ends_at)),
    ]
    return tuple(
        (what, read(now)) for what, read in told if base is None or read(base) != read(now)
    )
