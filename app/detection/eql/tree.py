"""The syntax tree of a single-event EQL query; meaning is added by `clauses` and `compiler`.

Nodes keep the place they were written at, so that a complaint or an explanation can point there.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Span:
    """Where a node stands in the query: `line` and `column` from 1, `start` and `end` offsets."""

    line: int
    column: int
    start: int
    end: int


class Comparator(StrEnum):
    EQUAL = "=="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


class Lookup(StrEnum):
    """Operators that take one value or a list of them. Those with `~`, and `:`, ignore case."""

    MATCHES = ":"
    IN = "in"
    IN_ANY_CASE = "in~"
    LIKE = "like"
    LIKE_ANY_CASE = "like~"
    REGEX = "regex"
    REGEX_ANY_CASE = "regex~"


@dataclass(frozen=True, slots=True)
class Field:
    """A field by its full dotted name; `optional` when written `?name`."""

    name: str
    optional: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant. 1, 1.0 and true are equal to Python, and here they are not: `concat` tells them apart.

    `written` makes the difference.
    """

    value: str | int | float | bool | None
    span: Span = field(compare=False)
    written: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "written", repr(self.value))


@dataclass(frozen=True, slots=True)
class Call:
    """`name(arguments)`, or `name~(arguments)` with `any_case`.

    `a + b` is a call of `add`, written with the `sign` +.
    """

    name: str
    any_case: bool
    arguments: tuple["Operand", ...]
    span: Span = field(compare=False)
    sign: str = field(default="", compare=False)


Operand: TypeAlias = Field | Literal | Call


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`, as written: either side may be the constant."""

    left: Operand
    operator: Comparator
    right: Operand
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Membership:
    """`operand operator values`; `not in` is a `Not` around one."""

    operand: Operand
    operator: Lookup
    values: tuple[Operand, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Truth:
    """An operand that stands alone as a condition: `true`, a boolean field or function."""

    operand: Operand
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    operand: "Expression"
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple["Expression", ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple["Expression", ...]
    span: Span = field(compare=False)


Expression: TypeAlias = And | Or | Not | Comparison | Membership | Truth


@dataclass(frozen=True, slots=True)
class Query:
    """`category where condition`; `category` is None for `any`."""

    category: str | None
    condition: Expression
    span: Span = field(compare=False)


NOTHING = Query(None, Truth(Literal(False, Span(1, 1, 0, 0)), Span(1, 1, 0, 0)), Span(1, 1, 0, 0))
"""`any where false`: stands in for a query that could not be read, where reading goes on."""
