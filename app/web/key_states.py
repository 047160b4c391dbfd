"""How each key is: silent, never seen, in trouble, fine; what its list and its page say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.principal import Role
from app.domain.traffic import MINUTE, SILENT_AFTER, clock_skew, format_duration, is_skewed
from app.store import api_keys, quarantine, traffic
from app.store.database import Session
from app.store.tables import ApiKey
from app.store.traffic import KeyTraffic, MatchTiming
from app.web.components import Chip

# What needs a look stands first, what nobody waits for last.
_TONE_ORDER = ("danger", "warning", "success", "plain")


@dataclass(frozen=True, slots=True)
class KeyState:
    """`state` is fine, silent, never seen, "N in quarantine", for the API or revoked; `tone` colours it."""

    key: ApiKey
    last_seen_at: datetime | None
    quarantined_count: int
    state: str
    tone: str

    @property
    def id(self) -> int:
        return self.key.id or 0

    @property
    def needs_attention(self) -> bool:
        return self.tone in ("danger", "warning")


def key_states(session: Session, now: datetime) -> tuple[KeyState, ...]:
    """Every key: those that need a look first, revoked ones last, each group by name."""
    seen = traffic.last_seen_by_key(session)
    quarantined_count = quarantine.counts_by_key(session)
    found = [
        key_state(key, seen.get(key.id or 0), quarantined_count.get(key.id or 0, 0), now)
        for key in api_keys.list_all(session)
    ]
    return tuple(
        sorted(found, key=lambda one: (_TONE_ORDER.index(one.tone), bool(one.key.revoked_at)))
    )


def key_state(
    key: ApiKey, last_seen_at: datetime | None, quarantined_count: int, now: datetime
) -> KeyState:
    state, tone = _classify(key, last_seen_at, quarantined_count, now)
    return KeyState(key, last_seen_at, quarantined_count, state, tone)


def _classify(
    key: ApiKey, last_seen_at: datetime | None, quarantined_count: int, now: datetime
) -> tuple[str, str]:
    if key.revoked_at is not None:
        return "revoked", "plain"
    if key.role != Role.AGENT:
        return "for the API", "plain"
    if last_seen_at is None:
        return "never seen", "warning"
    if now - last_seen_at > SILENT_AFTER:
        return "silent", "danger"
    if quarantined_count:
        return f"{format_capped_count(quarantined_count)} in quarantine", "warning"
    return "fine", "success"


def format_capped_count(quarantined_count: int) -> str:
    """A count of quarantine, which stops at its limit."""
    most = quarantine.COUNT_LIMIT
    return f"{most:,}+" if quarantined_count > most else f"{quarantined_count:,}"


def estimate_clock_skew(samples: Sequence[MatchTiming]) -> timedelta | None:
    return clock_skew((one.occurred_at, one.received_at) for one in samples)


def clock_skew_chip(skew: timedelta | None) -> Chip | None:
    """Only for a clock that is further off than events are usually late."""
    if skew is None or not is_skewed(skew):
        return None
    if skew > timedelta():
        why = "The events' own times lie ahead of their receipt."
        return Chip(f"clock {format_duration(skew)} ahead", "warning", why)
    why = "The events' own times lie behind their receipt: a slow clock, or events that waited."
    return Chip(f"events {format_duration(skew)} late", "warning", why)


def newest_samples(
    session: Session, sent: dict[int, KeyTraffic], limit: int
) -> dict[int, list[MatchTiming]]:
    """For each key that brought a match lately, the matches of the newest minute that did."""
    return {
        key_id: traffic.match_timings(session, key_id, [one.last_matched_at], limit=limit)
        for key_id, one in sent.items()
        if one.last_matched_at is not None
    }


def floor_to_minute(now: datetime) -> datetime:
    """Where the last minute that is over ends."""
    return now.replace(second=0, microsecond=0)


def sparkline_points(rates: Sequence[int], *, width: int = 120, height: int = 22) -> str:
    """The points of an SVG polyline, one a figure, from the left; its own highest figure on top."""
    top = max([*rates, 1])
    apart = width / max(len(rates) - 1, 1)
    return " ".join(
        f"{at * apart:.1f},{1 + (height - 2) * (1 - rate / top):.1f}"
        for at, rate in enumerate(rates)
    )


def counts_by_minute(received: dict[datetime, int], end: datetime, count: int) -> list[int]:
    """Figures of the `count` minutes up to `end`, zero where there is none."""
    return [received.get(end - at * MINUTE, 0) for at in range(count, 0, -1)]
