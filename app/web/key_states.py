"""State of each API key, its sparkline and its clock skew, for the agent pages and the overview."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.principal import Role
from app.domain.traffic import MINUTE, SILENT_AFTER, clock_skew, format_duration, is_skewed
from app.store import api_keys, quarantine, traffic
from app.store.database import Session
from app.store.tables import ApiKey
from app.store.traffic import KeyTraffic, MatchTiming
from app.web.components import Chip
from app.web.number_format import format_capped_count


class KeyStatus(StrEnum):
    """The status of an API key. The values are the texts that pages show."""

    SILENT = "silent"
    NEVER_SEEN = "never seen"
    IN_QUARANTINE = "in quarantine"
    ACTIVE = "active"
    API_CLIENT = "API client"
    REVOKED = "revoked"


_TONES = {
    KeyStatus.SILENT: "danger",
    KeyStatus.NEVER_SEEN: "warning",
    KeyStatus.IN_QUARANTINE: "warning",
    KeyStatus.ACTIVE: "success",
    KeyStatus.API_CLIENT: "plain",
    KeyStatus.REVOKED: "plain",
}
_TONE_ORDER = ("danger", "warning", "success", "plain")


@dataclass(frozen=True, slots=True)
class KeyState:
    """A key with its status; `quarantined_count` is capped at `quarantine.COUNT_LIMIT + 1`."""

    key: ApiKey
    last_seen_at: datetime | None
    quarantined_count: int
    status: KeyStatus

    @property
    def id(self) -> int:
        return self.key.id or 0

    @property
    def tone(self) -> str:
        return _TONES[self.status]

    @property
    def label(self) -> str:
        if self.status is KeyStatus.IN_QUARANTINE:
            count = format_capped_count(self.quarantined_count, quarantine.COUNT_LIMIT)
            return f"{count} {'event' if count == '1' else 'events'} {self.status}"
        return str(self.status)

    @property
    def is_silent(self) -> bool:
        return self.status is KeyStatus.SILENT

    @property
    def needs_attention(self) -> bool:
        return self.tone in ("danger", "warning")


def key_states(session: Session, now: datetime) -> tuple[KeyState, ...]:
    """Return the states of all keys. Keys that need attention are first, and revoked keys are last."""
    last_seen_at = traffic.last_seen_by_key(session)
    quarantined_count = quarantine.counts_by_key(session)
    states = [
        key_state(key, last_seen_at.get(key.id or 0), quarantined_count.get(key.id or 0, 0), now)
        for key in api_keys.list_all(session)
    ]
    return tuple(
        sorted(
            states, key=lambda state: (_TONE_ORDER.index(state.tone), bool(state.key.revoked_at))
        )
    )


def key_state(
    key: ApiKey, last_seen_at: datetime | None, quarantined_count: int, now: datetime
) -> KeyState:
    status = _classify(key, last_seen_at, quarantined_count, now)
    return KeyState(key, last_seen_at, quarantined_count, status)


def _classify(
    key: ApiKey, last_seen_at: datetime | None, quarantined_count: int, now: datetime
) -> KeyStatus:
    if key.revoked_at is not None:
        return KeyStatus.REVOKED
    if key.role != Role.AGENT:
        return KeyStatus.API_CLIENT
    if last_seen_at is None:
        return KeyStatus.NEVER_SEEN
    if now - last_seen_at > SILENT_AFTER:
        return KeyStatus.SILENT
    return KeyStatus.IN_QUARANTINE if quarantined_count else KeyStatus.ACTIVE


def estimate_clock_skew(samples: Sequence[MatchTiming]) -> timedelta | None:
    return clock_skew((sample.occurred_at, sample.received_at) for sample in samples)


def clock_skew_chip(skew: timedelta | None) -> Chip | None:
    """Return a warning chip if `skew` exceeds the usual delay of events, else None."""
    if skew is None or not is_skewed(skew):
        return None
    if skew > timedelta():
        title = "Event timestamps are later than the time of receipt."
        return Chip(f"clock {format_duration(skew)} ahead", "warning", title)
    title = (
        "Event timestamps are earlier than the time of receipt: the clock is slow, or the events were "
        "delayed."
    )
    return Chip(f"events arrive {format_duration(skew)} late", "warning", title)


def newest_samples(
    session: Session, traffic_by_key: dict[int, KeyTraffic], limit: int
) -> dict[int, list[MatchTiming]]:
    """Return the times of at most `limit` matches for each key id.

    The matches are from the newest minute in which the key sent a match.
    """
    return {
        key_id: traffic.match_timings(session, key_id, [sent.last_matched_at], limit=limit)
        for key_id, sent in traffic_by_key.items()
        if sent.last_matched_at is not None
    }


def floor_to_minute(now: datetime) -> datetime:
    """Return `now` without its seconds, which is the end of the last complete minute."""
    return now.replace(second=0, microsecond=0)


def sparkline_points(rates: Sequence[int], *, width: int = 120, height: int = 22) -> str:
    """Return the points of an SVG polyline, from left to right, scaled to the highest rate."""
    highest = max([*rates, 1])
    step = width / max(len(rates) - 1, 1)
    return " ".join(
        f"{index * step:.1f},{1 + (height - 2) * (1 - rate / highest):.1f}"
        for index, rate in enumerate(rates)
    )


def counts_by_minute(received: dict[datetime, int], end: datetime, count: int) -> list[int]:
    """Return the event counts of the `count` minutes before `end`, oldest first; missing minutes are zero."""
    return [received.get(end - minutes * MINUTE, 0) for minutes in range(count, 0, -1)]
