"""Errors in EQL queries, with line and column."""

from collections.abc import Sequence

from app.detection.eql.syntax_tree import Span


class EqlError(Exception):
    """One error in a query. `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column

    @classmethod
    def at(cls, span: Span, message: str) -> "EqlError":
        return cls(message, span.line, span.column)


class InvalidQueryError(Exception):
    """A query has errors. `errors` is not empty and has the order in which the errors occur in the query."""

    def __init__(self, errors: Sequence[EqlError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = tuple(errors)
