"""Evaluation of function calls and arithmetic for the field values of an event.

Each occurrence of a field in a call is a slot. For example, `concat(a, a, b)` has three slots. If a field has
no values, its slot is null.

A combination contains one value for each slot. A condition is tested for every combination, as in
Elasticsearch (`multiValueDocValues`). For example, if the field `a` has two values, `concat(a, a)` has four
combinations.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from app.detection.eql.coercion import (
    NullableScalar,
    ValueMatcher,
    as_boolean,
    as_network,
    as_number,
    as_sequence,
    as_text,
)
from app.detection.eql.functions import FUNCTIONS, ArgumentType, Function
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
from app.domain.ecs_fields import Scalar

MAX_ROWS = 10_000
"""Maximum number of combinations that are tested for one condition. Normal events have fewer. If an event has
more, the condition gets the result that helps the rule match, so that an attacker cannot prevent a match by
sending many values."""

MAX_TOTAL_CHARACTERS = 20_000_000
"""Approximate maximum number of characters in all tested combinations of one condition."""

Row: TypeAlias = Sequence[object]
Compute: TypeAlias = Callable[[Row], NullableScalar]
Coercion: TypeAlias = Callable[[object], NullableScalar]


@dataclass(frozen=True, slots=True)
class Computation:
    """A function call, and the fields of its slots from left to right."""

    call: Call
    fields: tuple[str, ...]


def build_computation(call: Call) -> Computation:
    return Computation(call, tuple(_field_slots(call)))


def compile_computation(computation: Computation) -> Compute:
    """Return a function that computes the result of the call for a row, which has one value per slot.

    The function never raises. It returns None, which is EQL's null, if the result is not defined.
    """
    compute = _call(computation.call, iter(range(len(computation.fields))))

    def compute_or_null(row: Row) -> NullableScalar:
        try:
            return compute(row)
        except (ArithmeticError, ValueError):  # a number is infinite or too large for a float
            return None

    return compute_or_null


def compile_any_row(
    computation: Computation, predicate: Predicate, *, result_over_limit: bool
) -> Callable[..., bool]:
    """Return a function that tests whether at least one combination matches.

    The function has one parameter for each slot. The argument is the field value of this slot. A combination
    matches if `predicate` holds for the result of the computation.

    MAX_ROWS and MAX_TOTAL_CHARACTERS limit the number of combinations that the function tests. If an event
    has more combinations, the function tests only the first combinations. If none of the tested combinations
    matches, the function returns `result_over_limit`. A computation with one slot has no limit.
    """
    compute, null_matches = compile_computation(computation), isinstance(predicate, IsNull)
    matches: ValueMatcher = predicate.compile()
    has_one_slot = len(computation.fields) == 1

    def test(*columns: object) -> bool:
        limit = (
            None if has_one_slot else min(MAX_ROWS, MAX_TOTAL_CHARACTERS // _longest_row(columns))
        )
        for number, row in enumerate(value_combinations(columns)):
            if number == limit:
                return result_over_limit
            value = compute(row)
            if null_matches if value is None else bool(matches(value)):
                return True
        return False

    return test


def _longest_row(columns: Sequence[object]) -> int:
    """Return the number of characters in the longest combination.

    The result is at least 1, so that the caller can divide by the result.
    """
    text_lengths = (
        (len(value) for value in as_sequence(column) if isinstance(value, str))
        for column in columns
    )
    return max(1, sum(max(lengths, default=0) for lengths in text_lengths))


def value_combinations(columns: Sequence[object]) -> Iterator[Row]:
    """Return every combination of one value per column. A column without values has the value None."""
    return product(*([*filter(_is_scalar, as_sequence(column))] or [None] for column in columns))


def fold_constant(call: Call) -> NullableScalar:
    """Return the result of a call that reads no fields."""
    return compile_computation(Computation(call, ()))(())


def predicate_of_call(call: Call, function: Function) -> Predicate | None:
    """Return the predicate that `call` applies to its first argument.

    For example, `startsWith(user.name, "a")` applies the predicate "starts with a" to `user.name`.

    The result is None in these cases:

    - The function is not a predicate. For example, `length` is not a predicate.
    - The second argument, or an argument after it, is not a text constant.
    """
    constants = [argument.value for argument in call.arguments[1:] if isinstance(argument, Literal)]
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
        assert predicate is not None  # noqa: S101 (operands.check_operand has checked the call)
        inner = _operand(call.arguments[0], ArgumentType.TEXT, slots)
        matches: ValueMatcher = predicate.compile()

        def test_predicate(row: Row) -> NullableScalar:
            value = inner(row)
            return None if value is None else bool(matches(value))

        return test_predicate
    apply = function.apply_ignoring_case if call.ignore_case else function.apply
    assert apply is not None  # noqa: S101 (operands.check_operand has checked the call)
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
    slot, coerce = next(slots), _coercion(operand, kind)
    return lambda row: coerce(row[slot])


def _coercion(field: Field, kind: ArgumentType) -> Coercion:
    if kind is ArgumentType.ANY:
        ecs_type = field_type(field.name)
        if ecs_type in (None, FieldType.DYNAMIC):
            return _as_sent
        kind = {FieldType.NUMBER: ArgumentType.NUMBER, FieldType.BOOLEAN: ArgumentType.BOOLEAN}.get(
            ecs_type, ArgumentType.TEXT
        )
    return {ArgumentType.NUMBER: as_number, ArgumentType.BOOLEAN: as_boolean}.get(kind, as_text)


def _as_sent(value: object) -> Scalar | None:
    return value if isinstance(value, str | int | float) else None
