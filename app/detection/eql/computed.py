"""What functions and arithmetic make of the values of one event.

A field that a condition names twice stands for any two of its values, as in Elasticsearch, which
tries every combination (its `multiValueDocValues`, one for each place that names a field). A field
without values is tried once, as null.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from app.detection.eql.functions import FUNCTIONS, Function, Kind, Value
from app.detection.eql.questions import (
    AddressIn,
    IsNull,
    Question,
    TextPart,
    TextRegex,
    Where,
    text_like,
)
from app.detection.eql.tree import Call, Field, Literal, Operand
from app.detection.eql.values import (
    Fits,
    Scalar,
    as_boolean,
    as_network,
    as_number,
    as_text,
    each,
)
from app.detection.fields import FieldType, field_type

MOST_ROWS = 10_000
"""Combinations of the values of several fields that are tried for one condition. An event that offers
more was made to, and is answered so that the rule matches: hiding behind bulk must not work."""

MOST_CHARACTERS = 20_000_000
"""And characters of all these combinations together, about."""

Row: TypeAlias = Sequence[object]
Compute: TypeAlias = Callable[[Row], Value]
Read: TypeAlias = Callable[[object], Value]


@dataclass(frozen=True, slots=True)
class Computed:
    """What `call` makes of one value for each of `fields`, its places from left to right."""

    call: Call
    fields: tuple[str, ...]


def computed(call: Call) -> Computed:
    return Computed(call, tuple(_places(call)))


def computation(found: Computed) -> Compute:
    """A function of a row of values, one for each place; None is EQL's null. It raises nothing."""
    compute = _call(found.call, iter(range(len(found.fields))))

    def safely(row: Row) -> Value:
        try:
            return compute(row)
        except (ArithmeticError, ValueError):  # infinity, or a number past all bounds
            return None

    return safely


def any_row(found: Computed, question: Question, *, past_most: bool) -> Callable[..., bool]:
    """A test of what an event has in each place, whether any combination gives what fits.

    `past_most` is the answer where there are more than MOST_ROWS and none of them fits.
    """
    compute, null_fits = computation(found), isinstance(question, IsNull)
    fits: Fits = question.test()
    is_one = len(found.fields) == 1

    def test(*columns: object) -> bool:
        most = None if is_one else min(MOST_ROWS, MOST_CHARACTERS // _longest(columns))
        for number, row in enumerate(rows(columns)):
            if number == most:
                return past_most
            value = compute(row)
            if null_fits if value is None else bool(fits(value)):
                return True
        return False

    return test


def _longest(columns: Sequence[object]) -> int:
    """Characters of the longest row of texts, at least 1."""
    texts = ((len(value) for value in each(one) if isinstance(value, str)) for one in columns)
    return max(1, sum(max(lengths, default=0) for lengths in texts))


def rows(columns: Sequence[object]) -> Iterator[Row]:
    """Every combination of the values that an event has in each column."""
    return product(*([*filter(_is_scalar, each(found))] or [None] for found in columns))


def constant(call: Call) -> Value:
    """What a call without fields gives for every event."""
    return computation(Computed(call, ()))(())


def asked(call: Call, function: Function) -> Question | None:
    """The question that a function asks of its first argument, the others being constants."""
    constants = [one.value for one in call.arguments[1:] if isinstance(one, Literal)]
    texts = tuple(text for text in constants if isinstance(text, str))
    if len(texts) != len(call.arguments) - 1:
        return None
    match function.name:
        case "cidrMatch":
            return AddressIn(frozenset(filter(None, map(as_network, texts))))
        case "wildcard":
            return text_like(texts, any_case=call.any_case)
        case "match":
            return TextRegex(texts, call.any_case)
        case "startsWith" | "endsWith" | "stringContains":
            return TextPart(Where(function.name), texts[0], call.any_case)
        case _:
            return None


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float)


def _places(operand: Operand) -> Iterator[str]:
    if isinstance(operand, Field):
        yield operand.name
    elif isinstance(operand, Call):
        for argument in operand.arguments:
            yield from _places(argument)


def _call(call: Call, places: Iterator[int]) -> Compute:
    function = FUNCTIONS[call.name.lower()]
    if function.apply is None:
        question = asked(call, function)
        assert question is not None  # noqa: S101 (checked where the query is)
        inner = _operand(call.arguments[0], Kind.TEXT, places)
        fits: Fits = question.test()

        def ask(row: Row) -> Value:
            value = inner(row)
            return None if value is None else bool(fits(value))

        return ask
    apply = function.apply_any_case if call.any_case else function.apply
    assert apply is not None  # noqa: S101 (checked where the query is)
    arguments = [
        _operand(argument, function.kind(number), places)
        for number, argument in enumerate(call.arguments)
    ]
    return lambda row: apply(*[argument(row) for argument in arguments])


def _operand(operand: Operand, kind: Kind, places: Iterator[int]) -> Compute:
    if isinstance(operand, Literal):
        value = operand.value
        return lambda _row: value
    if isinstance(operand, Call):
        return _call(operand, places)
    place, read = next(places), _reading(operand, kind)
    return lambda row: read(row[place])


def _reading(field: Field, kind: Kind) -> Read:
    if kind is Kind.ANY:
        found = field_type(field.name)
        if found in (None, FieldType.OPEN):
            return _as_sent
        kind = {FieldType.NUMBER: Kind.NUMBER, FieldType.BOOLEAN: Kind.BOOLEAN}.get(
            found, Kind.TEXT
        )
    return {Kind.NUMBER: as_number, Kind.BOOLEAN: as_boolean}.get(kind, as_text)


def _as_sent(value: object) -> Scalar | None:
    return value if isinstance(value, str | int | float) else None
