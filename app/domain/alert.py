"""What an alert is: its status and who may move it where, its verdict, its fingerprint and priority."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import Conflict, Invalid
from app.domain.event import Event
from app.domain.severity import Severity


class Status(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Verdict(StrEnum):
    """How an alert was closed."""

    TRUE_POSITIVE = "true positive"
    BENIGN_TRUE_POSITIVE = "benign true positive"
    FALSE_POSITIVE = "false positive"
    DUPLICATE = "duplicate"


class Move(StrEnum):
    """What a person does to an alert's status."""

    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"
    REOPEN = "reopen"


NEXT: dict[tuple[Status, Move], Status] = {
    (Status.OPEN, Move.ACKNOWLEDGE): Status.ACKNOWLEDGED,
    (Status.OPEN, Move.CLOSE): Status.CLOSED,
    (Status.ACKNOWLEDGED, Move.CLOSE): Status.CLOSED,
    (Status.ACKNOWLEDGED, Move.REOPEN): Status.OPEN,
    (Status.CLOSED, Move.REOPEN): Status.OPEN,
}


def next_status(status: Status, move: Move) -> Status:
    """Where `move` leads from `status`; raises Conflict when it leads nowhere."""
    try:
        return NEXT[status, move]
    except KeyError:
        raise Conflict(f"The alert is {status}, so it cannot be {_PAST[move]}.") from None


def moves(status: Status) -> tuple[Move, ...]:
    """What can be done from `status`, in the order a page offers it."""
    return tuple(move for (at, move) in NEXT if at is status)


_PAST = {
    Move.ACKNOWLEDGE: "acknowledged",
    Move.CLOSE: "closed",
    Move.REOPEN: "reopened",
}

REASON_LIMIT = 4_000


def closing(verdict: str | None, reason: str | None) -> tuple[Verdict, str]:
    """A verdict and a reason fit to close an alert; raises Invalid naming each field that is not."""
    problems: dict[str, str] = {}
    chosen = next((known for known in Verdict if known == verdict), None)
    if chosen is None:
        problems["verdict"] = "Choose a verdict: " + ", ".join(Verdict) + "."
    text = (reason or "").strip()
    if not text:
        problems["reason"] = "Say why, so that the next reader need not ask."
    elif len(text) > REASON_LIMIT:
        problems["reason"] = f"At most {REASON_LIMIT} characters; this has {len(text)}."
    if problems or chosen is None:
        raise Invalid(problems)
    return chosen, text


@dataclass(frozen=True, slots=True)
class Grouping:
    """Why two matches are one alert: the values they share, as a page names them."""

    rule_id: str
    host: str | None
    container: str | None
    account: str | None
    process: str | None
    destination: str | None


def grouping(rule_id: str, event: Event) -> Grouping:
    """The values of `event` that decide which alert it belongs to."""
    return Grouping(
        rule_id=rule_id,
        host=event.host_name,
        container=event.container_id or event.container_name,
        account=event.user_name or event.user_id,
        process=event.process.name,
        destination=event.ssh.destination if event.ssh else None,
    )


def fingerprint(shared: Grouping) -> str:
    """32 hexadecimal digits; JSON keeps a missing value apart from an empty or a spelled-out one."""
    parts = [
        shared.rule_id,
        shared.host,
        shared.container,
        shared.account,
        shared.process,
        shared.destination,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Points:
    """One named part of a priority: `points` may be negative; `from_history` tells the rest of an
    episode's matches to keep it.
    """

    why: str
    points: int
    from_history: bool = False


@dataclass(frozen=True, slots=True)
class Priority:
    """0 to 100, and the parts it is the (bounded) sum of."""

    total: int
    parts: tuple[Points, ...]


_HISTORY = {
    Verdict.TRUE_POSITIVE: Points("the same was a true positive before", 20, from_history=True),
    Verdict.BENIGN_TRUE_POSITIVE: Points(
        "the same was a benign true positive before", -10, from_history=True
    ),
    Verdict.FALSE_POSITIVE: Points("the same was a false positive before", -10, from_history=True),
}


def priority(risk_score: int, event: Event, last_verdict: Verdict | None) -> Priority:
    """The rule's risk, plus what the command line says, plus how the same alert ended last time."""
    parts = [Points("risk of the rule", risk_score)]
    if event.ssh:
        told = Counter((found.short, found.risk) for found in event.ssh.findings if found.risk)
        # A command line can hold thousands of forwards: the sum tells them once, with their number.
        parts += (
            Points(short if times == 1 else f"{short} ×{times:,}", risk * times)
            for (short, risk), times in told.items()
        )
    if last_verdict in _HISTORY:
        parts.append(_HISTORY[last_verdict])
    return Priority(total=bounded(part.points for part in parts), parts=tuple(parts))


def bounded(points: Iterable[int]) -> int:
    """The sum of `points`, held between 0 and 100."""
    return max(0, min(100, sum(points)))


def severity_of(total: int) -> Severity:
    """The band that a priority falls into.

    Elastic's bands for rules (low to 21, medium to 47, high to 73) put a rule's risk at their upper
    end; an alert must add more than a point or two to that before it is called worse.
    """
    if total >= 80:
        return Severity.CRITICAL
    if total >= 60:
        return Severity.HIGH
    return Severity.MEDIUM if total >= 30 else Severity.LOW
