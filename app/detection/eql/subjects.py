"""What a comparison is about, checked: a field, what a function makes of fields, or a constant."""

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import NoReturn, TypeAlias

from app.detection.eql.computed import Computed, asked, computed, constant
from app.detection.eql.errors import EqlError
from app.detection.eql.functions import CONSTANTS, FUNCTIONS, Function, Kind
from app.detection.eql.lucene import RegexError, compile_regexes
from app.detection.eql.questions import Question
from app.detection.eql.tree import Call, Field, Literal, Operand
from app.detection.eql.values import as_network
from app.detection.fields import FieldType, field_type, nearest_field

DEEPEST_NAME = 20

_NO_COMPARISON = {
    FieldType.PLACE: "is a place on the globe, which EQL cannot compare",
    FieldType.OBJECT: "is an object; compare one of the fields below it",
}
_GIVES = {
    Kind.TEXT: FieldType.TEXT,
    Kind.NUMBER: FieldType.NUMBER,
    Kind.BOOLEAN: FieldType.BOOLEAN,
}
_FITS: dict[Kind, frozenset[FieldType]] = {
    Kind.TEXT: frozenset({FieldType.TEXT}),
    Kind.NUMBER: frozenset({FieldType.NUMBER}),
    Kind.BOOLEAN: frozenset({FieldType.BOOLEAN}),
    Kind.ADDRESS: frozenset({FieldType.ADDRESS, FieldType.TEXT}),
    Kind.ANY: frozenset(FieldType) - {FieldType.PLACE, FieldType.OBJECT},
}


@dataclass(frozen=True, slots=True)
class Subject:
    """`of` is the field's name or the computation; `kind` is what its values are."""

    of: str | Computed
    kind: FieldType
    node: Field | Call

    @property
    def said(self) -> str:
        """What a complaint calls it."""
        if isinstance(self.node, Call):
            return f"the result of '{self.node.sign or self.node.name}'"
        return f"'{self.node.name}'"


Known: TypeAlias = Subject | Literal


def known(operand: Operand) -> Known:
    """`operand`, found meaningful; raises EqlError. Calls without fields are folded to a constant."""
    if isinstance(operand, Literal):
        return operand
    if isinstance(operand, Field):
        return Subject(operand.name, _type_of(operand), operand)
    function, call = _checked(operand)
    found = computed(call)
    if not found.fields:
        return Literal(constant(call), call.span)
    return Subject(found, _GIVES[function.gives], call)


def question_of(call: Call) -> tuple[str, Question] | None:
    """The field, and what is asked of it, when a checked boolean function asks a plain question."""
    function, call = _checked(call)
    first = call.arguments[0]
    if function.gives is not Kind.BOOLEAN or not isinstance(first, Field):
        return None
    question = asked(call, function)
    return None if question is None else (first.name, question)


def gives_boolean(call: Call) -> bool:
    """Whether a call, found meaningful before, is a condition by itself."""
    return FUNCTIONS[call.name.lower()].gives is Kind.BOOLEAN


def comparable(subject: Subject) -> FieldType:
    """The kind of `subject`'s values; raises EqlError for what cannot be compared."""
    if subject.kind in _NO_COMPARISON:
        refuse(subject.node, f"{subject.said} {_NO_COMPARISON[subject.kind]}")
    return subject.kind


def refuse(at: Operand, message: str) -> NoReturn:
    raise EqlError.at(at.span, message)


def _type_of(field: Field) -> FieldType:
    if field.name.count(".") >= DEEPEST_NAME:
        refuse(field, f"field names of more than {DEEPEST_NAME} parts are not supported")
    if "" in field.name.split("."):
        refuse(field, "a part of this field name is empty")
    if bad := next((c for c in field.name if c in '"\\' or ord(c) < 32), None):
        refuse(field, f"field names with {bad!r} are not supported")
    found = field_type(field.name)
    if found is None and not field.optional:
        near = nearest_field(field.name)
        hint = f"did you mean '{near}'?" if near else f"if agents do send it, write '?{field.name}'"
        refuse(field, f"unknown field '{field.name}'; {hint}")
    return found or FieldType.OPEN


def _checked(call: Call) -> tuple[Function, Call]:
    """The function, and `call` with its constant arguments folded."""
    function = FUNCTIONS.get(call.name.lower())
    if function is None:
        names = [one.name for one in FUNCTIONS.values()]
        near = get_close_matches(call.name, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names)}"
        refuse(call, f"unknown function '{call.name}'; {hint}")
    if call.any_case and not function.has_any_case:
        refuse(call, f"'{function.name}' has no form with '~'")
    if not function.accepts(len(call.arguments)):
        given = len(call.arguments)
        refuse(
            call,
            f"'{function.name}' takes {function.counts}; here {'is' if given == 1 else 'are'} {given}",
        )
    arguments = tuple(
        _argument(call, function, number, argument)
        for number, argument in enumerate(call.arguments)
    )
    return function, replace(call, name=function.name, arguments=arguments)


def _argument(call: Call, function: Function, number: int, operand: Operand) -> Operand:
    kind = function.kind(number)
    place = f"'{call.sign}'" if call.sign else f"argument {number + 1} of '{function.name}'"
    wanted = f"{place} needs {kind}" if call.sign else f"{place} must be {kind}"
    found = known(operand)
    if isinstance(found, Literal):
        _check_constant(function, kind, found, wanted)
        return found
    if kind in CONSTANTS:
        refuse(operand, wanted)
    if found.kind is not FieldType.OPEN and found.kind not in _FITS[kind]:
        refuse(operand, f"{wanted}, and {found.said} is none")
    return found.of.call if isinstance(found.of, Computed) else operand


def _check_constant(function: Function, kind: Kind, literal: Literal, wanted: str) -> None:
    value = literal.value
    if value is None and kind not in CONSTANTS:
        return  # null gives null
    fits = {
        Kind.NUMBER: isinstance(value, int | float) and not isinstance(value, bool),
        Kind.BOOLEAN: isinstance(value, bool),
        Kind.ANY: True,
    }.get(kind, isinstance(value, str))
    if not fits:
        refuse(literal, wanted)
    if kind is Kind.BLOCK and as_network(str(value)) is None:
        refuse(literal, f"'{value}' is no CIDR block, such as 10.0.0.0/8")
    if function.name == "match" and kind is Kind.PATTERN:
        check_regex(literal, str(value))


def check_regex(literal: Literal, pattern: str) -> None:
    """Raises EqlError if `pattern`, which `literal` holds, cannot be used."""
    try:
        compile_regexes((pattern,), any_case=False)
    except RegexError as error:
        refuse(literal, str(error))
