"""What is wrong with a rule file, and where; how it is shown belongs to the caller."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RuleFileProblem:
    """One thing to mend in a rule file.

    `line` and `column` count from 1. `column` is None where only the line is known; `line` is 1
    where the file as a whole is at fault.
    """

    path: Path
    line: int
    column: int | None
    message: str

    def __str__(self) -> str:
        column = "" if self.column is None else f":{self.column}"
        return f"{self.path}:{self.line}{column}: {self.message}"
