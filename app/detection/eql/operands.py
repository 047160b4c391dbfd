"""What a comparison is about, checked: a field, what a function makes of fields, or a constant."""

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
    FieldType.GEO_POINT: "is a place on the globe, which EQL cannot compare",
    FieldType.OBJECT: "is an object; compare one of the fields below it",
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
    """`of` is the field's name or the computation; `kind` is what its values are."""

    target: str | Computation
    field_type: FieldType
    node: Field | Call

    @property
    def description(self) -> str:
        """What a complaint calls it."""
        if isinstance(self.node, Call):
            return f"the result of '{self.node.operator_symbol or self.node.name}'"
        return f"'{self.node.name}'"


CheckedOperand: TypeAlias = TypedOperand | Literal


def check_operand(operand: Operand) -> CheckedOperand:
    """`operand`, found meaningful; raises EqlError. Calls without fields are folded to a constant."""
    if isinstance(operand, Literal):
        return operand
    if isinstance(operand, Field):
        return TypedOperand(operand.name, _check_field(operand), operand)
    function, call = _check_call(operand)
    found = build_computation(call)
    if not found.fields:
        return Literal(fold_constant(call), call.span)
    return TypedOperand(found, _RESULT_TYPES[function.returns], call)


def as_field_predicate(call: Call) -> tuple[str, Predicate] | None:
    """The field, and what is asked of it, when a checked boolean function asks a plain question."""
    function, call = _check_call(call)
    first = call.arguments[0]
    if function.returns is not ArgumentType.BOOLEAN or not isinstance(first, Field):
        return None
    predicate = predicate_of_call(call, function)
    return None if predicate is None else (first.name, predicate)


def returns_boolean(call: Call) -> bool:
    """Whether a call, found meaningful before, is a condition by itself."""
    return FUNCTIONS[call.name.lower()].returns is ArgumentType.BOOLEAN


def comparable_type(operand: TypedOperand) -> FieldType:
    """The kind of `subject`'s values; raises EqlError for what cannot be compared."""
    if operand.field_type in _INCOMPARABLE:
        refuse(operand.node, f"{operand.description} {_INCOMPARABLE[operand.field_type]}")
    return operand.field_type


def refuse(at: Operand, message: str) -> NoReturn:
    raise EqlError.at(at.span, message)


def _check_field(field: Field) -> FieldType:
    if field.name.count(".") >= MAX_NAME_PARTS:
        refuse(field, f"field names of more than {MAX_NAME_PARTS} parts are not supported")
    if "" in field.name.split("."):
        refuse(field, "a part of this field name is empty")
    if bad := next((c for c in field.name if c in '"\\' or ord(c) < 32), None):
        refuse(field, f"field names with {bad!r} are not supported")
    found = field_type(field.name)
    if found is None and not field.optional:
        near = closest_field(field.name)
        hint = f"did you mean '{near}'?" if near else f"if agents do send it, write '?{field.name}'"
        refuse(field, f"unknown field '{field.name}'; {hint}")
    return found or FieldType.DYNAMIC


def _check_call(call: Call) -> tuple[Function, Call]:
    """The function, and `call` with its constant arguments folded."""
    function = FUNCTIONS.get(call.name.lower())
    if function is None:
        names = [one.name for one in FUNCTIONS.values()]
        near = get_close_matches(call.name, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names)}"
        refuse(call, f"unknown function '{call.name}'; {hint}")
    if call.ignore_case and not function.has_ignore_case_form:
        refuse(call, f"'{function.name}' has no form with '~'")
    if not function.accepts_count(len(call.arguments)):
        given = len(call.arguments)
        refuse(
            call,
            f"'{function.name}' takes {function.count_text}; here {'is' if given == 1 else 'are'} {given}",
        )
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
    wanted = f"{place} needs {kind}" if call.operator_symbol else f"{place} must be {kind}"
    found = check_operand(operand)
    if isinstance(found, Literal):
        _check_constant(function, kind, found, wanted)
        return found
    if kind in CONSTANT_ONLY_TYPES:
        refuse(operand, wanted)
    if found.field_type is not FieldType.DYNAMIC and found.field_type not in _ACCEPTED_TYPES[kind]:
        refuse(operand, f"{wanted}, and {found.description} is none")
    return found.target.call if isinstance(found.target, Computation) else operand


def _check_constant(function: Function, kind: ArgumentType, literal: Literal, wanted: str) -> None:
    value = literal.value
    if value is None and kind not in CONSTANT_ONLY_TYPES:
        return  # null gives null
    fits = {
        ArgumentType.NUMBER: isinstance(value, int | float) and not isinstance(value, bool),
        ArgumentType.BOOLEAN: isinstance(value, bool),
        ArgumentType.ANY: True,
    }.get(kind, isinstance(value, str))
    if not fits:
        refuse(literal, wanted)
    if kind is ArgumentType.CIDR_BLOCK and as_network(str(value)) is None:
        refuse(literal, f"'{value}' is no CIDR block, such as 10.0.0.0/8")
    if function.name == "match" and kind is ArgumentType.PATTERN:
        check_regex(literal, str(value))


def check_regex(literal: Literal, pattern: str) -> None:
    """Raises EqlError if `pattern`, which `literal` holds, cannot be used."""
    try:
        compile_regexes((pattern,), ignore_case=False)
    except RegexError as error:
        refuse(literal, str(error))
