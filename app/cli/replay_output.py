"""Output of `deckwatch replay`: matches on stdout; problems and a progress bar on stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from app.cli.replay_summary import ReplaySummary
from app.domain.errors import FatalError
from app.domain.text import truncate

if TYPE_CHECKING:
    from rich.progress import Progress

_MAX_NAME_LENGTH = 24


class ReplayOutput:
    """Output of a replay.

    If `print_matches` is false, `print_match` prints nothing. `quiet` disables the progress bar.
    `flush_after` raises BrokenPipeError if the reader of stdout has closed the pipe, and FatalError for other
    write errors.
    """

    def __init__(self, *, print_matches: bool = True, quiet: bool = False) -> None:
        self._print_matches = print_matches
        # stdout and stderr are None in a process that was started without them.
        self._shows_bar = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._stdout_is_terminal = sys.stdout is not None and sys.stdout.isatty()
        self._bar: Progress | None = None
        self._current_file = ""

    @contextmanager
    def progress_bar(self, total: int | None, summary: ReplaySummary) -> Iterator[None]:
        """Show a progress bar until the end of the `with` block.

        `total` is the size of all files in bytes, or None if the size is unknown.
        """
        if not self._shows_bar:
            yield
            return
        started = perf_counter()

        def read_progress() -> dict[str, Any]:
            rate = summary.events_per_second(perf_counter() - started)
            counts = f"{summary.events:,} events, {rate:,}/s, {summary.matches:,} matches"
            return {
                "description": self._current_file,
                "completed": summary.byte_counts.read,
                "counts": counts,
            }

        with _polling_progress(read_progress) as self._bar:
            self._bar.add_task("", total=total, counts="")
            try:
                yield
            finally:
                self._bar.refresh()
                self._bar = None

    def set_current_file(self, name: str) -> None:
        self._current_file = truncate(name, _MAX_NAME_LENGTH)

    @contextmanager
    def flush_after(self) -> Iterator[None]:
        """Flush stdout at the end of the `with` block, so that the matches of the block are written."""
        try:
            yield
            print(end="", flush=True)
        except OSError as error:
            # Redirect stdout to /dev/null. Otherwise Python flushes the rest of the buffer at exit and
            # reports the error again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                raise
            raise FatalError(f"The matches cannot be written: {error.strerror}.") from None

    def print_match(self, row: Mapping[str, object]) -> None:
        """Print a match as one line of JSON."""
        if not self._print_matches:
            return
        line = json.dumps(row)
        if self._bar is not None and self._stdout_is_terminal:
            # The line is printed on the console of the bar. Otherwise the line and the bar would overwrite
            # each other.
            self._bar.console.out(line, highlight=False)
        else:
            print(line)

    def print_problem(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.out(text, highlight=False)
        else:
            print(text, file=sys.stderr)


def _polling_progress(read_progress: Callable[[], dict[str, Any]]) -> "Progress":
    # Rich is imported only if stderr is a terminal, so that the command starts fast in scripts.
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    class PollingProgress(Progress):
        """A progress bar that reads the current counts itself, each time the bar is drawn."""

        def get_renderables(self) -> Iterator[RenderableType]:
            for task in self.tasks:
                self.update(task.id, **read_progress())
            yield from super().get_renderables()

    return PollingProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TextColumn("{task.fields[counts]}", markup=False),
        console=Console(stderr=True),
        refresh_per_second=4,
        transient=True,
        # By default, Rich redirects stdout to the console of the bar. Matches would then go to stderr.
        redirect_stdout=False,
        redirect_stderr=False,
    )
