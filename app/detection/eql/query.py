"""Entry point of the EQL package: `compile_query` parses, checks and compiles a query.

`parser` builds the syntax tree, and `clauses` translates each comparison in the tree to a clause.
`app.detection.codegen` and `app.detection.explain` use the result.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from app.detection.eql.clauses import Clause, LeafCondition, build_clause, category_clause
from app.detection.eql.errors import EqlError, InvalidQueryError
from app.detection.eql.parser import parse
from app.detection.eql.syntax_tree import And, BooleanOperand, Expression, Literal, Not, Or, Span


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """A valid query, `category where condition`, with its clauses.

    `category` and `category_clause` are None if the query starts with `any where`. A leaf of
    `condition` is a comparison or a boolean operand. `clauses` maps each leaf to the clause that tests it. If
    a leaf has the same result for every event, such as `true`, it is mapped to this result.
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
"""The query `any where false`. It replaces an invalid query while the rest of the rule file is checked."""


def compile_query(text: str, *, max_errors: int = 20) -> CompiledQuery:
    """Parse, check and compile the query `text`.

    Raises InvalidQueryError if `text` is invalid. A syntax error is reported alone. If the syntax is valid,
    each invalid leaf of the condition is reported. At most `max_errors` errors are reported.
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
    """Yield the leaves of `condition`, which are comparisons and boolean operands, from left to right."""
    pending: list[Expression] = [condition]
    while pending:
        node = pending.pop()
        if isinstance(node, Not):
            pending.append(node.operand)
        elif isinstance(node, And | Or):
            pending.extend(reversed(node.operands))
        else:
            yield node
