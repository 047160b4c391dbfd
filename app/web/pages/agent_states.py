"""How each key is: silent, never seen, in trouble, fine; what its list and its page say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.roles import Role
from app.domain.traffic import MINUTE, SILENT_AFTER, clock_skew, skewed, span
from app.store import keys, quarantine, traffic
from app.store.database import Session
from app.store.tables import Key
from app.store.traffic import Sample, Sent
from app.web.shell import Chip

# What needs a look stands first, what nobody waits for last.
_ORDER = ("alarming", "notable", "calm", "plain")


@dataclass(frozen=True, slots=True)
class KeyState:
    """`state` is fine, silent, never seen, "N in quarantine", for the API or revoked; `tone` colours it."""

    key: Key
    seen_at: datetime | None
    kept: int
    state: str
    tone: str

    @property
    def id(self) -> int:
        return self.key.id or 0

    @property
    def needs_a_look(self) -> bool:
        return self.tone in ("alarming", "notable")


def key_states(session: Session, now: datetime) -> tuple[KeyState, ...]:
    """Every key: those that need a look first, revoked ones last, each group by name."""
    seen = traffic.last_seen(session)
    kept = quarantine.counts(session)
    found = [
        key_state(key, seen.get(key.id or 0), kept.get(key.id or 0, 0), now)
        for key in keys.all_keys(session)
    ]
    return tuple(sorted(found, key=lambda one: (_ORDER.index(one.tone), bool(one.key.revoked_at))))


def key_state(key: Key, seen_at: datetime | None, kept: int, now: datetime) -> KeyState:
    state, tone = _state(key, seen_at, kept, now)
    return KeyState(key, seen_at, kept, state, tone)


def _state(key: Key, seen_at: datetime | None, kept: int, now: datetime) -> tuple[str, str]:
    if key.revoked_at is not None:
        return "revoked", "plain"
    if key.role != Role.AGENT:
        return "for the API", "plain"
    if seen_at is None:
        return "never seen", "notable"
    if now - seen_at > SILENT_AFTER:
        return "silent", "alarming"
    if kept:
        return f"{counted(kept)} in quarantine", "notable"
    return "fine", "calm"


def counted(kept: int) -> str:
    """A count of quarantine, which stops at its limit."""
    most = quarantine.COUNT_LIMIT
    return f"{most:,}+" if kept > most else f"{kept:,}"


def skew_of(samples: Sequence[Sample]) -> timedelta | None:
    return clock_skew((one.occurred_at, one.received_at) for one in samples)


def skew_chip(skew: timedelta | None) -> Chip | None:
    """Only for a clock that is further off than events are usually late."""
    if skew is None or not skewed(skew):
        return None
    if skew > timedelta():
        why = "The events' own times lie ahead of their receipt."
        return Chip(f"clock {span(skew)} ahead", "notable", why)
    why = "The events' own times lie behind their receipt: a slow clock, or events that waited."
    return Chip(f"events {span(skew)} late", "notable", why)


def newest_samples(session: Session, sent: dict[int, Sent], limit: int) -> dict[int, list[Sample]]:
    """For each key that brought a match lately, the matches of the newest minute that did."""
    return {
        key_id: traffic.samples(session, key_id, [one.matched_at], limit=limit)
        for key_id, one in sent.items()
        if one.matched_at is not None
    }


def whole_minute(now: datetime) -> datetime:
    """Where the last minute that is over ends."""
    return now.replace(second=0, microsecond=0)


def spark(rates: Sequence[int], *, width: int = 120, height: int = 22) -> str:
    """The points of an SVG polyline, one a figure, from the left; its own highest figure on top."""
    top = max([*rates, 1])
    apart = width / max(len(rates) - 1, 1)
    return " ".join(
        f"{at * apart:.1f},{1 + (height - 2) * (1 - rate / top):.1f}"
        for at, rate in enumerate(rates)
    )


def by_minute(received: dict[datetime, int], end: datetime, count: int) -> list[int]:
    """Figures of the `count` minutes up to `end`, zero where there is none."""
    return [received.get(end - at * MINUTE, 0) for at in range(count, 0, -1)]
