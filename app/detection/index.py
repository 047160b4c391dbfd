"""From what an event has in a field to the blocks of rules that this leaves possible.

A rule that asks `process.name == "ssh"` need not be looked at for an event of `bash`. Which blocks a
value leaves is worked out when it is first seen, and kept: hosts run few programs, again and again.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from app.detection.eql.questions import Question, TextIs, any_of
from app.detection.eql.values import Fits, as_text, each, fold

Block: TypeAlias = tuple[int, Callable[..., None]]
"""A function for some rules, with the bit of what else must hold for all of them (see `Gate`)."""

MOST_KEPT = 4_096
LONGEST_KEPT = 128
MOST_TOGETHER = 8
"""Values, characters of one, and texts of a list, that are kept. Whoever writes events may make up
values without end; they are answered too, only more slowly."""


# Most events lack most of the fields that many rules look into.
_NOTHING: dict[object, Sequence[Block]] = {None: ()}


class Index(dict[object, Sequence[Block]]):
    """By one field: `index[found]` for None, a text or a tuple of texts, `index.look(found)` for all else
    that an event may have.

    `blocks` pairs questions, of which a value of the field must fit one, with a block of rules.
    """

    def __init__(self, blocks: Sequence[tuple[Sequence[Question], Block]]) -> None:
        super().__init__(_NOTHING)
        self._exact: dict[str, list[Block]] = {}
        self._folded: dict[str, list[Block]] = {}
        asked: dict[Question, list[Block]] = {}
        for questions, block in blocks:
            for question in questions:
                if not isinstance(question, TextIs):
                    asked.setdefault(question, []).append(block)
                    continue
                known = self._folded if question.any_case else self._exact
                for text in question.texts:
                    known.setdefault(fold(text) if question.any_case else text, []).append(block)
        self._asked: list[tuple[Fits, list[Block]]] = [
            (question.test(), found) for question, found in asked.items()
        ]
        self._any = any_of(list(asked))

    def __missing__(self, text: object) -> Sequence[Block]:
        if not isinstance(text, str):
            return self.look(text)
        found = [*self._exact.get(text, ()), *self._folded.get(fold(text), ())]
        if self._any(text):
            found += (block for fits, blocks in self._asked if fits(text) for block in blocks)
        possible = tuple(dict.fromkeys(found))
        if len(text) <= LONGEST_KEPT:
            if len(self) >= MOST_KEPT:
                self.clear()
                self.update(_NOTHING)
            self[text] = possible
        return possible

    def look(self, found: object) -> Sequence[Block]:
        """The blocks that any of the values in `found` leaves possible, each once."""
        if found is None:
            return ()
        possible: dict[Block, None] = {}
        for value in each(found):
            text = value if type(value) is str else as_text(value)
            if text is not None and (blocks := self[text]):
                possible.update(dict.fromkeys(blocks))
        return tuple(possible)


class Gate(dict[tuple[object, ...], int]):
    """From the values of several fields with few values, `gate[values]`, to bits: one for each of `tests`.

    Each value is None, a scalar, or a tuple of them; a test gets them all. One more bit is always set,
    so that an answer is never 0.
    """

    def __init__(self, tests: Sequence[Callable[..., object]]) -> None:
        super().__init__()
        self._tests = tests

    def __missing__(self, values: tuple[object, ...]) -> int:
        held = 1 << len(self._tests)
        for number, holds in enumerate(self._tests):
            held |= bool(holds(*values)) << number
        if all(map(_is_kept, values)):
            if len(self) >= MOST_KEPT:
                self.clear()
            self[values] = held
        return held


def _is_kept(value: object) -> bool:
    """Texts only: to a dict 1, 1.0 and True are the same, to a rule they are not."""
    if isinstance(value, tuple):
        return len(value) <= MOST_TOGETHER and all(map(_is_kept, value))
    return value is None or (isinstance(value, str) and len(value) <= LONGEST_KEPT)
