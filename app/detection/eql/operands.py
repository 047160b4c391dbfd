"""Type checks of the operands of a comparison: fields, function calls and constants."""

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import NoReturn, TypeAlias

from app.detection.eql.coercion import as_network
from app.detection.eql.computations import (
    Computation,
    build_computation,
    fold_constant,
    predicate_of_call,
)
from app.detection.eql.errors import EqlError
from app.detection.eql.functions import CONSTANT_ONLY_TYPES, FUNCTIONS, ArgumentType, Function
from app.detection.eql.lucene_regex import RegexError, compile_regexes
from app.detection.eql.predicates import Predicate
from app.detection.eql.syntax_tree import Call, Field, Literal, Operand
from app.detection.fields import FieldType, closest_field, field_type

MAX_NAME_PARTS = 20

_INCOMPARABLE = {
    FieldType.GEO_POINT: "is a geographic point, which EQL cannot compare",
    FieldType.OBJECT: "is an object; compare one of the fields inside it",
}
_RESULT_TYPES = {
    ArgumentType.TEXT: FieldType.TEXT,
    ArgumentType.NUMBER: FieldType.NUMBER,
    ArgumentType.BOOLEAN: FieldType.BOOLEAN,
}
_ACCEPTED_TYPES: dict[ArgumentType, frozenset[FieldType]] = {
    ArgumentType.TEXT: frozenset({FieldType.TEXT}),
    ArgumentType.NUMBER: frozenset({FieldType.NUMBER}),
    ArgumentType.BOOLEAN: frozenset({FieldType.BOOLEAN}),
    ArgumentType.ADDRESS: frozenset({FieldType.IP, FieldType.TEXT}),
    ArgumentType.ANY: frozenset(FieldType) - {FieldType.GEO_POINT, FieldType.OBJECT},
}


@dataclass(frozen=True, slots=True)
class TypedOperand:
    """A field or a function call, together with its type.

    `target` is the name of the field, or the computation of the function call. `field_type` is the type of
    the field, or the type of the function result.
    """

    target: str | Computation
    field_type: FieldType
    node: Field | Call

    @property
    def description(self) -> str:
        """The text for the operand in error messages."""
        if isinstance(self.node, Call):
            return f"the result of '{self.node.operator_symbol or self.node.name}'"
        return f"'{self.node.name}'"


CheckedOperand: TypeAlias = TypedOperand | Literal


def check_operand(operand: Operand) -> CheckedOperand:
    """Check `operand`, and return the operand with its type.

    A function call that reads no fields is evaluated and becomes a constant. Raises EqlError if `operand` is
    invalid.
    """
    if isinstance(operand, Literal):
        return operand
    if isinstance(operand, Field):
        return TypedOperand(operand.name, _check_field(operand), operand)
    function, call = _check_call(operand)
    computation = build_computation(call)
    if not computation.fields:
        return Literal(fold_constant(call), call.span)
    return TypedOperand(computation, _RESULT_TYPES[function.returns], call)


def as_field_predicate(call: Call) -> tuple[str, Predicate] | None:
    """Return (field, predicate) if `call` applies a predicate directly to a field, else None.

    `call` must have passed `check_operand`.
    """
    function, call = _check_call(call)
    first = call.arguments[0]
    if function.returns is not ArgumentType.BOOLEAN or not isinstance(first, Field):
        return None
    predicate = predicate_of_call(call, function)
    return None if predicate is None else (first.name, predicate)


def returns_boolean(call: Call) -> bool:
    """Return whether the result of `call` is boolean. `call` must have passed `check_operand`."""
    return FUNCTIONS[call.name.lower()].returns is ArgumentType.BOOLEAN


def comparable_type(operand: TypedOperand) -> FieldType:
    """Return the type of `operand`; raises EqlError if EQL cannot compare values of this type."""
    if operand.field_type in _INCOMPARABLE:
        refuse(operand.node, f"{operand.description} {_INCOMPARABLE[operand.field_type]}")
    return operand.field_type


