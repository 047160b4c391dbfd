"""Counts of the rows that retention deletes."""

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class DeletedCounts:
    """Numbers of deleted rows.

    `matches` counts matches of alerts, and `suppressed` counts matches that exclusions suppressed. `minutes`
    counts rows of the table ApiKeyMinute. Each of these rows holds the traffic counts of one API key in one
    minute.
    """

    alerts: int = 0
    matches: int = 0
    suppressed: int = 0
    quarantined: int = 0
    minutes: int = 0

    def __add__(self, more: "DeletedCounts") -> "DeletedCounts":
        return DeletedCounts(
            *(getattr(self, f.name) + getattr(more, f.name) for f in fields(DeletedCounts))
        )

    def __sub__(self, less: "DeletedCounts") -> "DeletedCounts":
        return DeletedCounts(
            *(getattr(self, f.name) - getattr(less, f.name) for f in fields(DeletedCounts))
        )

    @property
    def total_rows(self) -> int:
        return sum(asdict(self).values())

    def describe(self) -> str:
        """Return text such as “2 closed alerts with 30 matches, 5 quarantined events”."""
        parts = [
            f"{self.alerts:,} closed alerts with {self.matches:,} matches"
            if self.alerts or self.matches
            else "",
            f"{self.suppressed:,} suppressed matches" if self.suppressed else "",
            f"{self.quarantined:,} quarantined events" if self.quarantined else "",
            f"{self.minutes:,} minutes of traffic counts" if self.minutes else "",
        ]
        return ", ".join(filter(None, parts)) or "nothing"
