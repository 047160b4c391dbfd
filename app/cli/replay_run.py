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

from app.bootstrap import build_detector
from app.cli.replay_output import ReplayOutput
from app.cli.replay_summary import ReplaySummary
from app.cli.rule_selection import RuleSelection
from app.clock import utc_now
from app.detection.detector import Detector
from app.detection.rule import Rule
from app.domain.event import Event, event_from_ecs
from app.domain.exclusion import Exclusion
from app.domain.text import escape_invisible
from app.ingest.decompress import CHUNK_BYTES, DecompressionError, decompress_auto
from app.ingest.evaluate import evaluate
from app.ingest.events import ContentTooLarge, RawEvent, RejectedEvent, UnreadableBody
from app.ingest.lines import EventLines
from app.ingest.record import first_matching_exclusion
from app.ingest.split import RawEventBlock, split_stream
from app.settings import Settings

STDIN = "-"
# An array, or one object over several lines, takes some three times its size in memory.
MAX_DOCUMENT_BYTES = 256 << 20
# A broken file has a million of them; further ones are counted.
MAX_REJECTIONS_PRINTED = 10


@dataclass(frozen=True, slots=True)
class ReplayRules:
    """What decides in a replay."""

    detector: Detector
    selection: RuleSelection


def compile_replay_rules(selection: RuleSelection) -> ReplayRules:
    return ReplayRules(build_detector(selection.rules), selection)


def replay_files(
    names: Sequence[str], settings: Settings, replay_rules: ReplayRules, output: ReplayOutput
) -> ReplaySummary:
    """Judge what can be read of each file; stopped by the user, or by the reader of the matches."""
    summary = ReplaySummary(note=replay_rules.selection.note)
    started = perf_counter()
    try:
        with output.progress_bar(_total_bytes(names), summary):
            for name in names:
                _FileReplay(name, settings, replay_rules, output, summary).run()
    except KeyboardInterrupt:
        summary.interrupted = True
    except BrokenPipeError:
        summary.output_closed = True
    summary.seconds = perf_counter() - started
    return summary


def _total_bytes(names: Sequence[str]) -> int | None:
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
class _FileReplay:
    """One file. `problem` is why it could not be read any further."""

    name: str
    settings: Settings
    replay_rules: ReplayRules
    output: ReplayOutput
    summary: ReplaySummary
    problem: str | None = None
    rejected: int = 0

    @property
    def display_name(self) -> str:
        return "stdin" if self.name == STDIN else escape_invisible(self.name)

    def run(self) -> None:
        self.summary.files += 1
        self.output.set_current_file(self.display_name)
        try:
            file = _open(self.name)
        except OSError as error:
            self.problem = _describe_os_error(error)
        else:
            with file:
                self._evaluate_file(file)
        if self.rejected > MAX_REJECTIONS_PRINTED:
            more = self.rejected - MAX_REJECTIONS_PRINTED
            self.output.print_problem(f"{self.display_name}: … and {more:,} more rejected")
        if self.problem is not None:
            self.summary.failed_files += 1
            self.output.print_problem(f"{self.display_name} {self.problem}.")

    def _evaluate_file(self, file: FileIO) -> None:
        blocks = split_stream(
            self._decompressed_chunks(file),
            max_document_bytes=max(MAX_DOCUMENT_BYTES, self.settings.max_body_bytes),
            max_event_bytes=self.settings.max_event_bytes,
        )
        try:
            for events in blocks:
                self._evaluate_block(events)
        except UnreadableBody:
            self.problem = self.problem or "holds no events"
        except ContentTooLarge as error:
            self.problem = f"cannot be read: {error}"

    def _decompressed_chunks(self, file: FileIO) -> Iterator[bytes]:
        """The file's bytes, inflated, as far as they can be read."""
        try:
            for part in decompress_auto(self._read_chunks(file)):
                self.summary.bytes_decompressed += len(part)
                yield part
        except DecompressionError as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = _describe_os_error(error)

    def _read_chunks(self, file: FileIO) -> Iterator[bytes]:
        """What there is, a part at most; waits only while there is nothing."""
        handle = file.fileno()
        while chunk := os.read(handle, CHUNK_BYTES):
            chunks = [chunk]
            size = len(chunk)
            # A pipe gives little at once, and a block of little costs more.
            while chunk and size < CHUNK_BYTES and select([handle], [], [], 0)[0]:
                chunk = os.read(handle, CHUNK_BYTES - size)
                chunks.append(chunk)
                size += len(chunk)
            self.summary.bytes_read += size
            yield b"".join(chunks)
            if not chunk:
                return  # whoever types would have to end it twice

    def _evaluate_block(self, events: RawEventBlock) -> None:
        rest = events if isinstance(events, EventLines) else iter(events)
        detector, limit = self.replay_rules.detector, self.settings.max_event_bytes
        try:
            with self.output.flush_after():
                for evaluation in evaluate(rest, detector, limit):
                    if isinstance(evaluation, RejectedEvent):
                        self._report_rejection(evaluation.raw_event, evaluation.reason)
                    else:
                        self._report_match(
                            evaluation.raw_event,
                            evaluation.rules,
                            event_from_ecs(evaluation.document),
                        )
        finally:
            # Also right when it was interrupted amid a block.
            self.summary.events += (
                events.event_count
                if isinstance(events, EventLines)
                else len(events) - length_hint(rest)
            )

    def _report_rejection(self, item: RawEvent, reason: str) -> None:
        self.summary.record_rejection(reason)
        self.rejected += 1
        if self.rejected <= MAX_REJECTIONS_PRINTED:
            self.output.print_problem(
                f"{self.display_name}:{item.line}: {escape_invisible(reason)}"
            )

    def _report_match(self, item: RawEvent, rules: Sequence[Rule], event: Event) -> None:
        for rule in rules:
            excluded_by = first_matching_exclusion(
                self.replay_rules.selection.exclusions_by_rule, event, rule.id, utc_now()
            )
            self.summary.record_match(rule, event, suppressed=excluded_by is not None)
            self.output.print_match(_match_as_json(self.name, item.line, rule, event, excluded_by))


def _match_as_json(
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


def _open(name: str) -> FileIO:
    # Unbuffered: what a slow producer has written is there at once, and a part is read in one go.
    if name == STDIN:
        return FileIO(0, closefd=False)
    return FileIO(name)


def _describe_os_error(error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return "is a folder; name the files in it"
    return f"cannot be read: {error.strerror}"
