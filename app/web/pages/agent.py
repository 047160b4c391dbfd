"""One agent: how much it sends, when it was silent, whose hosts it speaks for, how far its clock is off."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.errors import NotFound
from app.domain.roles import Role
from app.domain.traffic import (
    MINUTE,
    SILENT_AFTER,
    Step,
    silences,
    skewed,
    span,
    steps,
)
from app.store import keys, quarantine, traffic
from app.store.database import Session
from app.store.keys import Traffic
from app.store.traffic import Sample
from app.web import urls
from app.web.access import Analyst
from app.web.pages.agent_states import (
    KeyState,
    counted,
    key_state,
    skew_chip,
    skew_of,
    whole_minute,
)
from app.web.pages.agents import PATH
from app.web.pages.agents_context import AgentPage, Figure, SilenceRow, StepRow
from app.web.pages.quarantine_context import PATH as QUARANTINE
from app.web.respond import page
from app.web.services import Parts
from app.web.shell import Chip, Tab
from app.web.urls import RowId

router = APIRouter()

HOSTS_SHOWN = 20
SILENCES_SHOWN = 10
# What the clock and the hosts are told from: matches of the newest minutes that brought some.
SAMPLES = 1_000
SAMPLED_MINUTES = 60
SAMPLED_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Range:
    label: str
    over: str
    step_minutes: int
    count: int


RANGES = {
    "hour": Range("Last hour", "the last hour", 1, 60),
    "day": Range("Last day", "the last 24 hours", 15, 96),
    "week": Range("Last week", "the last 7 days", 120, 84),
}
DEFAULT = "hour"


@router.get(PATH + "/{key_id}")
def show(request: Request, key_id: RowId, who: Analyst, services: Parts) -> Response:
    asked = request.query_params.get("over", "")
    chosen = asked if asked in RANGES else DEFAULT
    over = RANGES[chosen]
    now = services.clock()
    end = whole_minute(now)
    since = end - over.count * over.step_minutes * MINUTE
    with services.database.read() as session:
        key = keys.by_id(session, key_id)
        if key is None:
            raise NotFound(f"There is no key {key_id}.")
        kept = quarantine.total(session, key_id)
        seen_at = traffic.last_seen(session, key_id).get(key_id)
        sent = traffic.sums(session, [key_id], since=since).get(key_id)
        minutes = traffic.minutes(session, [key_id], since=since).get(key_id, [])
        spoke_before = traffic.spoke_before(session, key_id, since)
        samples = _samples(session, key_id, now)
    one = key_state(key, seen_at, kept, now)
    quiet = silences(
        [minute.at for minute in minutes], since=since if spoke_before else None, now=now
    )
    hosts = sorted({sample.host for sample in samples if sample.host})
    skew = skew_of(samples)
    chip = skew_chip(skew)
    sums = sent.traffic if sent else Traffic()
    manages = who.may(Role.ADMIN) and key.revoked_at is None
    here = f"{PATH}/{key_id}"
    context = AgentPage(
        id=key_id,
        name=key.name,
        role=key.role,
        hint=key.hint,
        created_at=key.created_at,
        created_by=key.created_by,
        revoked_at=key.revoked_at,
        revoked_by=key.revoked_by,
        revoke_action=f"{PATH}/keys/{key_id}/revoke" if manages else None,
        state=one.state,
        tone=one.tone,
        said=_said(one, now),
        chips=(Chip(one.state, one.tone), *((chip,) if chip else ())),
        last_seen=seen_at,
        tabs=tuple(
            Tab(some.label, urls.href(here, over=name), name == chosen)
            for name, some in RANGES.items()
        ),
        over=over.over,
        figures=(
            Figure("events", f"{sums.received:,}"),
            Figure("received", size(sums.bytes)),
            Figure("matches", f"{sums.matched:,}"),
            Figure("of them suppressed", f"{sums.suppressed:,}"),
            Figure("duplicates", f"{sums.duplicates:,}"),
            Figure("rejected", f"{sums.rejected:,}"),
        ),
        steps=tuple(
            _step_row(step)
            for step in steps(minutes, end=end, step_minutes=over.step_minutes, count=over.count)
        ),
        not_drawn_yet=bool(sums.received) and all(minute.at >= end for minute in minutes),
        step_words=span(over.step_minutes * MINUTE),
        as_of=now,
        clock=_clock(skew),
        samples=len(samples),
        hosts=tuple(hosts[:HOSTS_SHOWN]),
        more_hosts=max(0, len(hosts) - HOSTS_SHOWN),
        silences=tuple(
            SilenceRow(quiet_one.start, quiet_one.end, span(quiet_one.length(now)))
            for quiet_one in quiet[:SILENCES_SHOWN]
        ),
        more_silences=max(0, len(quiet) - SILENCES_SHOWN),
        silent_after=span(SILENT_AFTER),
        kept=counted(kept),
        quarantine_href=urls.href(QUARANTINE, key=key_id),
    )
    return page(request, who, "pages/agent.html", context, title=f"Agent {key.name}")


def _samples(session: Session, key_id: int, now: datetime) -> list[Sample]:
    newest = traffic.matching_minutes(
        session, key_id, since=now - SAMPLED_FOR, limit=SAMPLED_MINUTES
    )
    return traffic.samples(session, key_id, newest, limit=SAMPLES)


def _said(one: KeyState, now: datetime) -> str:
    """The state in a sentence."""
    if one.key.revoked_at is not None:
        return "Whatever presents this key is refused."
    if one.key.role != Role.AGENT:
        return "This key is for the API: it sends no events."
    if one.seen_at is None:
        return "Nothing has ever been sent with this key."
    if one.state == "silent":
        return f"It has sent events before, and none for {span(now - one.seen_at)}."
    return "It sends events."


def _clock(skew: timedelta | None) -> str:
    if skew is None:
        return "Not known: no match of the last week tells its own time."
    if not skewed(skew):
        return "Right, as far as the events of its matches tell."
    ahead = skew > timedelta()
    after = "after" if ahead else "before"
    why = (
        "Its clock is wrong, since no event comes from the future."
        if ahead
        else "Its clock is slow, or its events waited for so long."
    )
    return f"The events of its matches are dated {span(skew)} {after} their receipt. {why}"


def _step_row(step: Step) -> StepRow:
    return StepRow(
        at=step.at,
        epoch=int(step.at.timestamp()),
        events=rate(step.received_a_minute),
        events_value=round(step.received_a_minute, 3),
        bytes=size(step.bytes_a_minute),
        bytes_value=round(step.bytes_a_minute),
        matched=step.matched,
        duplicates=step.duplicates,
        rejected=step.rejected,
    )


def rate(value: float) -> str:
    """With one digit behind the point where it is small and not whole."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def size(value: float) -> str:
    """Bytes in words: 1 kB is 1,000 bytes."""
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= least:
            return f"{value / least:,.1f} {unit}"
    return f"{value:,.0f} B"
