"""Compilation of a query to terms: Python expressions that must all be true for the query to match.

An expression reads each field from a local variable and refers to each predicate by a generated name, such as
`q3_TextIn`. The expression contains no text of the query except field names inside variable names.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from app.detection.codegen.caches import PredicateCache
from app.detection.eql.clauses import Clause
from app.detection.eql.coercion import ANY_VALUE_TESTS, ValueType
from app.detection.eql.computations import Computation
from app.detection.eql.predicates import Exists, Predicate, TextIn
from app.detection.eql.query import CompiledQuery
from app.detection.eql.syntax_tree import And, Expression, Not, Or

_BindingKey: TypeAlias = Predicate | tuple[Predicate, str] | tuple[Computation, Predicate, bool]

_FAST_PATH_TYPES = {ValueType.TEXT: "str", ValueType.ANY: "str", ValueType.NUMBER: "int"}
_COST: dict[type, int] = {TextIn: 1, Exists: 1}
HIGH_CARDINALITY_SUFFIXES = (".args", ".command_line", ".pid", ".entity_id", ".id", ".title")
"""Suffixes of fields with so many different values that caching a result for each value saves no time."""

_SELECTIVE_SUFFIXES = (".name", ".executable")
"""Suffixes of fields whose terms are false for most events. The `cost` of these terms is reduced, so that
they are tested early."""
COMMON_FIELD_PREFIXES = ("event.", "host.os.", "data_stream.", "ecs.")
"""Prefixes of fields that have the same few values in most events. Terms on these fields exclude few events.
Their `cost` is increased, so that they are tested late."""


FieldPredicates: TypeAlias = dict[str, tuple[Predicate, ...]]
"""Predicates by field name."""


@dataclass(frozen=True, slots=True)
class Term:
    """A condition that must be true for a query to match.

    - `source`: the Python expression. Terms with the same source are equal.
    - `cost`: terms with a lower cost are tested first.
    - `fields`: the fields that the term reads.
    - `implied_predicates`: predicates by field name. If the term is true, every field in this mapping has a
      predicate that holds. For example, `a == "x" and b == "y"` implies `== "x"` for `a`, and `== "y"` for
      `b`.
    - `is_exact`: if true, the term is true whenever the implied predicates hold. An index lookup can then
      replace the term.
    - `alternatives`: predicates by field name. If the term is true, one or more fields in this mapping have a
      predicate that holds. For example, the alternatives of `a == "x" or b == "y"` are `== "x"` for `a`, and
      `== "y"` for `b`. If no alternatives are known, the mapping is empty.
    """

    source: str
    cost: int = field(compare=False)
    fields: frozenset[str] = field(compare=False)
    implied_predicates: FieldPredicates = field(compare=False)
    is_exact: bool = field(compare=False, default=False)
    alternatives: FieldPredicates = field(compare=False, default_factory=dict)

    @property
    def is_common(self) -> bool:
        """True if every field of the term has only a few different values.

        The result of the term can then be cached. A term without fields is not common.
        """
        return bool(self.fields) and all(
            name.startswith(COMMON_FIELD_PREFIXES) for name in self.fields
        )


class TermCompiler:
    """Compiles queries to terms. The terms of all queries share `namespace`.

    `local_name(field)` returns the name of the local variable of the field. `is_text(field)` decides which
    values the variable can hold:

    - If true: None, a text or a tuple of texts.
    - If false: None, a scalar or a list. Each item of the list is None or a scalar.
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
        """The global variables that the source of the terms needs, by name."""

    def legend(self) -> list[tuple[str, object]]:
        """Return (generated name, predicate) pairs, for the comments in the generated source."""
        return [(name, predicate) for predicate, name in self._bindings.items()]

    def compile_terms(self, query: CompiledQuery) -> list[Term]:
        """Return the terms of `query` without duplicates. The query matches if all terms are true."""
        category = query.category_clause
        terms = [] if category is None else [self._clause_term(category)]
        pending: list[Expression] = [query.condition]
        while pending:
            node = pending.pop()
            if isinstance(node, And):
                pending.extend(reversed(node.operands))
            else:
                terms.append(self._term(node, query))
        return list(dict.fromkeys(terms))

    def _term(self, node: Expression, query: CompiledQuery, *, polarity: bool = True) -> Term:
        """Return the term of `node`.

        `polarity` is true if the query needs `node` to be true. `polarity` is false if the query needs `node`
        to be false. For example, `polarity` is false for `b` in the query `a and not b`.
        """
        if isinstance(node, And | Or):
            # A condition is always true or false and has no side effects, so the order of the operands
            # affects only the speed.
            terms = [self._term(operand, query, polarity=polarity) for operand in node.operands]
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
            term = self._term(node.operand, query, polarity=not polarity)
            return Term(f"(not {term.source})", term.cost + 1, term.fields, {})
        clause = query.clauses[node]
        if isinstance(clause, bool):
            return Term(str(clause), 0, frozenset(), {})
        return self._clause_term(clause, polarity)

    def _clause_term(self, clause: Clause, polarity: bool = True) -> Term:
        target, predicate = clause.target, clause.predicate
        cost = _COST.get(type(predicate), 5 if isinstance(target, str) else 20)
        cost += 3 * any(name.startswith(COMMON_FIELD_PREFIXES) for name in clause.fields)
        cost += clause.negated
        cost -= all(name.endswith(_SELECTIVE_SUFFIXES) for name in clause.fields)
        fields = frozenset(clause.fields)
        if isinstance(target, Computation):
            source = self._computation_source(target, clause, polarity is not clause.negated)
            return Term(f"(not {source})" if clause.negated else source, cost, fields, {})
        source = self._field_source(target, predicate)
        if clause.negated:
            return Term(f"(not {source})", cost, fields, {})
        field_predicates: FieldPredicates = {target: (predicate,)}
        usable = predicate.value_type is ValueType.TEXT and not target.startswith(
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
            test = self._bind((predicate, "uncached"), predicate, predicate.compile)
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

    def _computation_source(self, computation: Computation, clause: Clause, polarity: bool) -> str:
        key = (computation, clause.predicate, polarity)
        test = self._bind(key, clause.predicate, lambda: clause.compile(result_over_limit=polarity))
        return f"{test}({', '.join(map(self._local_name, clause.fields))})"

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
    """Return the implied predicates of an `and` expression.

    Each of `parts` holds the implied predicates of one operand. If the expression is true, all operands are
    true. Therefore the predicates from one operand are sufficient for a field. If several operands have
    predicates for a field, the result contains the predicates of the first operand.
    """
    implied_predicates: FieldPredicates = {}
    for part in parts:
        for name, predicates in part.items():
            implied_predicates.setdefault(name, predicates)
    return implied_predicates


def _implied_by_any(parts: Iterable[FieldPredicates]) -> FieldPredicates:
    """Return the implied predicates of an `or` expression.

    Each of `parts` holds the implied predicates of one operand. The result contains only the fields that are
    in every part. For each field, the result contains the predicates from all parts. For example,
    `a == "x" or a == "y"` implies that `== "x"` or `== "y"` holds for `a`.
    """
    first, *others = parts
    return {
        name: tuple(dict.fromkeys([*predicates, *(q for other in others for q in other[name])]))
        for name, predicates in first.items()
        if all(name in other for other in others)
    }


def cheapest_alternatives(parts: Iterable[FieldPredicates]) -> FieldPredicates:
    """Return the alternatives of an `and` expression.

    Each of `parts` holds the alternatives of one operand. If the expression is true, all operands are true.
    Therefore one part is a sufficient result. The function ignores empty parts and returns the cheapest part.
    The cheapest part has the fewest high-cardinality fields.
    """

    def cost(part: FieldPredicates) -> tuple[int, int]:
        return sum(name.endswith(HIGH_CARDINALITY_SUFFIXES) for name in part), len(part)

    return min(filter(None, parts), key=cost, default={})


def _union_of_alternatives(parts: Sequence[FieldPredicates]) -> FieldPredicates:
    """Return the alternatives of an `or` expression.

    Each of `parts` holds the alternatives of one operand. The result is the union of `parts`. If one part is
    empty, the result is also empty: the operand of the empty part can be true for a reason that is not known.
    """
    if not all(parts):
        return {}
    field_predicates: dict[str, dict[Predicate, None]] = {}
    for part in parts:
        for name, predicates in part.items():
            field_predicates.setdefault(name, {}).update(dict.fromkeys(predicates))
    return {name: tuple(predicates) for name, predicates in field_predicates.items()}
