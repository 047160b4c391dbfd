"""Errors in EQL queries, with line and column."""

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
