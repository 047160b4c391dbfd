"""Page of one agent: its traffic, silent periods, hosts and clock skew."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.errors import NotFound
from app.domain.principal import CLI_PRINCIPAL, Role
from app.domain.traffic import (
    MINUTE,
    SILENT_AFTER,
    TrafficBucket,
    aggregate_traffic,
    find_silent_periods,
    format_duration,
    is_skewed,
)
from app.store import api_keys, quarantine, traffic
from app.store.database import Session
from app.store.traffic import MatchTiming, TrafficCounts
from app.web import urls
from app.web.access import Analyst
from app.web.components import Chip, Tab
from app.web.key_states import (
    KeyState,
    KeyStatus,
    clock_skew_chip,
    estimate_clock_skew,
    floor_to_minute,
    key_state,
)
from app.web.number_format import format_bytes, format_capped_count, format_rate
from app.web.page_response import render_page
from app.web.pages.agents.context import AgentPage, ChartRow, SilenceRow, Stat
from app.web.pages.agents.routes import AGENTS_PATH
from app.web.quarantine_rows import QUARANTINE_PATH
from app.web.services import ServicesDep
from app.web.urls import RowId

router = APIRouter()

HOSTS_LIMIT = 20
SILENCES_LIMIT = 10
# The page determines the clock skew and the hosts from a sample of about SAMPLE_LIMIT matches. The sample
# comes from the newest SAMPLE_MINUTES minutes in which the agent sent a match. The page ignores minutes that
# are older than SAMPLE_PERIOD.
SAMPLE_LIMIT = 1_000
SAMPLE_MINUTES = 60
SAMPLE_PERIOD = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class TimeRange:
    label: str
    description: str
    bucket_minutes: int
    bucket_count: int


TIME_RANGES = {
    "hour": TimeRange("Last hour", "the last hour", 1, 60),
    "day": TimeRange("Last day", "the last 24 hours", 15, 96),
    "week": TimeRange("Last week", "the last 7 days", 120, 84),
}
DEFAULT_RANGE = "hour"


@router.get(AGENTS_PATH + "/{key_id}")
def show(request: Request, key_id: RowId, principal: Analyst, services: ServicesDep) -> Response:
    range_name = request.query_params.get("over", "")
    if range_name not in TIME_RANGES:
        range_name = DEFAULT_RANGE
    time_range = TIME_RANGES[range_name]
    now = services.clock()
    end = floor_to_minute(now)
    since = end - time_range.bucket_count * time_range.bucket_minutes * MINUTE
    with services.database.read() as session:
        key = api_keys.get(session, key_id)
        if key is None:
            raise NotFound(f"There is no key {key_id}.")
        quarantined_count = quarantine.count(session, key_id)
        last_seen_at = traffic.last_seen_by_key(session, key_id).get(key_id)
        sent = traffic.totals_by_key(session, [key_id], since=since).get(key_id)
        minutes = traffic.minutes_by_key(session, [key_id], since=since).get(key_id, [])
        has_earlier_traffic = traffic.has_traffic_before(session, key_id, since)
        samples = _samples(session, key_id, now)
    state = key_state(key, last_seen_at, quarantined_count, now)
    silent_periods = find_silent_periods(
        [minute.start for minute in minutes], since=since if has_earlier_traffic else None, now=now
    )
    hosts = sorted({sample.host for sample in samples if sample.host})
    skew = estimate_clock_skew(samples)
    skew_chip = clock_skew_chip(skew)
    sums = sent.counts if sent else TrafficCounts()
    can_revoke = principal.has_role(Role.ADMIN) and key.revoked_at is None
    context = AgentPage(
        state=state,
        awaits_first_event=state.status is KeyStatus.NEVER_SEEN,
        state_summary=_state_summary(state, now),
        chips=(Chip(state.label, state.tone), *((skew_chip,) if skew_chip else ())),
        created_by=_actor_phrase(key.created_by),
        revoked_by=_actor_phrase(key.revoked_by),
        revoke_action=f"{AGENTS_PATH}/keys/{key_id}/revoke" if can_revoke else None,
        tabs=tuple(
            Tab(option.label, urls.href(f"{AGENTS_PATH}/{key_id}", over=name), name == range_name)
            for name, option in TIME_RANGES.items()
        ),
        range_description=time_range.description,
        stats=(
            Stat("events", f"{sums.received:,}"),
            Stat("data", format_bytes(sums.bytes)),
            Stat("matches", f"{sums.matched:,}"),
            Stat("suppressed matches", f"{sums.suppressed:,}"),
            Stat("duplicate matches", f"{sums.duplicates:,}"),
            Stat("rejected events", f"{sums.rejected:,}"),
        ),
        chart_rows=tuple(
            _chart_row(bucket)
            for bucket in aggregate_traffic(
                minutes,
                end=end,
                bucket_minutes=time_range.bucket_minutes,
                count=time_range.bucket_count,
            )
        ),
        only_current_minute=bool(sums.received) and all(minute.start >= end for minute in minutes),
        step_duration=format_duration(time_range.bucket_minutes * MINUTE),
        as_of=now,
        clock_status=_clock_status(skew),
        sample_count=len(samples),
        hosts=tuple(hosts[:HOSTS_LIMIT]),
        more_hosts=max(0, len(hosts) - HOSTS_LIMIT),
        silences=tuple(
            SilenceRow(period.start, period.end, format_duration(period.duration(now)))
            for period in silent_periods[:SILENCES_LIMIT]
        ),
        more_silences=max(0, len(silent_periods) - SILENCES_LIMIT),
        silence_threshold=format_duration(SILENT_AFTER),
        quarantined_count=format_capped_count(quarantined_count, quarantine.COUNT_LIMIT),
        quarantine_href=urls.href(QUARANTINE_PATH, key=key_id),
    )
    return render_page(request, principal, "pages/agent.html", context, title=f"Agent {key.name}")


def _samples(session: Session, key_id: int, now: datetime) -> list[MatchTiming]:
    newest = traffic.minutes_with_matches(
        session, key_id, since=now - SAMPLE_PERIOD, limit=SAMPLE_MINUTES
    )
    return traffic.match_timings(session, key_id, newest, limit=SAMPLE_LIMIT)


def _actor_phrase(actor: str | None) -> str:
    if actor == CLI_PRINCIPAL.name:
        return "from the command line"
    return f"by {actor}" if actor else ""


def _state_summary(state: KeyState, now: datetime) -> str:
    match state.status:
        case KeyStatus.REVOKED:
            return "Requests with this key are refused."
        case KeyStatus.API_CLIENT:
            return "This key is for API clients, not for an agent."
        case KeyStatus.NEVER_SEEN:
            return "No event has been received with this key."
    if state.is_silent and state.last_seen_at is not None:
        return f"No event for {format_duration(now - state.last_seen_at)}."
    return "This agent is sending events."


def _clock_status(skew: timedelta | None) -> str:
    if skew is None:
        return "Unknown: no match in the last 7 days has a timestamp."
    if not is_skewed(skew):
        return "Correct: the timestamps of the matches agree with the time of receipt."
    if skew > timedelta():
        direction, cause = "later", "The clock of the agent is fast."
    else:
        direction, cause = "earlier", "The clock of the agent is slow, or the events were delayed."
    return (
        f"The timestamps of the matches are {format_duration(skew)} {direction} than the time of receipt. "
        f"{cause}"
    )


def _chart_row(bucket: TrafficBucket) -> ChartRow:
    return ChartRow(
        at=bucket.start,
        epoch=int(bucket.start.timestamp()),
        event_rate=format_rate(bucket.received_per_minute),
        event_rate_value=round(bucket.received_per_minute, 3),
        byte_rate=format_bytes(bucket.bytes_per_minute),
        byte_rate_value=round(bucket.bytes_per_minute),
        matched=bucket.matched,
        duplicates=bucket.duplicates,
        rejected=bucket.rejected,
    )