def refuse(at: Operand, message: str) -> NoReturn:
    """Raise an EqlError at the position of `at`."""
    raise EqlError.at(at.span, message)


def _check_field(field: Field) -> FieldType:
    if field.name.count(".") >= MAX_NAME_PARTS:
        refuse(field, f"field names of more than {MAX_NAME_PARTS} parts are not supported")
    if "" in field.name.split("."):
        refuse(field, "a part of this field name is empty")
    if bad := next((c for c in field.name if c in '"\\' or ord(c) < 32), None):
        refuse(field, f"field names with {bad!r} are not supported")
    ecs_type = field_type(field.name)
    if ecs_type is None and not field.optional:
        near = closest_field(field.name)
        hint = f"did you mean '{near}'?" if near else f"write '?{field.name}' if agents send it"
        refuse(field, f"unknown field '{field.name}'; {hint}")
    return ecs_type or FieldType.DYNAMIC


def _check_call(call: Call) -> tuple[Function, Call]:
    """Check `call`, and return (function, checked call).

    In the checked call, constant arguments are evaluated. For example, the argument `length("ab")` becomes 2.
    Raises EqlError if `call` is invalid.
    """
    function = FUNCTIONS.get(call.name.lower())
    if function is None:
        names = [known.name for known in FUNCTIONS.values()]
        near = get_close_matches(call.name, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"the functions are {', '.join(names)}"
        refuse(call, f"unknown function '{call.name}'; {hint}")
    if call.ignore_case and not function.has_ignore_case_form:
        refuse(call, f"'{function.name}' does not support '~'")
    if not function.accepts_count(len(call.arguments)):
        given = len(call.arguments)
        was = "was" if given == 1 else "were"
        refuse(call, f"'{function.name}' takes {function.count_text}, but {given} {was} given")
    arguments = tuple(
        _check_argument(call, function, number, argument)
        for number, argument in enumerate(call.arguments)
    )
    return function, replace(call, name=function.name, arguments=arguments)


def _check_argument(call: Call, function: Function, number: int, operand: Operand) -> Operand:
    kind = function.parameter_type(number)
    place = (
        f"'{call.operator_symbol}'"
        if call.operator_symbol
        else f"argument {number + 1} of '{function.name}'"
    )
    requirement = f"{place} {'needs' if call.operator_symbol else 'must be'} {kind}"
    argument = check_operand(operand)
    if isinstance(argument, Literal):
        _check_constant(function, kind, argument, requirement)
        return argument
    if kind in CONSTANT_ONLY_TYPES:
        refuse(operand, requirement)
    if argument.field_type not in _ACCEPTED_TYPES[kind] | {FieldType.DYNAMIC}:
        refuse(operand, f"{requirement}, but {argument.description} is not")
    return argument.target.call if isinstance(argument.target, Computation) else operand


def _check_constant(
    function: Function, kind: ArgumentType, literal: Literal, requirement: str
) -> None:
    value = literal.value
    if value is None and kind not in CONSTANT_ONLY_TYPES:
        return  # null is a valid argument of these types
    fits = {
        ArgumentType.NUMBER: isinstance(value, int | float) and not isinstance(value, bool),
        ArgumentType.BOOLEAN: isinstance(value, bool),
        ArgumentType.ANY: True,
    }.get(kind, isinstance(value, str))
    if not fits:
        refuse(literal, requirement)
    if kind is ArgumentType.CIDR_BLOCK and as_network(str(value)) is None:
        refuse(literal, f"'{value}' is not a CIDR block such as 10.0.0.0/8")
    if function.name == "match" and kind is ArgumentType.PATTERN:
        check_regex(literal, str(value))


def check_regex(literal: Literal, pattern: str) -> None:
    """Raise EqlError at `literal` if `pattern` is not a supported regular expression."""
    try:
        compile_regexes((pattern,), ignore_case=False)
    except RegexError as error:
        refuse(literal, str(error))
