"""What a replay counted, and the words for it."""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from rich.filesize import decimal

from app.detection.rule import Rule
from app.domain.event import Event
from app.domain.text import visible

# Further ones cost memory for each, and nobody reads on.
DISTINCT_LIMIT = 1_000
REASONS_TOLD = 5

MATCHED = 3
INTERRUPTED = 130


@dataclass(slots=True)
class RuleCount:
    """One rule's matches. Hosts and containers are kept as hashes: their names may be megabytes."""

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
        _add(self.hosts, event.host_name)
        _add(self.containers, event.container_id or event.container)
        at = event.occurred_at
        if at is not None:
            self.first = min(self.first or at, at)
            self.last = max(self.last or at, at)

    def cells(self) -> tuple[str, ...]:
        return (
            f"{self.matches:,}",
            f"{self.suppressed:,}",
            _distinct(self.hosts),
            _distinct(self.containers),
            _moment(self.first),
            _moment(self.last),
            visible(self.rule.name),
        )


_HEADS = ("matches", "suppressed", "hosts", "containers", "first", "last", "rule")
_NUMBERS = 4


@dataclass(slots=True)
class Summary:
    """Counts over all files. `read` are bytes as they are on the disk, `size` those of the events.

    `failed` are files that could not be read to their end, or held no event. `note` is one more
    sentence, if there is one. `interrupted` is by the user, `unheard` by whoever read the output.
    """

    note: str | None = None
    read: int = 0
    size: int = 0
    events: int = 0
    matches: int = 0
    suppressed: int = 0
    files: int = 0
    failed: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    unheard: bool = False
    rules: dict[str, RuleCount] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)

    def match(self, rule: Rule, event: Event, *, suppressed: bool) -> None:
        count = self.rules.get(rule.id)
        if count is None:
            count = self.rules[rule.id] = RuleCount(rule)
        count.add(event, suppressed=suppressed)
        self.matches += 1
        self.suppressed += suppressed

    def reject(self, reason: str) -> None:
        # Without the places in it there are few different ones.
        self.reasons[re.sub(r"(?<= )\d+", "N", reason)] += 1

    @property
    def rejected(self) -> int:
        return self.reasons.total()

    def rate(self, seconds: float) -> int:
        """Events a second."""
        return round(self.events / seconds) if seconds > 0 else 0

    def exit_code(self, *, fail_on_match: bool) -> int:
        if self.interrupted:
            return INTERRUPTED
        if fail_on_match and self.matches > self.suppressed:
            return MATCHED
        return 1 if self.rejected or self.failed else 0

    def text(self) -> str:
        note = ["", self.note] if self.note else []
        return "\n".join([*self._totals(), *self._rejections(), *self._table(), *note])

    def _totals(self) -> list[str]:
        packed = f" read as {decimal(self.read)}" if self.read < self.size else ""
        lines = [
            f"{self.events:,} events, {self.matches:,} matches ({self.suppressed:,} suppressed), "
            f"{self.rejected:,} rejected",
            f"{decimal(self.size)}{packed} in {self.seconds:.1f} s, "
            f"{self.rate(self.seconds):,} events/s",
        ]
        if self.interrupted:
            lines.insert(0, "Interrupted; up to there:")
        if self.failed and self.files > 1:
            lines.append(f"{self.failed:,} of {self.files:,} files could not be read as a whole")
        return lines

    def _rejections(self) -> list[str]:
        told = self.reasons.most_common(REASONS_TOLD)
        lines = [f"{count:>9,}  rejected: {visible(reason)}" for reason, count in told]
        left_out = self.rejected - sum(count for _, count in told)
        return [*lines, f"{left_out:>9,}  rejected for other reasons"] if left_out else lines

    def _table(self) -> list[str]:
        counts = sorted(self.rules.values(), key=lambda count: -count.matches)
        if not counts:
            return []
        rows = [_HEADS, *(count.cells() for count in counts)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["", *(_line(row, widths) for row in rows)]


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = zip(row, widths, strict=True)
    placed = (
        cell.rjust(width) if place < _NUMBERS else cell.ljust(width)
        for place, (cell, width) in enumerate(cells)
    )
    return "  ".join(placed).rstrip()


def _add(seen: set[int], name: str | None) -> None:
    if name is not None and len(seen) <= DISTINCT_LIMIT:
        seen.add(hash(name))


def _distinct(seen: set[int]) -> str:
    return f"over {DISTINCT_LIMIT:,}" if len(seen) > DISTINCT_LIMIT else f"{len(seen):,}"


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else "unknown"
