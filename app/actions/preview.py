"""What an exclusion would have hidden, from the matches that are stored. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.domain.alert import Verdict
from app.domain.event import Event, event_from_ecs
from app.domain.exclusion import Condition, Exclusion
from app.formats import read
from app.store import alerts, matches
from app.store.database import Database

WINDOW = timedelta(days=30)
# Newest matches looked at: about half a second of work. The answer says when there were more.
EXAMINED_LIMIT = 5_000
SAMPLES = 10


@dataclass(slots=True)
class Preview:
    """Counts over the window. `complete` is false when the limit was reached before its beginning.

    `distinct` counts different values among the matches it would have hidden; `true_positives` are the
    ids of alerts closed as such of which it would have hidden a match.
    """

    examined: int = 0
    hidden: int = 0
    complete: bool = True
    alerts: set[int] = field(default_factory=set)
    true_positives: set[int] = field(default_factory=set)
    distinct: dict[str, set[str]] = field(default_factory=dict)
    samples: list[int] = field(default_factory=list)


def preview(
    database: Database, rule_id: str, conditions: Sequence[Condition], *, at: datetime
) -> Preview:
    """Apply `conditions` to the stored matches of `rule_id`, newest first."""
    tried = Exclusion(0, 0, rule_id, tuple(conditions), datetime.max.replace(tzinfo=UTC))
    told = Preview()
    with database.read() as session:
        found = matches.of_rule(session, rule_id, since=at - WINDOW, limit=EXAMINED_LIMIT + 1)
        told.complete = len(found) <= EXAMINED_LIMIT
        for match in found[:EXAMINED_LIMIT]:
            told.examined += 1
            event = event_from_ecs(read(match.event))
            if not tried.covers(event, rule_id=rule_id, at=at):
                continue
            told.hidden += 1
            _note(told, event)
            if match.alert_id is not None:
                told.alerts.add(match.alert_id)
            if len(told.samples) < SAMPLES:
                told.samples.append(match.id or 0)
        told.true_positives = alerts.with_verdict(session, told.alerts, Verdict.TRUE_POSITIVE)
    return told


def _note(told: Preview, event: Event) -> None:
    values = {
        "images": event.image,
        "containers": event.container_id or event.container_name,
        "hosts": event.host_name,
        "users": event.user_name or event.user_id,
        "destinations": event.ssh.destination if event.ssh else None,
    }
    for name, value in values.items():
        kept = told.distinct.setdefault(name, set())
        if value is not None:
            kept.add(value)
