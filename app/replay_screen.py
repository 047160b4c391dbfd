"""Where a replay speaks: matches on stdout, everything else on stderr, with a bar on a terminal."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from app.domain.errors import Unusable
from app.domain.text import clipped
from app.replay_summary import Summary

if TYPE_CHECKING:
    from rich.progress import Progress

_NAME_SHOWN = 24


class Screen:
    """`matches` is whether they are written, `quiet` whether a terminal goes without a bar.

    `writing` raises BrokenPipeError when nobody reads any more, Unusable when that fails otherwise.
    """

    def __init__(self, *, matches: bool = True, quiet: bool = False) -> None:
        self._matches = matches
        # Either is None for a process that was started without it.
        self._wants_bar = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._on_terminal = sys.stdout is not None and sys.stdout.isatty()
        self._bar: Progress | None = None
        self._name = ""

    @contextmanager
    def bar(self, total: int | None, summary: Summary) -> Iterator[None]:
        """A bar over `total` bytes, None for as many as will come; it is gone at the end."""
        if not self._wants_bar:
            yield
            return
        begun = perf_counter()

        def state() -> dict[str, Any]:
            rate = summary.rate(perf_counter() - begun)
            told = f"{summary.events:,} events, {rate:,}/s, {summary.matches:,} matches"
            return {"description": self._name, "completed": summary.read, "told": told}

        with _bar(state) as self._bar:
            self._bar.add_task("", total=total, told="")
            try:
                yield
            finally:
                self._bar.refresh()
                self._bar = None

    def reading(self, name: str) -> None:
        self._name = clipped(name, _NAME_SHOWN)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around the matches of a block: at its end, all of them are on their way."""
        try:
            yield
            print(end="", flush=True)
        except OSError as error:
            # What is left in the buffer would be tried once more, and complained of, at the exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                raise
            raise Unusable(f"The matches cannot be written: {error.strerror}.") from None

    def match(self, row: Mapping[str, object]) -> None:
        """One line of JSON."""
        if not self._matches:
            return
        line = json.dumps(row)
        if self._bar is not None and self._on_terminal:
            # Whoever draws the bar must know of the line, or each would write over the other.
            self._bar.console.out(line, highlight=False)
        else:
            print(line)

    def problem(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.out(text, highlight=False)
        else:
            print(text, file=sys.stderr)


def _bar(state: Callable[[], dict[str, Any]]) -> "Progress":
    # Not loaded for a script, which has no terminal.
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    class Bar(Progress):
        """Asks how far it is whenever it is drawn: being told with each block would cost more."""

        def get_renderables(self) -> Iterator[RenderableType]:
            for task in self.tasks:
                self.update(task.id, **state())
            yield from super().get_renderables()

    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TextColumn("{task.fields[told]}", markup=False),
        console=Console(stderr=True),
        refresh_per_second=4,
        transient=True,
        # Matches belong on stdout, also while there is a bar on stderr.
        redirect_stdout=False,
        redirect_stderr=False,
    )
