"""One agent: how much it sends, when it was silent, whose hosts it speaks for, how far its clock is off."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.errors import NotFound
from app.domain.principal import Role
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
    clock_skew_chip,
    estimate_clock_skew,
    floor_to_minute,
    format_capped_count,
    key_state,
)
from app.web.page_response import render_page
from app.web.pages.agents.context import AgentPage, ChartRow, SilenceRow, Stat
from app.web.pages.agents.routes import AGENTS_PATH
from app.web.pages.quarantine.context import QUARANTINE_PATH
from app.web.services import ServicesDep
from app.web.urls import RowId

router = APIRouter()

HOSTS_LIMIT = 20
SILENCES_LIMIT = 10
# What the clock and the hosts are told from: matches of the newest minutes that brought some.
SAMPLE_LIMIT = 1_000
SAMPLE_MINUTES = 60
SAMPLE_PERIOD = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class TimeRange:
    label: str
    description: str
    bucket_minutes: int
    step_count: int


TIME_RANGES = {
    "hour": TimeRange("Last hour", "the last hour", 1, 60),
    "day": TimeRange("Last day", "the last 24 hours", 15, 96),
    "week": TimeRange("Last week", "the last 7 days", 120, 84),
}
DEFAULT_RANGE = "hour"


@router.get(AGENTS_PATH + "/{key_id}")
def show(request: Request, key_id: RowId, principal: Analyst, services: ServicesDep) -> Response:
    asked = request.query_params.get("over", "")
    chosen = asked if asked in TIME_RANGES else DEFAULT_RANGE
    time_range = TIME_RANGES[chosen]
    now = services.clock()
    end = floor_to_minute(now)
    since = end - time_range.step_count * time_range.bucket_minutes * MINUTE
    with services.database.read() as session:
        key = api_keys.get(session, key_id)
        if key is None:
            raise NotFound(f"There is no key {key_id}.")
        quarantined_count = quarantine.count(session, key_id)
        last_seen_at = traffic.last_seen_by_key(session, key_id).get(key_id)
        sent = traffic.totals_by_key(session, [key_id], since=since).get(key_id)
        minutes = traffic.minutes_by_key(session, [key_id], since=since).get(key_id, [])
        spoke_before = traffic.has_traffic_before(session, key_id, since)
        samples = _samples(session, key_id, now)
    one = key_state(key, last_seen_at, quarantined_count, now)
    quiet = find_silent_periods(
        [minute.start for minute in minutes], since=since if spoke_before else None, now=now
    )
    hosts = sorted({sample.host for sample in samples if sample.host})
    skew = estimate_clock_skew(samples)
    chip = clock_skew_chip(skew)
    sums = sent.counts if sent else TrafficCounts()
    manages = principal.has_role(Role.ADMIN) and key.revoked_at is None
    here = f"{AGENTS_PATH}/{key_id}"
    context = AgentPage(
        id=key_id,
        name=key.name,
        role=key.role,
        hint=key.hint,
        created_at=key.created_at,
        created_by=key.created_by,
        revoked_at=key.revoked_at,
        revoked_by=key.revoked_by,
        revoke_action=f"{AGENTS_PATH}/keys/{key_id}/revoke" if manages else None,
        state=one.state,
        tone=one.tone,
        state_summary=_state_summary(one, now),
        chips=(Chip(one.state, one.tone), *((chip,) if chip else ())),
        last_seen=last_seen_at,
        tabs=tuple(
            Tab(some.label, urls.href(here, over=name), name == chosen)
            for name, some in TIME_RANGES.items()
        ),
        range_description=time_range.description,
        stats=(
            Stat("events", f"{sums.received:,}"),
            Stat("received", format_bytes(sums.bytes)),
            Stat("matches", f"{sums.matched:,}"),
            Stat("of them suppressed", f"{sums.suppressed:,}"),
            Stat("duplicates", f"{sums.duplicates:,}"),
            Stat("rejected", f"{sums.rejected:,}"),
        ),
        chart_rows=tuple(
            _chart_row(step)
            for step in aggregate_traffic(
                minutes,
                end=end,
                bucket_minutes=time_range.bucket_minutes,
                count=time_range.step_count,
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
            SilenceRow(quiet_one.start, quiet_one.end, format_duration(quiet_one.duration(now)))
            for quiet_one in quiet[:SILENCES_LIMIT]
        ),
        more_silences=max(0, len(quiet) - SILENCES_LIMIT),
        silence_threshold=format_duration(SILENT_AFTER),
        quarantined_count=format_capped_count(quarantined_count),
        quarantine_href=urls.href(QUARANTINE_PATH, key=key_id),
    )
    return render_page(request, principal, "pages/agent.html", context, title=f"Agent {key.name}")


def _samples(session: Session, key_id: int, now: datetime) -> list[MatchTiming]:
    newest = traffic.minutes_with_matches(
        session, key_id, since=now - SAMPLE_PERIOD, limit=SAMPLE_MINUTES
    )
    return traffic.match_timings(session, key_id, newest, limit=SAMPLE_LIMIT)


def _state_summary(one: KeyState, now: datetime) -> str:
    """The state in a sentence."""
    if one.key.revoked_at is not None:
        return "Whatever presents this key is refused."
    if one.key.role != Role.AGENT:
        return "This key is for the API: it sends no events."
    if one.last_seen_at is None:
        return "Nothing has ever been sent with this key."
    if one.state == "silent":
        return f"It has sent events before, and none for {format_duration(now - one.last_seen_at)}."
    return "It sends events."


def _clock_status(skew: timedelta | None) -> str:
    if skew is None:
        return "Not known: no match of the last week tells its own time."
    if not is_skewed(skew):
        return "Right, as far as the events of its matches tell."
    ahead = skew > timedelta()
    after = "after" if ahead else "before"
    why = (
        "Its clock is wrong, since no event comes from the future."
        if ahead
        else "Its clock is slow, or its events waited for so long."
    )
    return (
        f"The events of its matches are dated {format_duration(skew)} {after} their receipt. {why}"
    )


def _chart_row(step: TrafficBucket) -> ChartRow:
    return ChartRow(
        at=step.start,
        epoch=int(step.start.timestamp()),
        event_rate=format_rate(step.received_per_minute),
        event_rate_value=round(step.received_per_minute, 3),
        byte_rate=format_bytes(step.bytes_per_minute),
        byte_rate_value=round(step.bytes_per_minute),
        matched=step.matched,
        duplicates=step.duplicates,
        rejected=step.rejected,
    )


def format_rate(value: float) -> str:
    """With one digit behind the point where it is small and not whole."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def format_bytes(value: float) -> str:
    """Bytes in words: 1 kB is 1,000 bytes."""
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= least:
            return f"{value / least:,.1f} {unit}"
    return f"{value:,.0f} B"
