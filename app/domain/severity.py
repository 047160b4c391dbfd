"""The severity of a rule. Alerts are ranked by their priority (see `alert.py`)."""

from enum import StrEnum


class Severity(StrEnum):
    """The four severities of a rule file, lowest first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
