"""Query trees to Python source: the terms of a condition, and what the names in them mean.

Nothing of a query's text goes into the source. Fields are the caller's local variables; texts,
numbers and patterns are bound to generated names, one per distinct question.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from app.detection.eql.clauses import Clause, build_clause, category_clause
from app.detection.eql.coercion import ANY_VALUE_TESTS, ValueType
from app.detection.eql.computations import Computation
from app.detection.eql.predicate_cache import PredicateCache
from app.detection.eql.predicates import Exists, Predicate, TextIn
from app.detection.eql.syntax_tree import And, Expression, Not, Or, Query

_BindingKey: TypeAlias = Predicate | tuple[Predicate, str] | tuple[Computation, Predicate, bool]

_FAST_PATH_TYPES = {ValueType.TEXT: "str", ValueType.ANY: "str", ValueType.NUMBER: "int"}
_COST: dict[type, int] = {TextIn: 1, Exists: 1}
HIGH_CARDINALITY_SUFFIXES = (".args", ".command_line", ".pid", ".entity_id", ".id", ".title")
"""Ends of fields with so many values that answers about one are hardly asked for again."""

_SELECTIVE_SUFFIXES = (".name", ".executable")
"""Ends of fields with many values, few of which a rule looks for: asking them first saves the rest."""
COMMON_FIELD_PREFIXES = ("event.", "host.os.", "data_stream.", "ecs.")
"""Fields with few values, the same in most events: asking them early decides little."""


FieldPredicates: TypeAlias = dict[str, tuple[Predicate, ...]]


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
    implied_predicates: FieldPredicates = field(compare=False)
    is_exact: bool = field(compare=False, default=False)
    alternatives: FieldPredicates = field(compare=False, default_factory=dict)

    @property
    def is_common(self) -> bool:
        return bool(self.fields) and all(
            name.startswith(COMMON_FIELD_PREFIXES) for name in self.fields
        )


class Compiler:
    """Compiles queries that share a namespace.

    `local` gives the local variable of a field, which holds None, a scalar, or a list of scalars and
    None; where `is_text`, None, a text, or a tuple of texts.
    """

    def __init__(
        self, local_name: Callable[[str], str], is_text: Callable[[str], bool] = lambda _name: False
    ) -> None:
        self._local_name = local_name
        self._is_text = is_text
        self._bindings: dict[_BindingKey, str] = {}
        self.namespace: dict[str, object] = {
            str(value_type): function for value_type, function in ANY_VALUE_TESTS.items()
        }
        """What the names in compiled conditions stand for."""

    def legend(self) -> list[tuple[str, object]]:
        """Each generated name with the question it asks, for whoever reads the source."""
        return [(name, predicate) for predicate, name in self._bindings.items()]

    def compile_terms(self, query: Query) -> list[Term]:
        """What an event must meet to match `query`, each term once."""
        category = category_clause(query)
        found = [] if category is None else [self._clause_term(category)]
        pending: list[Expression] = [query.condition]
        while pending:
            node = pending.pop()
            if isinstance(node, And):
                pending.extend(reversed(node.operands))
            else:
                found.append(self._term(node))
        return list(dict.fromkeys(found))

    def _term(self, node: Expression, *, polarity: bool = True) -> Term:
        """`wanted` is what `node` must be for the query to match; each `not` turns it round."""
        if isinstance(node, And | Or):
            # Order changes nothing but the speed: a condition is true or false, never unknown.
            terms = [self._term(operand, polarity=polarity) for operand in node.operands]
            terms.sort(key=lambda term: term.cost)
            word, merge_implied, merge_alternatives = (
                (" and ", _implied_by_all, cheapest_alternatives)
                if isinstance(node, And)
                else (" or ", _implied_by_any, _union_of_alternatives)
            )
            return Term(
                source=f"({word.join(term.source for term in terms)})",
                cost=sum(term.cost for term in terms),
                fields=frozenset().union(*(term.fields for term in terms)),
                implied_predicates=merge_implied([term.implied_predicates for term in terms]),
                alternatives=merge_alternatives([term.alternatives for term in terms]),
            )
        if isinstance(node, Not):
            term = self._term(node.operand, polarity=not polarity)
            return Term(f"(not {term.source})", term.cost + 1, term.fields, {})
        found = build_clause(node)
        return (
            Term(str(found), 0, frozenset(), {})
            if isinstance(found, bool)
            else self._clause_term(found, polarity)
        )

    def _clause_term(self, found: Clause, polarity: bool = True) -> Term:
        cost = _COST.get(type(found.predicate), 5 if isinstance(found.target, str) else 20)
        cost += (
            3 * any(name.startswith(COMMON_FIELD_PREFIXES) for name in found.fields) + found.negated
        )
        cost -= all(name.endswith(_SELECTIVE_SUFFIXES) for name in found.fields)
        fields = frozenset(found.fields)
        if isinstance(found.target, Computation):
            source = self._computation_source(found.target, found, polarity is not found.negated)
            return Term(f"(not {source})" if found.negated else source, cost, fields, {})
        source = self._field_source(found.target, found.predicate)
        if found.negated:
            return Term(f"(not {source})", cost, fields, {})
        field_predicates: FieldPredicates = {found.target: (found.predicate,)}
        usable = found.predicate.value_type is ValueType.TEXT and not found.target.startswith(
            COMMON_FIELD_PREFIXES
        )
        return Term(
            source,
            cost,
            fields,
            field_predicates,
            is_exact=True,
            alternatives=field_predicates if usable else {},
        )

    def _field_source(self, name: str, predicate: Predicate) -> str:
        variable = self._local_name(name)
        if self._is_text(name) and isinstance(predicate, Exists):
            return f"({variable} is not None and {variable} != ())"
        if self._is_text(name) and predicate.value_type is ValueType.TEXT:
            if not name.endswith(HIGH_CARDINALITY_SUFFIXES):
                return f"{self._bind(predicate, predicate, lambda: PredicateCache(predicate))}[{variable}]"
            test = self._bind((predicate, "new"), predicate, predicate.compile)
            of_list = f"{test}_of_list"
            self.namespace[of_list] = predicate.compile_for_list()
            return (
                f"({test}({variable}) if type({variable}) is str"
                f" else {variable} is not None and {of_list}({variable}))"
            )
        test = self._bind((predicate, "any"), predicate, predicate.compile)
        source = f"{predicate.value_type}({variable}, {test})"
        if fast_path_type := _FAST_PATH_TYPES.get(predicate.value_type):
            return f"({test}({variable}) if type({variable}) is {fast_path_type} else {source})"
        return source

    def _computation_source(self, computation: Computation, found: Clause, polarity: bool) -> str:
        key = (computation, found.predicate, polarity)
        test = self._bind(key, found.predicate, lambda: found.compile(result_over_limit=polarity))
        return f"{test}({', '.join(map(self._local_name, found.fields))})"

    def _bind(
        self,
        key: _BindingKey,
        predicate: Predicate,
        build: Callable[[], object],
    ) -> str:
        if key not in self._bindings:
            name = f"q{len(self._bindings)}_{type(predicate).__name__}"
            self._bindings[key] = name
            self.namespace[name] = build()
        return self._bindings[key]


def _implied_by_all(parts: Iterable[FieldPredicates]) -> FieldPredicates:
    implied_predicates: FieldPredicates = {}
    for part in parts:
        for name, predicates in part.items():
            implied_predicates.setdefault(name, predicates)
    return implied_predicates


def _implied_by_any(parts: Iterable[FieldPredicates]) -> FieldPredicates:
    first, *others = parts
    return {
        name: tuple(dict.fromkeys([*predicates, *(q for other in others for q in other[name])]))
        for name, predicates in first.items()
        if all(name in other for other in others)
    }


def cheapest_alternatives(parts: Iterable[FieldPredicates]) -> FieldPredicates:
    """Of those that must all hold, the one that asks least of fields whose values are often new."""

    def new(part: FieldPredicates) -> tuple[int, int]:
        return sum(name.endswith(HIGH_CARDINALITY_SUFFIXES) for name in part), len(part)

    return min(filter(None, parts), key=new, default={})


def _union_of_alternatives(parts: Sequence[FieldPredicates]) -> FieldPredicates:
    """Of those of which one must hold, all together; nothing if one of them can hold without any."""
    if not all(parts):
        return {}
    field_predicates: dict[str, dict[Predicate, None]] = {}
    for part in parts:
        for name, predicates in part.items():
            field_predicates.setdefault(name, {}).update(dict.fromkeys(predicates))
    return {name: tuple(predicates) for name, predicates in field_predicates.items()}
