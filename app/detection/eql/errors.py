"""Errors in EQL queries, with line and column."""

from collections.abc import Sequence

from app.detection.eql.syntax_tree import Span


class EqlError(Exception):
    """One error in a query. `line` and `column` start at 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column

    @classmethod
    def at(cls, span: Span, message: str) -> "EqlError":
        return cls(message, span.line, span.column)


class InvalidQueryError(Exception):
    """The query is invalid. `errors` has at least one error, in the order of their positions in the query."""

    def __init__(self, errors: Sequence[EqlError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = tuple(errors)
