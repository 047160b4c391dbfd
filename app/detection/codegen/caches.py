"""From what an event has in a field to the blocks of rules that this leaves possible.

A rule that asks `process.name == "ssh"` need not be looked at for an event of `bash`. Which blocks a
value leaves is worked out when it is first seen, and kept: hosts run few programs, again and again.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from app.detection.eql.coercion import ValueMatcher, as_sequence, as_text, ascii_lower
from app.detection.eql.predicates import Predicate, TextIn, compile_any

RuleBlock: TypeAlias = tuple[int, Callable[..., None]]
"""A function for some rules, with the bit of what else must hold for all of them (see `Gate`)."""

MAX_ENTRIES = 4_096
MAX_KEY_LENGTH = 128
MAX_TUPLE_LENGTH = 8
"""Values, characters of one, and texts of a list, that are kept. Whoever writes events may make up
values without end; they are answered too, only more slowly."""


# Most events lack most of the fields that many rules look into.
_NO_VALUE: dict[object, Sequence[RuleBlock]] = {None: ()}


class FieldIndex(dict[object, Sequence[RuleBlock]]):
    """By one field: `index[found]` for None, a text or a tuple of texts, `index.look(found)` for all else
    that an event may have.

    `blocks` pairs questions, of which a value of the field must fit one, with a block of rules.
    """

    def __init__(self, blocks: Sequence[tuple[Sequence[Predicate], RuleBlock]]) -> None:
        super().__init__(_NO_VALUE)
        self._exact: dict[str, list[RuleBlock]] = {}
        self._lowered: dict[str, list[RuleBlock]] = {}
        others: dict[Predicate, list[RuleBlock]] = {}
        for predicates, block in blocks:
            for predicate in predicates:
                if not isinstance(predicate, TextIn):
                    others.setdefault(predicate, []).append(block)
                    continue
                by_text = self._lowered if predicate.ignore_case else self._exact
                for text in predicate.texts:
                    by_text.setdefault(
                        ascii_lower(text) if predicate.ignore_case else text, []
                    ).append(block)
        self._other_predicates: list[tuple[ValueMatcher, list[RuleBlock]]] = [
            (predicate.compile(), found) for predicate, found in others.items()
        ]
        self._matches_any_other = compile_any(list(others))

    def __missing__(self, text: object) -> Sequence[RuleBlock]:
        if not isinstance(text, str):
            return self.lookup(text)
        found = [*self._exact.get(text, ()), *self._lowered.get(ascii_lower(text), ())]
        if self._matches_any_other(text):
            found += (
                block
                for matches, blocks in self._other_predicates
                if matches(text)
                for block in blocks
            )
        possible = tuple(dict.fromkeys(found))
        if len(text) <= MAX_KEY_LENGTH:
            if len(self) >= MAX_ENTRIES:
                self.clear()
                self.update(_NO_VALUE)
            self[text] = possible
        return possible

    def lookup(self, field_value: object) -> Sequence[RuleBlock]:
        """The blocks that any of the values in `found` leaves possible, each once."""
        if field_value is None:
            return ()
        possible: dict[RuleBlock, None] = {}
        for value in as_sequence(field_value):
            text = value if type(value) is str else as_text(value)
            if text is not None and (blocks := self[text]):
                possible.update(dict.fromkeys(blocks))
        return tuple(possible)


class CommonTermCache(dict[tuple[object, ...], int]):
    """From the values of several fields with few values, `gate[values]`, to bits: one for each of `tests`.

    Each value is None, a scalar, or a tuple of them; a test gets them all. One more bit is always set,
    so that an answer is never 0.
    """

    def __init__(self, tests: Sequence[Callable[..., object]]) -> None:
        super().__init__()
        self._tests = tests

    def __missing__(self, values: tuple[object, ...]) -> int:
        common_bits = 1 << len(self._tests)
        for number, holds in enumerate(self._tests):
            common_bits |= bool(holds(*values)) << number
        if all(map(_is_cacheable, values)):
            if len(self) >= MAX_ENTRIES:
                self.clear()
            self[values] = common_bits
        return common_bits


def _is_cacheable(value: object) -> bool:
    """Texts only: to a dict 1, 1.0 and True are the same, to a rule they are not."""
    if isinstance(value, tuple):
        return len(value) <= MAX_TUPLE_LENGTH and all(map(_is_cacheable, value))
    return value is None or (isinstance(value, str) and len(value) <= MAX_KEY_LENGTH)
