"""What an alert is: its status and who may move it where, its verdict, its fingerprint and priority."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import Conflict, InvalidInput
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


class AlertAction(StrEnum):
    """What a person does to an alert's status."""

    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"
    REOPEN = "reopen"


TRANSITIONS: dict[tuple[Status, AlertAction], Status] = {
    (Status.OPEN, AlertAction.ACKNOWLEDGE): Status.ACKNOWLEDGED,
    (Status.OPEN, AlertAction.CLOSE): Status.CLOSED,
    (Status.ACKNOWLEDGED, AlertAction.CLOSE): Status.CLOSED,
    (Status.ACKNOWLEDGED, AlertAction.REOPEN): Status.OPEN,
    (Status.CLOSED, AlertAction.REOPEN): Status.OPEN,
}


def next_status(status: Status, action: AlertAction) -> Status:
    """Where `move` leads from `status`; raises Conflict when it leads nowhere."""
    try:
        return TRANSITIONS[status, action]
    except KeyError:
        raise Conflict(
            f"The alert is {status}, so it cannot be {_PAST_PARTICIPLES[action]}."
        ) from None


def available_actions(status: Status) -> tuple[AlertAction, ...]:
    """What can be done from `status`, in the order a page offers it."""
    return tuple(action for (at, action) in TRANSITIONS if at is status)


_PAST_PARTICIPLES = {
    AlertAction.ACKNOWLEDGE: "acknowledged",
    AlertAction.CLOSE: "closed",
    AlertAction.REOPEN: "reopened",
}

MAX_REASON_LENGTH = 4_000


def validate_verdict(verdict: str | None, reason: str | None) -> tuple[Verdict, str]:
    """A verdict and a reason fit to close an alert; raises InvalidInput naming each field that is not."""
    problems: dict[str, str] = {}
    known_verdict = next((known for known in Verdict if known == verdict), None)
    if known_verdict is None:
        problems["verdict"] = "Choose a verdict: " + ", ".join(Verdict) + "."
    text = (reason or "").strip()
    if not text:
        problems["reason"] = "Say why, so that the next reader need not ask."
    elif len(text) > MAX_REASON_LENGTH:
        problems["reason"] = f"At most {MAX_REASON_LENGTH} characters; this has {len(text)}."
    if problems or known_verdict is None:
        raise InvalidInput(problems)
    return known_verdict, text


@dataclass(frozen=True, slots=True)
class GroupingKey:
    """Why two matches are one alert: the values they share, as a page names them."""

    rule_id: str
    host: str | None
    container: str | None
    user_name: str | None
    process: str | None
    destination: str | None


def grouping_key(rule_id: str, event: Event) -> GroupingKey:
    """The values of `event` that decide which alert it belongs to."""
    return GroupingKey(
        rule_id=rule_id,
        host=event.host_name,
        container=event.container_id or event.container_name,
        user_name=event.user_name or event.user_id,
        process=event.process.name,
        destination=event.ssh.destination if event.ssh else None,
    )


def fingerprint(key: GroupingKey) -> str:
    """32 hexadecimal digits; JSON keeps a missing value apart from an empty or a spelled-out one."""
    values = [
        key.rule_id,
        key.host,
        key.container,
        key.user_name,
        key.process,
        key.destination,
    ]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class PriorityFactor:
    """One named part of a priority: `points` may be negative; `from_history` tells the rest of an
    episode's matches to keep it.
    """

    label: str
    points: int
    from_last_verdict: bool = False


@dataclass(frozen=True, slots=True)
class Priority:
    """0 to 100, and the parts it is the (bounded) sum of."""

    total: int
    factors: tuple[PriorityFactor, ...]


_VERDICT_FACTORS = {
    Verdict.TRUE_POSITIVE: PriorityFactor(
        "the same was a true positive before", 20, from_last_verdict=True
    ),
    Verdict.BENIGN_TRUE_POSITIVE: PriorityFactor(
        "the same was a benign true positive before", -10, from_last_verdict=True
    ),
    Verdict.FALSE_POSITIVE: PriorityFactor(
        "the same was a false positive before", -10, from_last_verdict=True
    ),
}


def compute_priority(risk_score: int, event: Event, last_verdict: Verdict | None) -> Priority:
    """The rule's risk, plus what the command line says, plus how the same alert ended last time."""
    factors = [PriorityFactor("risk of the rule", risk_score)]
    if event.ssh:
        counts = Counter((found.label, found.risk) for found in event.ssh.findings if found.risk)
        # A command line can hold thousands of forwards: the sum tells them once, with their number.
        factors += (
            PriorityFactor(short if times == 1 else f"{short} ×{times:,}", risk * times)
            for (short, risk), times in counts.items()
        )
    if last_verdict in _VERDICT_FACTORS:
        factors.append(_VERDICT_FACTORS[last_verdict])
    return Priority(
        total=clamp_priority(factor.points for factor in factors), factors=tuple(factors)
    )


def clamp_priority(points: Iterable[int]) -> int:
    """The sum of `points`, held between 0 and 100."""
    return max(0, min(100, sum(points)))


def severity_for_priority(total: int) -> Severity:
    """The band that a priority falls into.

    Elastic's bands for rules (low to 21, medium to 47, high to 73) put a rule's risk at their upper
    end; an alert must add more than a point or two to that before it is called worse.
    """
    if total >= 80:
        return Severity.CRITICAL
    if total >= 60:
        return Severity.HIGH
    return Severity.MEDIUM if total >= 30 else Severity.LOW
