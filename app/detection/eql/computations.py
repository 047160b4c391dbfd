"""What functions and arithmetic make of the values of one event.

A field that a condition names twice stands for any two of its values, as in Elasticsearch, which
tries every combination (its `multiValueDocValues`, one for each place that names a field). A field
without values is tried once, as null.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from app.detection.eql.coercion import (
    Scalar,
    ValueMatcher,
    as_boolean,
    as_network,
    as_number,
    as_sequence,
    as_text,
)
from app.detection.eql.functions import FUNCTIONS, ArgumentType, Function, NullableScalar
from app.detection.eql.predicates import (
    AddressIn,
    IsNull,
    Predicate,
    SubstringPosition,
    TextRegex,
    TextSubstring,
    wildcard_predicate,
)
from app.detection.eql.syntax_tree import Call, Field, Literal, Operand
from app.detection.fields import FieldType, field_type

MAX_ROWS = 10_000
"""Combinations of the values of several fields that are tried for one condition. An event that offers
more was made to, and is answered so that the rule matches: hiding behind bulk must not work."""

MAX_TOTAL_CHARACTERS = 20_000_000
"""And characters of all these combinations together, about."""

Row: TypeAlias = Sequence[object]
Compute: TypeAlias = Callable[[Row], NullableScalar]
Coercion: TypeAlias = Callable[[object], NullableScalar]


@dataclass(frozen=True, slots=True)
class Computation:
    """What `call` makes of one value for each of `fields`, its places from left to right."""

    call: Call
    fields: tuple[str, ...]


def build_computation(call: Call) -> Computation:
    return Computation(call, tuple(_field_slots(call)))


def compile_computation(found: Computation) -> Compute:
    """A function of a row of values, one for each place; None is EQL's null. It raises nothing."""
    compute = _call(found.call, iter(range(len(found.fields))))

    def compute_or_null(row: Row) -> NullableScalar:
        try:
            return compute(row)
        except (ArithmeticError, ValueError):  # infinity, or a number past all bounds
            return None

    return compute_or_null


def compile_any_row(
    found: Computation, predicate: Predicate, *, result_over_limit: bool
) -> Callable[..., bool]:
    """A test of what an event has in each place, whether any combination gives what fits.

    `past_most` is the answer where there are more than MOST_ROWS and none of them fits.
    """
    compute, null_matches = compile_computation(found), isinstance(predicate, IsNull)
    matches: ValueMatcher = predicate.compile()
    is_one = len(found.fields) == 1

    def test(*columns: object) -> bool:
        limit = None if is_one else min(MAX_ROWS, MAX_TOTAL_CHARACTERS // _longest_row(columns))
        for number, row in enumerate(value_combinations(columns)):
            if number == limit:
                return result_over_limit
            value = compute(row)
            if null_matches if value is None else bool(matches(value)):
                return True
        return False

    return test


def _longest_row(columns: Sequence[object]) -> int:
    """Characters of the longest row of texts, at least 1."""
    texts = (
        (len(value) for value in as_sequence(one) if isinstance(value, str)) for one in columns
    )
    return max(1, sum(max(lengths, default=0) for lengths in texts))


def value_combinations(columns: Sequence[object]) -> Iterator[Row]:
    """Every combination of the values that an event has in each column."""
    return product(*([*filter(_is_scalar, as_sequence(found))] or [None] for found in columns))


def fold_constant(call: Call) -> NullableScalar:
    """What a call without fields gives for every event."""
    return compile_computation(Computation(call, ()))(())


def predicate_of_call(call: Call, function: Function) -> Predicate | None:
    """The question that a function asks of its first argument, the others being constants."""
    constants = [one.value for one in call.arguments[1:] if isinstance(one, Literal)]
    texts = tuple(text for text in constants if isinstance(text, str))
    if len(texts) != len(call.arguments) - 1:
        return None
    match function.name:
        case "cidrMatch":
            return AddressIn(frozenset(filter(None, map(as_network, texts))))
        case "wildcard":
            return wildcard_predicate(texts, ignore_case=call.ignore_case)
        case "match":
            return TextRegex(texts, call.ignore_case)
        case "startsWith" | "endsWith" | "stringContains":
            return TextSubstring(SubstringPosition(function.name), texts[0], call.ignore_case)
        case _:
            return None


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float)


def _field_slots(operand: Operand) -> Iterator[str]:
    if isinstance(operand, Field):
        yield operand.name
    elif isinstance(operand, Call):
        for argument in operand.arguments:
            yield from _field_slots(argument)


def _call(call: Call, slots: Iterator[int]) -> Compute:
    function = FUNCTIONS[call.name.lower()]
    if function.apply is None:
        predicate = predicate_of_call(call, function)
        assert predicate is not None  # noqa: S101 (checked where the query is)
        inner = _operand(call.arguments[0], ArgumentType.TEXT, slots)
        matches: ValueMatcher = predicate.compile()

        def test_predicate(row: Row) -> NullableScalar:
            value = inner(row)
            return None if value is None else bool(matches(value))

        return test_predicate
    apply = function.apply_ignoring_case if call.ignore_case else function.apply
    assert apply is not None  # noqa: S101 (checked where the query is)
    arguments = [
        _operand(argument, function.parameter_type(number), slots)
        for number, argument in enumerate(call.arguments)
    ]
    return lambda row: apply(*[argument(row) for argument in arguments])


def _operand(operand: Operand, kind: ArgumentType, slots: Iterator[int]) -> Compute:
    if isinstance(operand, Literal):
        value = operand.value
        return lambda _row: value
    if isinstance(operand, Call):
        return _call(operand, slots)
    place, read = next(slots), _coercion(operand, kind)
    return lambda row: read(row[place])


def _coercion(field: Field, kind: ArgumentType) -> Coercion:
    if kind is ArgumentType.ANY:
        found = field_type(field.name)
        if found in (None, FieldType.DYNAMIC):
            return _as_sent
        kind = {FieldType.NUMBER: ArgumentType.NUMBER, FieldType.BOOLEAN: ArgumentType.BOOLEAN}.get(
            found, ArgumentType.TEXT
        )
    return {ArgumentType.NUMBER: as_number, ArgumentType.BOOLEAN: as_boolean}.get(kind, as_text)


def _as_sent(value: object) -> Scalar | None:
    return value if isinstance(value, str | int | float) else None
