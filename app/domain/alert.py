"""Alerts: status transitions, verdict, fingerprint and priority."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import Conflict, InvalidInput
from app.domain.event import Event
from app.domain.severity import Severity
from app.domain.text import text_error


class Status(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Verdict(StrEnum):
    """The result of the investigation of an alert, chosen when the alert is closed."""

    TRUE_POSITIVE = "true positive"
    BENIGN_TRUE_POSITIVE = "benign true positive"
    FALSE_POSITIVE = "false positive"
    DUPLICATE = "duplicate"


class AlertAction(StrEnum):
    """An action with which a user changes the status of an alert."""

    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"
    REOPEN = "reopen"

    @property
    def past_tense(self) -> str:
        """The past tense of the action, such as "closed".

        The activity log of an alert stores this text in the column `kind`.
        """
        return f"{self.removesuffix('e')}ed"


TRANSITIONS: dict[tuple[Status, AlertAction], Status] = {
    (Status.OPEN, AlertAction.ACKNOWLEDGE): Status.ACKNOWLEDGED,
    (Status.OPEN, AlertAction.CLOSE): Status.CLOSED,
    (Status.ACKNOWLEDGED, AlertAction.CLOSE): Status.CLOSED,
    (Status.ACKNOWLEDGED, AlertAction.REOPEN): Status.OPEN,
    (Status.CLOSED, AlertAction.REOPEN): Status.OPEN,
}


def next_status(status: Status, action: AlertAction) -> Status:
    """Return the status after `action`; raises Conflict if `status` does not allow it."""
    try:
        return TRANSITIONS[status, action]
    except KeyError:
        raise Conflict(f"The alert is {status}, so it cannot be {action.past_tense}.") from None


def available_actions(status: Status) -> tuple[AlertAction, ...]:
    """Return the actions that `status` allows, in the order in which pages offer them."""
    return tuple(action for (start, action) in TRANSITIONS if start is status)


MAX_REASON_LENGTH = 4_000


def validate_verdict(verdict: str | None, reason: str | None) -> tuple[Verdict, str]:
    """Return the parsed verdict and the trimmed reason for closing an alert.

    Raises InvalidInput with keys `verdict` and `reason`.
    """
    problems: dict[str, str] = {}
    known_verdict = next((value for value in Verdict if value == verdict), None)
    if known_verdict is None:
        problems["verdict"] = "Choose a verdict: " + ", ".join(Verdict) + "."
    text = (reason or "").strip()
    if error := text_error(text, MAX_REASON_LENGTH, if_empty="Enter a reason."):
        problems["reason"] = error
    if problems or known_verdict is None:
        raise InvalidInput(problems)
    return known_verdict, text


@dataclass(frozen=True, slots=True)
class GroupingKey:
    """The values that all matches of one alert share."""

    rule_id: str
    host: str | None
    container: str | None
    user_name: str | None
    process: str | None
    destination: str | None


def grouping_key(rule_id: str, event: Event) -> GroupingKey:
    """Return the grouping key of the match of `event` with the rule `rule_id`.

    Matches with equal keys are added to the same alert until that alert is closed.
    """
    return GroupingKey(
        rule_id=rule_id,
        host=event.host_name,
        container=event.container_id or event.container_name,
        user_name=event.user_name or event.user_id,
        process=event.process.name,
        destination=event.ssh.destination if event.ssh else None,
    )


def fingerprint(key: GroupingKey) -> str:
    """Return the hash of `key`, 32 hexadecimal digits.

    The hash input is JSON, so that a missing value differs from an empty string and from the text "None".
    """
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
    """One part of a priority: a number of points and a label that names their cause.

    `points` may be negative. `from_last_verdict` is true if the points come from the verdict of the previous
    alert with the same fingerprint. In this case, every match of the new alert gets these points.
    """

    label: str
    points: int
    from_last_verdict: bool = False


@dataclass(frozen=True, slots=True)
class Priority:
    """A priority. `total` is the sum of the points of `factors`, limited to the range 0 to 100."""

    total: int
    factors: tuple[PriorityFactor, ...]


_VERDICT_FACTORS = {
    Verdict.TRUE_POSITIVE: PriorityFactor(
        "the previous alert was a true positive", 20, from_last_verdict=True
    ),
    Verdict.BENIGN_TRUE_POSITIVE: PriorityFactor(
        "the previous alert was a benign true positive", -10, from_last_verdict=True
    ),
    Verdict.FALSE_POSITIVE: PriorityFactor(
        "the previous alert was a false positive", -10, from_last_verdict=True
    ),
}


def compute_priority(risk_score: int, event: Event, last_verdict: Verdict | None) -> Priority:
    """Return the priority: the rule's risk score plus points for SSH findings and for the last verdict.

    `last_verdict` is the verdict of the previous alert with the same fingerprint.
    """
    factors = [PriorityFactor("risk score of the rule", risk_score)]
    if event.ssh:
        counts = Counter(
            (finding.kind, finding.risk) for finding in event.ssh.findings if finding.risk
        )
        # A command line can contain thousands of forwards, so equal findings are combined into one factor.
        factors += (
            PriorityFactor(str(kind) if times == 1 else f"{kind} ×{times:,}", risk * times)
            for (kind, risk), times in counts.items()
        )
    if last_verdict in _VERDICT_FACTORS:
        factors.append(_VERDICT_FACTORS[last_verdict])
    return Priority(
        total=clamp_priority(factor.points for factor in factors), factors=tuple(factors)
    )


def clamp_priority(points: Iterable[int]) -> int:
    """Return the sum of `points`, limited to the range 0 to 100."""
    return max(0, min(100, sum(points)))


def severity_for_priority(total: int) -> Severity:
    """Return the severity for the priority `total`.

    In Elastic's rules, low ends at a risk score of 21, medium at 47 and high at 73. A medium rule usually has
    the score 47. With Elastic's limits, one point for a finding would raise the severity to high. The limits
    in this function are therefore higher: low ends at 29, medium at 59 and high at 79.
    """
    if total >= 80:
        return Severity.CRITICAL
    if total >= 60:
        return Severity.HIGH
    return Severity.MEDIUM if total >= 30 else Severity.LOW
