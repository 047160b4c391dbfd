"""Syntax tree of a single-event EQL query. The module `parser` builds it.

Each node stores its position in the query text, which error messages and explanations need.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Span:
    """Position of a node in the query. `line` and `column` start at 1. `start` and `end` are text offsets."""

    line: int
    column: int
    start: int
    end: int


class ComparisonOperator(StrEnum):
    EQUAL = "=="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


class LookupOperator(StrEnum):
    """Operators that take a value or a list of values. `:` and the operators with `~` ignore case."""

    COLON = ":"
    IN = "in"
    IN_IGNORE_CASE = "in~"
    LIKE = "like"
    LIKE_IGNORE_CASE = "like~"
    REGEX = "regex"
    REGEX_IGNORE_CASE = "regex~"


@dataclass(frozen=True, slots=True)
class Field:
    """A field with its full dotted name. `optional` is true for `?name`."""

    name: str
    optional: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant.

    `value_repr` is the Python text of `value`. Two literals are equal if their `value` and their `value_repr`
    are equal. Without `value_repr`, the literals 1, 1.0 and true would be equal, because Python treats these
    values as equal. These literals must be different, because the EQL function `concat` converts each literal
    to a different text.
    """

    value: str | int | float | bool | None
    span: Span = field(compare=False)
    value_repr: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_repr", repr(self.value))


@dataclass(frozen=True, slots=True)
class Call:
    """A function call: `name(arguments)`, or `name~(arguments)` if `ignore_case` is true.

    Arithmetic is also a call: `a + b` is a call of the function `add`, with the `operator_symbol` "+".
    """

    name: str
    ignore_case: bool
    arguments: tuple["Operand", ...]
    span: Span = field(compare=False)
    operator_symbol: str = field(default="", compare=False)


Operand: TypeAlias = Field | Literal | Call


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison `left operator right`. The constant can be on either side."""

    left: Operand
    operator: ComparisonOperator
    right: Operand
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A condition `operand operator values`. For `not in`, a `Not` node contains the `Lookup`."""

    operand: Operand
    operator: LookupOperator
    values: tuple[Operand, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class BooleanOperand:
    """An operand used as a condition: `true`, a boolean field or a boolean function."""

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


Expression: TypeAlias = And | Or | Not | Comparison | Lookup | BooleanOperand


@dataclass(frozen=True, slots=True)
class Query:
    """A query `category where condition`. `category` is None if the query starts with `any where`."""

    category: str | None
    condition: Expression
    span: Span = field(compare=False)
