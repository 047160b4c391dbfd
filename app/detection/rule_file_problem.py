"""A problem in a rule file, with its position."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RuleFileProblem:
    """A problem in a rule file.

    `line` and `column` start at 1. `column` is None if only the line is known; `line` is 1 if the problem
    concerns the whole file.
    """

    path: Path
    line: int
    column: int | None
    message: str

    def __str__(self) -> str:
        column = "" if self.column is None else f":{self.column}"
        return f"{self.path}:{self.line}{column}: {self.message}"
