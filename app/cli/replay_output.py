"""Where a replay speaks: matches on stdout, everything else on stderr, with a bar on a terminal."""

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
    """`print_matches` is whether they are written, `quiet` whether a terminal goes without a bar.

    `flush_after` raises BrokenPipeError when nobody reads any more, FatalError when that fails otherwise.
    """

    def __init__(self, *, print_matches: bool = True, quiet: bool = False) -> None:
        self._print_matches = print_matches
        # Either is None for a process that was started without it.
        self._shows_bar = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._stdout_is_terminal = sys.stdout is not None and sys.stdout.isatty()
        self._bar: Progress | None = None
        self._current_file = ""

    @contextmanager
    def progress_bar(self, total: int | None, summary: ReplaySummary) -> Iterator[None]:
        """A bar over `total` bytes, None for as many as will come; it is gone at the end."""
        if not self._shows_bar:
            yield
            return
        started = perf_counter()

        def read_progress() -> dict[str, Any]:
            rate = summary.events_per_second(perf_counter() - started)
            counts = f"{summary.events:,} events, {rate:,}/s, {summary.matches:,} matches"
            return {
                "description": self._current_file,
                "completed": summary.bytes_read,
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
        """Around the matches of a block: at its end, all of them are on their way."""
        try:
            yield
            print(end="", flush=True)
        except OSError as error:
            # What is left in the buffer would be tried once more, and complained of, at the exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                raise
            raise FatalError(f"The matches cannot be written: {error.strerror}.") from None

    def print_match(self, row: Mapping[str, object]) -> None:
        """One line of JSON."""
        if not self._print_matches:
            return
        line = json.dumps(row)
        if self._bar is not None and self._stdout_is_terminal:
            # Whoever draws the bar must know of the line, or each would write over the other.
            self._bar.console.out(line, highlight=False)
        else:
            print(line)

    def print_problem(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.out(text, highlight=False)
        else:
            print(text, file=sys.stderr)


def _polling_progress(read_progress: Callable[[], dict[str, Any]]) -> "Progress":
    # Not loaded for a script, which has no terminal.
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    class PollingProgress(Progress):
        """Asks how far it is whenever it is drawn: being counts with each block would cost more."""

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
        # Matches belong on stdout, also while there is a bar on stderr.
        redirect_stdout=False,
        redirect_stderr=False,
    )
