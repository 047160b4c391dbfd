"""Entry point of the EQL package: `compile_query` parses and checks the text of a query once.

`parser` builds the syntax tree, `clauses` translates each comparison in it. The result has everything that
`app.detection.codegen` and `app.detection.explain` need.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from app.detection.eql.clauses import Clause, LeafCondition, build_clause, category_clause
from app.detection.eql.errors import EqlError, InvalidQueryError
from app.detection.eql.parser import parse
from app.detection.eql.syntax_tree import And, BooleanOperand, Expression, Literal, Not, Or, Span


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """A valid query: `category where condition`, with the clause of each comparison.

    `category` and `category_clause` are None for `any`. `clauses` maps each leaf of `condition` to its
    clause, or to its result if this is the same for every event.
    """

    category: str | None
    condition: Expression
    category_clause: Clause | None
    clauses: Mapping[LeafCondition, Clause | bool] = field(compare=False, repr=False)

    @property
    def fields(self) -> list[str]:
        """All fields that the query reads, including `event.category`, without duplicates."""
        clauses = [self.category_clause, *self.clauses.values()]
        names = (name for clause in clauses if isinstance(clause, Clause) for name in clause.fields)
        return list(dict.fromkeys(names))


_FALSE = BooleanOperand(Literal(False, Span(1, 1, 0, 0)), Span(1, 1, 0, 0))
MATCH_NOTHING = CompiledQuery(None, _FALSE, None, {_FALSE: False})
"""The query `any where false`, which takes the place of an invalid query."""


def compile_query(text: str, *, max_errors: int = 20) -> CompiledQuery:
    """Return the compiled query; raises InvalidQueryError with at most `max_errors` errors.

    If the query has a syntax error, that is the only error. Otherwise each invalid comparison has an error.
    """
    try:
        query = parse(text)
    except EqlError as error:
        raise InvalidQueryError([error]) from None
    clauses: dict[LeafCondition, Clause | bool] = {}
    errors: list[EqlError] = []
    for leaf in _leaf_conditions(query.condition):
        if leaf in clauses:
            continue
        try:
            clauses[leaf] = build_clause(leaf)
        except EqlError as error:
            errors.append(error)
            if len(errors) >= max_errors:
                break
    if errors:
        raise InvalidQueryError(errors)
    return CompiledQuery(query.category, query.condition, category_clause(query.category), clauses)


def _leaf_conditions(condition: Expression) -> Iterator[LeafCondition]:
    """Yield the leaves of `condition` (comparisons and boolean operands) from left to right."""
    pending: list[Expression] = [condition]
    while pending:
        node = pending.pop()
        if isinstance(node, Not):
            pending.append(node.operand)
        elif isinstance(node, And | Or):
            pending.extend(reversed(node.operands))
        else:
            yield node
