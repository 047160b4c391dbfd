"""How bad a rule says its match is; the number that ranks alerts is the alert's priority."""

from enum import StrEnum


class Severity(StrEnum):
    """The four severities of a rule file, mildest first; `rank` orders them."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low to 3 for critical."""
        return list(Severity).index(self)
