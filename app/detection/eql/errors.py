"""What is wrong with a query, and where in it."""

from app.detection.eql.syntax_tree import Span


class EqlError(Exception):
    """A query that cannot be read or compiled. `line` and `column` count from 1 in the query."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column

    @classmethod
    def at(cls, span: Span, message: str) -> "EqlError":
        return cls(message, span.line, span.column)
