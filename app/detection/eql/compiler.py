"""Query trees to Python source: the terms of a condition, and what the names in them mean.

Nothing of a query's text goes into the source. Fields are the caller's local variables; texts,
numbers and patterns are bound to generated names, one per distinct question.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from app.detection.eql.answers import Answers
from app.detection.eql.clauses import Clause, category_clause, clause
from app.detection.eql.computed import Computed
from app.detection.eql.questions import Exists, Question, TextIs
from app.detection.eql.tree import And, Expression, Not, Or, Query
from app.detection.eql.values import READERS, Reader

_Key: TypeAlias = Question | tuple[Question, str] | tuple[Computed, Question, bool]

_SHORTCUT = {Reader.TEXT: "str", Reader.VALUE: "str", Reader.NUMBER: "int"}
_COST: dict[type, int] = {TextIs: 1, Exists: 1}
OFTEN_NEW = (".args", ".command_line", ".pid", ".entity_id", ".id", ".title")
"""Ends of fields with so many values that answers about one are hardly asked for again."""

_TELLING = (".name", ".executable")
"""Ends of fields with many values, few of which a rule looks for: asking them first saves the rest."""
COMMON = ("event.", "host.os.", "data_stream.", "ecs.")
"""Fields with few values, the same in most events: asking them early decides little."""


Asked: TypeAlias = dict[str, tuple[Question, ...]]


@dataclass(frozen=True, slots=True)
class Term:
    """One of the conditions that an event must meet, all of them, for a query to match.

    `source` is a Python expression; equal terms have equal sources. `fields` are read by it.
    `implied` has questions about single fields of which, for each field, one must be answered with
    yes for the term to hold; `exact` says that there is no more to the term than that. `either` has such
    questions about several fields, of which one must be answered with yes in one of them. `cost`
    tells which term to ask first.
    """

    source: str
    cost: int = field(compare=False)
    fields: frozenset[str] = field(compare=False)
    implied: Asked = field(compare=False)
    exact: bool = field(compare=False, default=False)
    either: Asked = field(compare=False, default_factory=dict)

    @property
    def is_common(self) -> bool:
        return bool(self.fields) and all(name.startswith(COMMON) for name in self.fields)


class Compiler:
    """Compiles queries that share a namespace.

    `local` gives the local variable of a field, which holds None, a scalar, or a list of scalars and
    None; where `is_text`, None, a text, or a tuple of texts.
    """

    def __init__(
        self, local: Callable[[str], str], is_text: Callable[[str], bool] = lambda _name: False
    ) -> None:
        self._local = local
        self._is_text = is_text
        self._names: dict[_Key, str] = {}
        self.namespace: dict[str, object] = {
            str(reader): function for reader, function in READERS.items()
        }
        """What the names in compiled conditions stand for."""

    def legend(self) -> list[tuple[str, object]]:
        """Each generated name with the question it asks, for whoever reads the source."""
        return [(name, question) for question, name in self._names.items()]

    def terms(self, query: Query) -> list[Term]:
        """What an event must meet to match `query`, each term once."""
        category = category_clause(query)
        found = [] if category is None else [self._clause(category)]
        pending: list[Expression] = [query.condition]
        while pending:
            node = pending.pop()
            if isinstance(node, And):
                pending.extend(reversed(node.operands))
            else:
                found.append(self._term(node))
        return list(dict.fromkeys(found))

    def _term(self, node: Expression, *, wanted: bool = True) -> Term:
        """`wanted` is what `node` must be for the query to match; each `not` turns it round."""
        if isinstance(node, And | Or):
            # Order changes nothing but the speed: a condition is true or false, never unknown.
            terms = [self._term(operand, wanted=wanted) for operand in node.operands]
            terms.sort(key=lambda term: term.cost)
            word, implied, either = (
                (" and ", _all, least) if isinstance(node, And) else (" or ", _any, _one_of)
            )
            return Term(
                source=f"({word.join(term.source for term in terms)})",
                cost=sum(term.cost for term in terms),
                fields=frozenset().union(*(term.fields for term in terms)),
                implied=implied([term.implied for term in terms]),
                either=either([term.either for term in terms]),
            )
        if isinstance(node, Not):
            term = self._term(node.operand, wanted=not wanted)
            return Term(f"(not {term.source})", term.cost + 1, term.fields, {})
        found = clause(node)
        return (
            Term(str(found), 0, frozenset(), {})
            if isinstance(found, bool)
            else self._clause(found, wanted)
        )

    def _clause(self, found: Clause, wanted: bool = True) -> Term:
        cost = _COST.get(type(found.question), 5 if isinstance(found.subject, str) else 20)
        cost += 3 * any(name.startswith(COMMON) for name in found.fields) + found.negated
        cost -= all(name.endswith(_TELLING) for name in found.fields)
        fields = frozenset(found.fields)
        if isinstance(found.subject, Computed):
            source = self._combined(found.subject, found, wanted is not found.negated)
            return Term(f"(not {source})" if found.negated else source, cost, fields, {})
        source = self._single(found.subject, found.question)
        if found.negated:
            return Term(f"(not {source})", cost, fields, {})
        asked: Asked = {found.subject: (found.question,)}
        usable = found.question.reader is Reader.TEXT and not found.subject.startswith(COMMON)
        return Term(source, cost, fields, asked, exact=True, either=asked if usable else {})

    def _single(self, name: str, question: Question) -> str:
        variable = self._local(name)
        if self._is_text(name) and isinstance(question, Exists):
            return f"({variable} is not None and {variable} != ())"
        if self._is_text(name) and question.reader is Reader.TEXT:
            if not name.endswith(OFTEN_NEW):
                return f"{self._name(question, question, lambda: Answers(question))}[{variable}]"
            test = self._name((question, "new"), question, question.test)
            of_list = f"{test}_of_list"
            self.namespace[of_list] = question.list_test()
            return (
                f"({test}({variable}) if type({variable}) is str"
                f" else {variable} is not None and {of_list}({variable}))"
            )
        test = self._name((question, "any"), question, question.test)
        source = f"{question.reader}({variable}, {test})"
        if shortcut := _SHORTCUT.get(question.reader):
            return f"({test}({variable}) if type({variable}) is {shortcut} else {source})"
        return source

    def _combined(self, subject: Computed, found: Clause, wanted: bool) -> str:
        key = (subject, found.question, wanted)
        test = self._name(key, found.question, lambda: found.asker(past_most=wanted))
        return f"{test}({', '.join(map(self._local, found.fields))})"

    def _name(
        self,
        key: _Key,
        question: Question,
        made: Callable[[], object],
    ) -> str:
        if key not in self._names:
            name = f"q{len(self._names)}_{type(question).__name__}"
            self._names[key] = name
            self.namespace[name] = made()
        return self._names[key]


def _all(parts: Iterable[Asked]) -> Asked:
    implied: Asked = {}
    for part in parts:
        for name, questions in part.items():
            implied.setdefault(name, questions)
    return implied


def _any(parts: Iterable[Asked]) -> Asked:
    first, *others = parts
    return {
        name: tuple(dict.fromkeys([*questions, *(q for other in others for q in other[name])]))
        for name, questions in first.items()
        if all(name in other for other in others)
    }


def least(parts: Iterable[Asked]) -> Asked:
    """Of those that must all hold, the one that asks least of fields whose values are often new."""

    def new(part: Asked) -> tuple[int, int]:
        return sum(name.endswith(OFTEN_NEW) for name in part), len(part)

    return min(filter(None, parts), key=new, default={})


def _one_of(parts: Sequence[Asked]) -> Asked:
    """Of those of which one must hold, all together; nothing if one of them can hold without any."""
    if not all(parts):
        return {}
    asked: dict[str, dict[Question, None]] = {}
    for part in parts:
        for name, questions in part.items():
            asked.setdefault(name, {}).update(dict.fromkeys(questions))
    return {name: tuple(questions) for name, questions in asked.items()}
