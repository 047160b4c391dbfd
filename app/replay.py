"""Events from files through detection and exclusions, with nothing stored."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from operator import length_hint
from pathlib import Path
from select import select
from time import perf_counter
from typing import Any

from app.choice import Choice
from app.clock import utc_now
from app.detection.detector import Detector
from app.detection.rule import Rule
from app.domain.event import Event, event_from_ecs
from app.domain.exclusion import Exclusion
from app.domain.text import visible
from app.ingest.blocks import Events, cut_blocks
from app.ingest.body import UnreadableBody
from app.ingest.inflate import PART, Damaged, inflate_any
from app.ingest.judging import judge
from app.ingest.lines import Item, Lines, TooLarge
from app.ingest.recording import covering
from app.main import detector_of
from app.replay_screen import Screen
from app.replay_summary import Summary
from app.settings import Settings

STDIN = "-"
# An array, or one object over several lines, takes some three times its size in memory.
WHOLE_LIMIT = 256 << 20
# A broken file has a million of them; further ones are counted.
REJECTIONS_TOLD = 10


@dataclass(frozen=True, slots=True)
class Deciding:
    """What decides in a replay."""

    detector: Detector
    choice: Choice


def deciding_with(choice: Choice) -> Deciding:
    return Deciding(detector_of(choice.rules), choice)


def replay_files(
    names: Sequence[str], settings: Settings, decides: Deciding, screen: Screen
) -> Summary:
    """Judge what can be read of each file; stopped by the user, or by the reader of the matches."""
    summary = Summary(note=decides.choice.note)
    begun = perf_counter()
    try:
        with screen.bar(_total(names), summary):
            for name in names:
                _Replay(name, settings, decides, screen, summary).run()
    except KeyboardInterrupt:
        summary.interrupted = True
    except BrokenPipeError:
        summary.unheard = True
    summary.seconds = perf_counter() - begun
    return summary


def _total(names: Sequence[str]) -> int | None:
    """Bytes of all files, None when one of them has no size, such as a pipe."""
    total = 0
    for name in names:
        # One that is not there is named when its turn comes.
        with suppress(OSError):
            about = os.fstat(0) if name == STDIN else Path(name).stat()
            if not stat.S_ISREG(about.st_mode):
                return None
            total += about.st_size
    return total


@dataclass(slots=True)
class _Replay:
    """One file. `problem` is why it could not be read any further."""

    name: str
    settings: Settings
    decides: Deciding
    screen: Screen
    summary: Summary
    problem: str | None = None
    rejected: int = 0

    @property
    def shown(self) -> str:
        return "stdin" if self.name == STDIN else visible(self.name)

    def run(self) -> None:
        self.summary.files += 1
        self.screen.reading(self.shown)
        try:
            file = _opened(self.name)
        except OSError as error:
            self.problem = _unreadable(error)
        else:
            with file:
                self._judge_all(file)
        if self.rejected > REJECTIONS_TOLD:
            more = self.rejected - REJECTIONS_TOLD
            self.screen.problem(f"{self.shown}: … and {more:,} more rejected")
        if self.problem is not None:
            self.summary.failed += 1
            self.screen.problem(f"{self.shown} {self.problem}.")

    def _judge_all(self, file: FileIO) -> None:
        blocks = cut_blocks(
            self._parts(file),
            whole_limit=max(WHOLE_LIMIT, self.settings.max_body_bytes),
            max_event_bytes=self.settings.max_event_bytes,
        )
        try:
            for events in blocks:
                self._judge(events)
        except UnreadableBody:
            self.problem = self.problem or "holds no events"
        except TooLarge as error:
            self.problem = f"cannot be read: {error}"

    def _parts(self, file: FileIO) -> Iterator[bytes]:
        """The file's bytes, inflated, as far as they can be read."""
        try:
            for part in inflate_any(self._chunks(file)):
                self.summary.size += len(part)
                yield part
        except Damaged as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = _unreadable(error)

    def _chunks(self, file: FileIO) -> Iterator[bytes]:
        """What there is, a part at most; waits only while there is nothing."""
        handle = file.fileno()
        while chunk := os.read(handle, PART):
            chunks = [chunk]
            size = len(chunk)
            # A pipe gives little at once, and a block of little costs more.
            while chunk and size < PART and select([handle], [], [], 0)[0]:
                chunk = os.read(handle, PART - size)
                chunks.append(chunk)
                size += len(chunk)
            self.summary.read += size
            yield b"".join(chunks)
            if not chunk:
                return  # whoever types would have to end it twice

    def _judge(self, events: Events) -> None:
        rest = events if isinstance(events, Lines) else iter(events)
        before = events.index if isinstance(events, Lines) else 0
        detector, limit = self.decides.detector, self.settings.max_event_bytes
        try:
            with self.screen.writing():
                for judged in judge(rest, detector, limit):
                    if judged.refusal is not None:
                        self._rejected(judged.item, judged.refusal)
                    elif judged.document is not None:
                        self._matched(judged.item, judged.rules, event_from_ecs(judged.document))
        finally:
            # Also right when it was interrupted amid a block.
            self.summary.events += (
                events.index - before
                if isinstance(events, Lines)
                else len(events) - length_hint(rest)
            )

    def _rejected(self, item: Item, reason: str) -> None:
        self.summary.reject(reason)
        self.rejected += 1
        if self.rejected <= REJECTIONS_TOLD:
            self.screen.problem(f"{self.shown}:{item.line}: {visible(reason)}")

    def _matched(self, item: Item, rules: Sequence[Rule], event: Event) -> None:
        for rule in rules:
            excluded_by = covering(self.decides.choice.exclusions, event, rule.id, utc_now())
            self.summary.match(rule, event, suppressed=excluded_by is not None)
            self.screen.match(_row(self.name, item.line, rule, event, excluded_by))


def _row(
    name: str, line: int, rule: Rule, event: Event, excluded_by: Exclusion | None
) -> dict[str, Any]:
    return {
        "file": name,
        "line": line,
        "rule": {"id": rule.id, "name": rule.name},
        "headline": event.headline,
        "event_id": event.id,
        "occurred_at": event.occurred_at.isoformat() if event.occurred_at else None,
        "host": event.host_name,
        "container": event.container,
        "user": event.user_name,
        "command_line": event.process.command_line,
        "suppressed_by": {"exclusion": excluded_by.id, "version": excluded_by.version}
        if excluded_by
        else None,
    }


def _opened(name: str) -> FileIO:
    # Unbuffered: what a slow producer has written is there at once, and a part is read in one go.
    if name == STDIN:
        return FileIO(0, closefd=False)
    return FileIO(name)


def _unreadable(error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return "is a folder; name the files in it"
    return f"cannot be read: {error.strerror}"
