"""Query trees to Python source: conditions of a generated function, and what its names mean.

Nothing of a query's text goes into the source. Fields are the caller's local variables; texts,
numbers and patterns are bound to generated names, one per distinct question.
"""

from collections.abc import Callable

from app.detection.eql.clauses import Clause, category_clause, clause
from app.detection.eql.questions import Exists, Question, TextIs, TextLike
from app.detection.eql.tree import And, Expression, Not, Or, Query
from app.detection.eql.values import READERS, Reader

_SHORTCUT = {Reader.TEXT: "str", Reader.VALUE: "str", Reader.NUMBER: "int"}
_OFTEN_LISTS = {"event.category", "event.type"}


class Compiler:
    """Compiles queries that share a namespace.

    `local` gives the local variable of a field, which holds None, a scalar, a list of scalars and
    None, or an object to be taken for nothing.
    """

    def __init__(self, local: Callable[[str], str]) -> None:
        self._local = local
        self._names: dict[Question, str] = {}
        self.namespace: dict[str, object] = {
            str(reader): function for reader, function in READERS.items()
        }
        """What the names in compiled conditions stand for."""

    def legend(self) -> list[tuple[str, Question]]:
        """Each generated name with the question it asks, for whoever reads the source."""
        return [(name, question) for question, name in self._names.items()]

    def condition(self, query: Query) -> list[str]:
        """Python expressions that all hold for an event which `query` matches, cheapest first."""
        category = category_clause(query)
        operands = query.condition.operands if isinstance(query.condition, And) else ()
        terms = [self._term(node) for node in operands or (query.condition,)]
        if category is not None:
            terms.append(self._clause(category))
        return [source for _, source in sorted(terms, key=lambda term: term[0])]

    def _term(self, node: Expression) -> tuple[int, str]:
        """The cost of asking, and the source."""
        if isinstance(node, And | Or):
            # Order changes nothing but the speed: a condition is true or false, never unknown.
            terms = sorted(map(self._term, node.operands), key=lambda term: term[0])
            word = " and " if isinstance(node, And) else " or "
            return sum(cost for cost, _ in terms), f"({word.join(s for _, s in terms)})"
        if isinstance(node, Not):
            cost, source = self._term(node.operand)
            return cost, f"(not {source})"
        found = clause(node)
        return (0, str(found)) if isinstance(found, bool) else self._clause(found)

    def _clause(self, found: Clause) -> tuple[int, str]:
        question, field = found.question, self._local(found.field)
        if question not in self._names:
            name = f"q{len(self._names)}_{type(question).__name__}"
            self._names[question] = name
            self.namespace[name] = question.test()
        test, reader = self._names[question], question.reader
        source = f"{reader}({field}, {test})"
        if shortcut := _SHORTCUT.get(reader):
            source = f"({test}({field}) if type({field}) is {shortcut} else {source})"
        cost = {TextIs: 1, Exists: 1, TextLike: 5}.get(type(question), 3)
        if found.field in _OFTEN_LISTS:
            cost += 2
        return cost, f"(not {source})" if found.negated else source


def fields_of(query: Query) -> list[str]:
    """Every field that `query` reads, `event.category` included, each once."""
    category = category_clause(query)
    found = {} if category is None else {category.field: None}
    pending: list[Expression] = [query.condition]
    while pending:
        node = pending.pop(0)
        if isinstance(node, Not):
            pending.append(node.operand)
        elif isinstance(node, And | Or):
            pending.extend(node.operands)
        elif not isinstance(asked := clause(node), bool):
            found[asked.field] = None
    return list(found)
