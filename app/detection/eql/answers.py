"""Answers to a question, kept by the value that it was asked of.

Hosts run few programs, again and again, so that most values have been seen before.
"""

from app.detection.eql.questions import Question
from app.detection.eql.values import Fits

MOST_KEPT = 512
LONGEST_KEPT = 128
"""Values, and characters of one, that are kept. Whoever writes events may make up values without
end; they are answered too, only more slowly."""


class Answers(dict[object, bool]):
    """`answers[found]`: whether any of what an event has in a field fits.

    `found` is None, a text or a tuple of texts. `question` is one about texts.
    """

    def __init__(self, question: Question) -> None:
        super().__init__({None: False})
        self._fits: Fits = question.test()
        self._any_fits = question.list_test()

    def __missing__(self, found: object) -> bool:
        if not isinstance(found, str):
            return isinstance(found, tuple) and self._any_fits(found)
        answer = bool(self._fits(found))
        if len(found) <= LONGEST_KEPT:
            if len(self) >= MOST_KEPT:
                self.clear()
                self[None] = False
            self[found] = answer
        return answer
