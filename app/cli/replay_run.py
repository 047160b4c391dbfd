"""Evaluation of events in files with rules and exclusions, without storing them."""

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
# Maximum size of a JSON array, or of an object that spans several lines. Such a document needs about
# three times its size in memory.
MAX_DOCUMENT_BYTES = 256 << 20
# At most this many rejections are printed for each file; further rejections are only counted.
MAX_REJECTIONS_PRINTED = 10


@dataclass(frozen=True, slots=True)
class ReplayRules:
    """The detector and the rule selection of a replay."""

    detector: Detector
    selection: RuleSelection


def compile_replay_rules(selection: RuleSelection) -> ReplayRules:
    return ReplayRules(build_detector(selection.rules), selection)


def replay_files(
    names: Sequence[str], settings: Settings, replay_rules: ReplayRules, output: ReplayOutput
) -> ReplaySummary:
    """Evaluate all readable events of the files until Ctrl-C or until the output is closed."""
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
    """Return the total size of the files in bytes, or None if one is not a regular file (a pipe)."""
    total = 0
    for name in names:
        # A missing file is reported later, when it is opened.
        with suppress(OSError):
            status = os.fstat(0) if name == STDIN else Path(name).stat()
            if not stat.S_ISREG(status.st_mode):
                return None
            total += status.st_size
    return total


@dataclass(slots=True)
class _FileReplay:
    """The replay of one file. `problem` says why the file could not be read completely."""

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
            self.problem = self.problem or "contains no events"
        except ContentTooLarge as error:
            self.problem = f"cannot be read: {error}"

    def _decompressed_chunks(self, file: FileIO) -> Iterator[bytes]:
        """Yield the decompressed contents until the end or a read error."""
        try:
            for part in decompress_auto(self._read_chunks(file)):
                self.summary.bytes_decompressed += len(part)
                yield part
        except DecompressionError as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = _describe_os_error(error)

    def _read_chunks(self, file: FileIO) -> Iterator[bytes]:
        """Yield available data in chunks of up to CHUNK_BYTES; wait only while no data is available."""
        handle = file.fileno()
        while chunk := os.read(handle, CHUNK_BYTES):
            chunks = [chunk]
            size = len(chunk)
            # A read from a pipe returns little data, and small chunks are expensive to process. Therefore
            # all data that is available is collected, up to CHUNK_BYTES.
            while chunk and size < CHUNK_BYTES and select([handle], [], [], 0)[0]:
                chunk = os.read(handle, CHUNK_BYTES - size)
                chunks.append(chunk)
                size += len(chunk)
            self.summary.bytes_read += size
            yield b"".join(chunks)
            if not chunk:
                return  # on a terminal, reading again would require a second Ctrl-D

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
            # Count only the events that were evaluated, because the block may have been interrupted.
            self.summary.events += (
                events.event_count
                if isinstance(events, EventLines)
                else len(events) - length_hint(rest)
            )

    def _report_rejection(self, raw_event: RawEvent, reason: str) -> None:
        self.summary.record_rejection(reason)
        self.rejected += 1
        if self.rejected <= MAX_REJECTIONS_PRINTED:
            self.output.print_problem(
                f"{self.display_name}:{raw_event.line}: {escape_invisible(reason)}"
            )

    def _report_match(self, raw_event: RawEvent, rules: Sequence[Rule], event: Event) -> None:
        for rule in rules:
            excluded_by = first_matching_exclusion(
                self.replay_rules.selection.exclusions_by_rule, event, rule.id, utc_now()
            )
            self.summary.record_match(rule, event, suppressed=excluded_by is not None)
            self.output.print_match(
                _match_as_json(self.name, raw_event.line, rule, event, excluded_by)
            )


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
    # The file is unbuffered, so that data from a slow producer is available immediately.
    if name == STDIN:
        return FileIO(0, closefd=False)
    return FileIO(name)


def _describe_os_error(error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return "is a directory; name the files in it"
    return f"cannot be read: {error.strerror}"
