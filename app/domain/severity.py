"""Severities of rules and alerts. The severity of an alert follows from its priority (see `alert.py`)."""

from enum import StrEnum


class Severity(StrEnum):
    """Severity of a rule or an alert. The members are in ascending order."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
