"""Evaluation of events in files with rules and exclusions, without storing them."""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import length_hint
from pathlib import Path
from time import perf_counter
from typing import Any

from app.bootstrap import build_detector
from app.cli.event_files import STDIN, EventFile
from app.cli.replay_output import ReplayOutput
from app.cli.replay_summary import ReplaySummary
from app.cli.rule_selection import RuleSelection
from app.clock import utc_now
from app.detection.detector import Detector
from app.detection.rule import Rule
from app.domain.event import Event, event_from_ecs
from app.domain.exclusion import Exclusion
from app.domain.text import escape_invisible
from app.ingest.evaluate import evaluate
from app.ingest.events import RawEvent, RejectedEvent
from app.ingest.lines import EventLines
from app.ingest.record import first_matching_exclusion
from app.ingest.split import RawEventBlock
from app.settings import Settings

# Maximum number of rejections that are printed for each file. Further rejections are only counted.
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
    """Evaluate all readable events of the files, and return the summary.

    The evaluation ends early after Ctrl-C, or when the reader of stdout closes the pipe.
    """
    summary = ReplaySummary(note=replay_rules.selection.note)
    started = perf_counter()
    try:
        with output.progress_bar(_total_bytes(names), summary):
            for name in names:
                file = EventFile(name, settings, summary.byte_counts)
                _FileReplay(file, settings.max_event_bytes, replay_rules, output, summary).run()
    except KeyboardInterrupt:
        summary.interrupted = True
    except BrokenPipeError:
        summary.output_closed = True
    summary.seconds = perf_counter() - started
    return summary


def _total_bytes(names: Sequence[str]) -> int | None:
    """Return the total size of the files in bytes, or None if a file is not regular, such as a pipe."""
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
    """The replay of one file."""

    file: EventFile
    max_event_bytes: int
    replay_rules: ReplayRules
    output: ReplayOutput
    summary: ReplaySummary
    rejected: int = 0

    def run(self) -> None:
        self.summary.files += 1
        self.output.set_current_file(self.file.display_name)
        for events in self.file.blocks():
            self._evaluate_block(events)
        if self.rejected > MAX_REJECTIONS_PRINTED:
            more = self.rejected - MAX_REJECTIONS_PRINTED
            self.output.print_problem(f"{self.file.display_name}: … and {more:,} more rejected")
        if self.file.problem is not None:
            self.summary.failed_files += 1
            self.output.print_problem(f"{self.file.display_name} {self.file.problem}.")

    def _evaluate_block(self, events: RawEventBlock) -> None:
        rest = events if isinstance(events, EventLines) else iter(events)
        detector = self.replay_rules.detector
        try:
            with self.output.flush_after():
                for evaluation in evaluate(rest, detector, self.max_event_bytes):
                    if isinstance(evaluation, RejectedEvent):
                        self._report_rejection(evaluation.raw_event, evaluation.reason)
                    else:
                        self._report_match(
                            evaluation.raw_event,
                            evaluation.rules,
                            event_from_ecs(evaluation.document),
                        )
        finally:
            # An exception may have ended the loop early, so only the events evaluated until then are counted.
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
                f"{self.file.display_name}:{raw_event.line}: {escape_invisible(reason)}"
            )

    def _report_match(self, raw_event: RawEvent, rules: Sequence[Rule], event: Event) -> None:
        for rule in rules:
            excluded_by = first_matching_exclusion(
                self.replay_rules.selection.exclusions_by_rule, event, rule.id, utc_now()
            )
            self.summary.record_match(rule, event, suppressed=excluded_by is not None)
            self.output.print_match(
                _match_as_json(self.file.name, raw_event.line, rule, event, excluded_by)
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
