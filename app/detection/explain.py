"""Why an event matches a rule, or why not: the rule's own syntax tree, with what each part found.

This walks the tree that `eql.compiler` compiles and asks the same clauses, one by one, without the
generated functions; a test holds both to the same answer.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import islice

from app.detection.eql.clauses import Clause, Leaf, category_clause, clause
from app.detection.eql.computed import Computed, computation, rows
from app.detection.eql.functions import Value
from app.detection.eql.tree import And, Expression, Not, Or
from app.detection.eql.values import Scalar
from app.detection.eql.wording import expected
from app.detection.rule import Rule
from app.domain.ecs import Document, values
from app.domain.text import shortened

MOST_MADE = 20
"""Results of a function that are told; an event may have many values."""

_VALUES_TOLD = 8
_LONGEST_TOLD = 200


class Word(StrEnum):
    """How a step joins the steps below it; CLAUSE has none below."""

    AND = "and"
    OR = "or"
    NOT = "not"
    CLAUSE = ""


@dataclass(frozen=True, slots=True)
class FoundField:
    """A field that a clause reads; `values` is empty where the event has none."""

    name: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a query, and whether it holds for the event.

    `text` is how the query has it, on one line. Of a clause, `expects` is what it asks, in words that
    follow the name of what is asked; `fields` are what the event has; `made` is what functions make
    of that, at most MOST_MADE results, None being null; `of` names what is asked.
    """

    word: Word
    text: str
    holds: bool
    of: str = ""
    expects: str = ""
    fields: tuple[FoundField, ...] = ()
    made: tuple[Value, ...] = ()
    steps: tuple["Step", ...] = ()

    def decisive(self) -> Iterator["Step"]:
        """The clauses that made the result what it is, in the order of the query."""
        if self.word is Word.CLAUSE:
            yield self
            return
        for step in self.steps:
            if self.word is Word.NOT or step.holds is self.holds:
                yield from step.decisive()

    def missing(self) -> list[str]:
        """Fields that the query asks for and the event does not have, each once."""
        names = [found.name for found in self.fields if not found.values]
        for step in self.steps:
            names += step.missing()
        return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Explanation:
    """`condition` is the whole query; an event matches `rule` if it holds."""

    rule: Rule
    condition: Step

    @property
    def matches(self) -> bool:
        return self.condition.holds


def explain(rule: Rule, document: Document) -> Explanation:
    """Every clause of `rule` for an event decoded whole (JSON types, as `formats` gives them)."""
    condition = _step(rule.tree.condition, rule.query, document)
    category = category_clause(rule.tree)
    if category is not None:
        asked = _clause_step(category, f"{rule.tree.category} where", document, True)
        steps = condition.steps if condition.word is Word.AND else (condition,)
        holds = asked.holds and condition.holds
        condition = Step(Word.AND, _line(rule.query), holds, steps=(asked, *steps))
    return Explanation(rule, condition)


def _step(node: Expression, query: str, document: Document, *, wanted: bool = True) -> Step:
    """`wanted` is what `node` must be for the query to match; each `not` turns it round."""
    text = _line(query[node.span.start : node.span.end])
    if isinstance(node, Not):
        inner = _step(node.operand, query, document, wanted=not wanted)
        return Step(Word.NOT, text, not inner.holds, steps=(inner,))
    if isinstance(node, And | Or):
        steps = tuple(_step(operand, query, document, wanted=wanted) for operand in node.operands)
        together = all if isinstance(node, And) else any
        word = Word.AND if isinstance(node, And) else Word.OR
        return Step(word, text, together(step.holds for step in steps), steps=steps)
    return _leaf_step(node, text, document, wanted)


def _leaf_step(node: Leaf, text: str, document: Document, wanted: bool) -> Step:
    asked = _asked(node)
    if isinstance(asked, bool):
        said = "always holds" if asked else "never holds"
        return Step(Word.CLAUSE, text, asked, of=text, expects=said)
    return _clause_step(asked, text, document, wanted)


def _clause_step(asked: Clause, text: str, document: Document, wanted: bool) -> Step:
    found = [values(document, name) for name in asked.fields]
    fields = tuple(
        FoundField(name, tuple(of_one)) for name, of_one in zip(asked.fields, found, strict=True)
    )
    made: tuple[Value, ...] = ()
    if isinstance(asked.subject, Computed):
        compute = computation(asked.subject)
        made = tuple(compute(row) for row in islice(rows(found), MOST_MADE))
    return Step(
        word=Word.CLAUSE,
        text=text,
        holds=_asker(asked, wanted is not asked.negated)(*found) is not asked.negated,
        of=asked.subject if isinstance(asked.subject, str) else "the result",
        expects=expected(asked),
        fields=tuple({one.name: one for one in fields}.values()),
        made=made,
    )


def told(values: Sequence[object]) -> str:
    """Values of an event as a list for people: texts in quotes, long ones cut, the rest counted."""
    if not values:
        return "nothing"
    shown = [_value(value) for value in values[:_VALUES_TOLD]]
    if len(values) > _VALUES_TOLD:
        shown.append(f"and {len(values) - _VALUES_TOLD:,} more")
    return ", ".join(shown)


def _value(value: object) -> str:
    if isinstance(value, str):
        return f"“{shortened(value, _LONGEST_TOLD)}”"
    return "null" if value is None else str(value).lower()


@lru_cache(maxsize=8_192)
def _asked(node: Leaf) -> Clause | bool:
    return clause(node)


@lru_cache(maxsize=8_192)
def _asker(asked: Clause, past_most: bool) -> Callable[..., bool]:
    return asked.asker(past_most=past_most)


def _line(text: str) -> str:
    return " ".join(text.split())
