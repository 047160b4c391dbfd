"""Caches for the generated functions. They map field values to results that depend only on these values.

A host runs the same few programs again and again, so most field values occur more than once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar

from app.detection.eql.coercion import ValueMatcher, as_sequence, as_text, ascii_lower
from app.detection.eql.predicates import Predicate, TextIn, compile_any

RuleBlock: TypeAlias = tuple[int, Callable[..., None]]
"""(bit, function). The generated function tests some rules. The bit is set in the result of `CommonTermCache`
if the common terms of these rules are true."""

MAX_PREDICATE_ENTRIES = 512
MAX_ENTRIES = 4_096
MAX_KEY_LENGTH = 128
MAX_TUPLE_LENGTH = 8
"""Limits of the caches. A PredicateCache has at most MAX_PREDICATE_ENTRIES entries, and the other caches have
at most MAX_ENTRIES. A cached text has at most MAX_KEY_LENGTH characters, and a cached tuple has at most
MAX_TUPLE_LENGTH items. Longer texts and tuples are evaluated without a cache. Limits are necessary, because a
sender of events can invent any number of different values."""

_Key = TypeVar("_Key")
_Result = TypeVar("_Result")


class BoundedCache(dict[_Key, _Result], Generic[_Key, _Result]):
    """A dict of limited size. If the dict is full, `store` first resets its contents to `initial`."""

    def __init__(self, max_entries: int, initial: Mapping[_Key, _Result]) -> None:
        super().__init__(initial)
        self._max_entries, self._initial = max_entries, initial

    def store(self, key: _Key, result: _Result) -> None:
        if len(self) >= self._max_entries:
            self.clear()
            self.update(self._initial)
        self[key] = result


class PredicateCache(BoundedCache[object, bool]):
    """Cache of the results of a text predicate.

    `cache[value]` is true if the predicate holds for any text in `value`. `value` is the value of a field:
    None, a text or a tuple of texts.
    """

    def __init__(self, predicate: Predicate) -> None:
        super().__init__(MAX_PREDICATE_ENTRIES, {None: False})
        self._matches: ValueMatcher = predicate.compile()
        self._any_matches = predicate.compile_for_list()

    def __missing__(self, key: object) -> bool:
        if not isinstance(key, str):
            return isinstance(key, tuple) and self._any_matches(key)
        result = bool(self._matches(key))
        if len(key) <= MAX_KEY_LENGTH:
            self.store(key, result)
        return result


class FieldIndex(BoundedCache[object, Sequence[RuleBlock]]):
    """Index from the value of one field to the blocks whose rules can match an event with this value.

    For example, a rule with `process.name == "ssh"` is not tested for an event with the process name "bash".

    `blocks` is a list of (predicates, block). A lookup returns a block if at least one predicate of the block
    holds for the value. `index[value]` accepts None, a text or a tuple of texts. `index.lookup(value)`
    accepts every field value.
    """

    def __init__(self, blocks: Sequence[tuple[Sequence[Predicate], RuleBlock]]) -> None:
        # An event usually has only a few of the fields that rules read. Many lookups are therefore for None
        # (no value), so the result for None is stored in advance.
        super().__init__(MAX_ENTRIES, {None: ()})
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
                    key = ascii_lower(text) if predicate.ignore_case else text
                    by_text.setdefault(key, []).append(block)
        self._other_predicates: list[tuple[ValueMatcher, list[RuleBlock]]] = [
            (predicate.compile(), blocks_of_predicate)
            for predicate, blocks_of_predicate in others.items()
        ]
        self._matches_any_other = compile_any(list(others))

    def __missing__(self, text: object) -> Sequence[RuleBlock]:
        if not isinstance(text, str):
            return self.lookup(text)
        matching = [*self._exact.get(text, ()), *self._lowered.get(ascii_lower(text), ())]
        if self._matches_any_other(text):
            matching += (
                block
                for matches, blocks in self._other_predicates
                if matches(text)
                for block in blocks
            )
        possible = tuple(dict.fromkeys(matching))
        if len(text) <= MAX_KEY_LENGTH:
            self.store(text, possible)
        return possible

    def lookup(self, field_value: object) -> Sequence[RuleBlock]:
        """Return the blocks for all values in `field_value`, without duplicates."""
        if field_value is None:
            return ()
        possible: dict[RuleBlock, None] = {}
        for value in as_sequence(field_value):
            text = value if type(value) is str else as_text(value)
            if text is not None and (blocks := self[text]):
                possible.update(dict.fromkeys(blocks))
        return tuple(possible)


class CommonTermCache(BoundedCache[tuple[object, ...], int]):
    """Cache of bit masks. In `cache[values]`, bit N is set if `tests[N](*values)` is true.

    `values` are the values of several fields. Each value is None, a scalar or a tuple of scalars.
    """

    def __init__(self, tests: Sequence[Callable[..., object]]) -> None:
        super().__init__(MAX_ENTRIES, {})
        self._tests = tests

    def __missing__(self, values: tuple[object, ...]) -> int:
        common_bits = 0
        for number, holds in enumerate(self._tests):
            common_bits |= bool(holds(*values)) << number
        if all(map(_is_cacheable, values)):
            self.store(values, common_bits)
        return common_bits


def _is_cacheable(value: object) -> bool:
    """Return whether a cache may use `value` as a part of a key.

    The result is true for these values:

    - None
    - a text of at most MAX_KEY_LENGTH characters
    - a tuple of at most MAX_TUPLE_LENGTH cacheable values

    The result is false for numbers and booleans. A dict treats 1, 1.0 and True as equal keys, but rules
    distinguish these three values.
    """
    if isinstance(value, tuple):
        return len(value) <= MAX_TUPLE_LENGTH and all(map(_is_cacheable, value))
    return value is None or (isinstance(value, str) and len(value) <= MAX_KEY_LENGTH)
