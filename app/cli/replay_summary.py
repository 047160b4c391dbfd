"""Counts of a replay, and their summary as text."""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from rich.filesize import decimal

from app.cli.event_files import ByteCounts
from app.detection.rule import Rule
from app.domain.event import Event
from app.domain.text import escape_invisible

# Maximum number of distinct hosts, and of distinct containers, that are counted per rule. The maximum limits
# the memory use.
MAX_DISTINCT = 1_000
MAX_REASONS_LISTED = 5

EXIT_MATCHED = 3
EXIT_INTERRUPTED = 130


@dataclass(slots=True)
class RuleMatchCounts:
    """Match counts of one rule.

    `hosts` and `containers` hold hashes of the names, because the names can be very long. `first` and `last`
    are the earliest and the latest time at which a matching event occurred.
    """

    rule: Rule
    matches: int = 0
    suppressed: int = 0
    hosts: set[int] = field(default_factory=set)
    containers: set[int] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None

    def add(self, event: Event, *, suppressed: bool) -> None:
        self.matches += 1
        self.suppressed += suppressed
        _add_hash(self.hosts, event.host_name)
        _add_hash(self.containers, event.container_id or event.container)
        at = event.occurred_at
        if at is not None:
            self.first = min(self.first or at, at)
            self.last = max(self.last or at, at)

    def cells(self) -> tuple[str, ...]:
        return (
            f"{self.matches:,}",
            f"{self.suppressed:,}",
            _format_distinct(self.hosts),
            _format_distinct(self.containers),
            _format_time(self.first),
            _format_time(self.last),
            escape_invisible(self.rule.name),
        )


_HEADERS = ("matches", "suppressed", "hosts", "containers", "first", "last", "rule")
_RIGHT_ALIGNED_COLUMNS = 4


@dataclass(slots=True)
class ReplaySummary:
    """Counts over all files.

    `failed_files` counts files that could not be read completely or contain no events. `note` is an
    additional sentence for the end of the summary. `interrupted` is true after Ctrl-C. `output_closed` is
    true if the reader of stdout, such as head(1), has closed the pipe.
    """

    note: str | None = None
    byte_counts: ByteCounts = field(default_factory=ByteCounts)
    events: int = 0
    matches: int = 0
    suppressed: int = 0
    files: int = 0
    failed_files: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    output_closed: bool = False
    counts_by_rule: dict[str, RuleMatchCounts] = field(default_factory=dict)
    rejection_reasons: Counter[str] = field(default_factory=Counter)

    def record_match(self, rule: Rule, event: Event, *, suppressed: bool) -> None:
        count = self.counts_by_rule.get(rule.id)
        if count is None:
            count = self.counts_by_rule[rule.id] = RuleMatchCounts(rule)
        count.add(event, suppressed=suppressed)
        self.matches += 1
        self.suppressed += suppressed

    def record_rejection(self, reason: str) -> None:
        # Each number is replaced with N. For example, "not UTF-8 at byte 17" and "not UTF-8 at byte 23" are
        # both counted as "not UTF-8 at byte N".
        self.rejection_reasons[re.sub(r"(?<= )\d+", "N", reason)] += 1

    @property
    def rejected(self) -> int:
        return self.rejection_reasons.total()

    def events_per_second(self, seconds: float) -> int:
        """Return the number of events per second; `seconds` is the elapsed time.

        If `seconds` is 0, the result is 0.
        """
        return round(self.events / seconds) if seconds > 0 else 0

    def exit_code(self, *, fail_on_match: bool) -> int:
        if self.interrupted:
            return EXIT_INTERRUPTED
        if fail_on_match and self.matches > self.suppressed:
            return EXIT_MATCHED
        return 1 if self.rejected or self.failed_files else 0

    def format(self) -> str:
        note = ["", self.note] if self.note else []
        return "\n".join(
            [*self._total_lines(), *self._rejection_lines(), *self._table_lines(), *note]
        )

    def _total_lines(self) -> list[str]:
        compressed = (
            f" ({decimal(self.byte_counts.read)} compressed)"
            if self.byte_counts.read < self.byte_counts.decompressed
            else ""
        )
        lines = [
            f"{self.events:,} events, {self.matches:,} matches ({self.suppressed:,} suppressed), "
            f"{self.rejected:,} rejected",
            f"{decimal(self.byte_counts.decompressed)}{compressed} in {self.seconds:.1f} s, "
            f"{self.events_per_second(self.seconds):,} events/s",
        ]
        if self.interrupted:
            lines.insert(0, "Interrupted. Counts until then:")
        if self.failed_files and self.files > 1:
            lines.append(
                f"{self.failed_files:,} of {self.files:,} files could not be read completely"
            )
        return lines

    def _rejection_lines(self) -> list[str]:
        listed = self.rejection_reasons.most_common(MAX_REASONS_LISTED)
        lines = [f"{count:>9,}  rejected: {escape_invisible(reason)}" for reason, count in listed]
        others = self.rejected - sum(count for _, count in listed)
        return [*lines, f"{others:>9,}  rejected for other reasons"] if others else lines

    def _table_lines(self) -> list[str]:
        counts = sorted(self.counts_by_rule.values(), key=lambda count: -count.matches)
        if not counts:
            return []
        rows = [_HEADERS, *(count.cells() for count in counts)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["", *(_format_row(row, widths) for row in rows)]


def _format_row(row: tuple[str, ...], widths: list[int]) -> str:
    cells = zip(row, widths, strict=True)
    aligned = (
        cell.rjust(width) if column < _RIGHT_ALIGNED_COLUMNS else cell.ljust(width)
        for column, (cell, width) in enumerate(cells)
    )
    return "  ".join(aligned).rstrip()


def _add_hash(hashes: set[int], name: str | None) -> None:
    if name is not None and len(hashes) <= MAX_DISTINCT:
        hashes.add(hash(name))


def _format_distinct(hashes: set[int]) -> str:
    return f"over {MAX_DISTINCT:,}" if len(hashes) > MAX_DISTINCT else f"{len(hashes):,}"


def _format_time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else "unknown"
