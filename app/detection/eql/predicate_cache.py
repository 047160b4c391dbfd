"""Answers to a question, kept by the value that it was asked of.

Hosts run few programs, again and again, so that most values have been seen before.
"""

from app.detection.eql.coercion import ValueMatcher
from app.detection.eql.predicates import Predicate

MAX_ENTRIES = 512
MAX_KEY_LENGTH = 128
"""Values, and characters of one, that are kept. Whoever writes events may make up values without
end; they are answered too, only more slowly."""


class PredicateCache(dict[object, bool]):
    """`answers[found]`: whether any of what an event has in a field fits.

    `found` is None, a text or a tuple of texts. `question` is one about texts.
    """

    def __init__(self, predicate: Predicate) -> None:
        super().__init__({None: False})
        self._matches: ValueMatcher = predicate.compile()
        self._any_matches = predicate.compile_for_list()

    def __missing__(self, key: object) -> bool:
        if not isinstance(key, str):
            return isinstance(key, tuple) and self._any_matches(key)
        result = bool(self._matches(key))
        if len(key) <= MAX_KEY_LENGTH:
            if len(self) >= MAX_ENTRIES:
                self.clear()
                self[None] = False
            self[key] = result
        return result
