"""Preview of an exclusion: the stored matches that it would have suppressed. Nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.domain.alert import Verdict
from app.domain.event import Event, event_from_ecs
from app.domain.exclusion import Condition, Exclusion
from app.formats import parse_event
from app.store import alerts, matches
from app.store.database import Database

PREVIEW_WINDOW = timedelta(days=30)
# Maximum number of matches that a preview examines. Examining 5,000 matches takes about 0.5 s.
MAX_EXAMINED_MATCHES = 5_000
MAX_SAMPLES = 10


@dataclass(slots=True)
class ExclusionPreview:
    """The effect that an exclusion would have had on stored matches.

    The preview examines the matches that were received during the last PREVIEW_WINDOW. `examined` is the
    number of examined matches. `hidden` is the number of covered matches: examined matches that the exclusion
    would have suppressed. `complete` is false if there were more than MAX_EXAMINED_MATCHES matches.

    The remaining attributes describe the covered matches:
    - `alerts`: ids of the alerts that contain a covered match
    - `true_positives`: ids of the alerts in `alerts` that were closed as true positives
    - `distinct`: sets of values from the covered matches, such as the set of host names under "hosts"
    - `samples`: ids of the newest covered matches
    """

    examined: int = 0
    hidden: int = 0
    complete: bool = True
    alerts: set[int] = field(default_factory=set)
    true_positives: set[int] = field(default_factory=set)
    distinct: dict[str, set[str]] = field(default_factory=dict)
    samples: list[int] = field(default_factory=list)


def build_preview(
    database: Database, rule_id: str, conditions: Sequence[Condition], *, at: datetime
) -> ExclusionPreview:
    """Return the effect of an exclusion with `conditions` on the stored matches of the rule `rule_id`."""
    exclusion = Exclusion(0, 0, rule_id, tuple(conditions), datetime.max.replace(tzinfo=UTC))
    result = ExclusionPreview()
    with database.read() as session:
        newest_matches = matches.list_by_rule(
            session, rule_id, since=at - PREVIEW_WINDOW, limit=MAX_EXAMINED_MATCHES + 1
        )
        result.complete = len(newest_matches) <= MAX_EXAMINED_MATCHES
        for match in newest_matches[:MAX_EXAMINED_MATCHES]:
            result.examined += 1
            event = event_from_ecs(parse_event(match.event))
            if not exclusion.covers(event, rule_id=rule_id, at=at):
                continue
            result.hidden += 1
            _add_distinct_values(result, event)
            if match.alert_id is not None:
                result.alerts.add(match.alert_id)
            if len(result.samples) < MAX_SAMPLES:
                result.samples.append(match.id or 0)
        result.true_positives = alerts.ids_with_verdict(
            session, result.alerts, Verdict.TRUE_POSITIVE
        )
    return result


def _add_distinct_values(result: ExclusionPreview, event: Event) -> None:
    values = {
        "images": event.image,
        "containers": event.container_id or event.container_name,
        "hosts": event.host_name,
        "users": event.user_name or event.user_id,
        "destinations": event.ssh.destination if event.ssh else None,
    }
    for name, value in values.items():
        distinct = result.distinct.setdefault(name, set())
        if value is not None:
            distinct.add(value)
