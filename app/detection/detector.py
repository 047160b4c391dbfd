"""Which rules an event matches: a generated function over the fields that the rules read.

The function exists twice over the same conditions: `match_json` takes its fields from an event that was
decoded to those fields only; `match_values` is given the values of each field. The first answers
for nearly every event; the second for events with dotted keys, and for whole documents.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from app.detection.codegen.caches import CommonTermCache, FieldIndex
from app.detection.codegen.generator import CodeGenerator, PendingRule, all_indexable
from app.detection.codegen.terms import Compiler
from app.detection.eql.clauses import fields_read_by
from app.detection.fields import FieldType, field_type
from app.detection.partial_decoder import PartialDecoder
from app.domain.ecs_fields import field_values

if TYPE_CHECKING:
    from app.detection.rule import Rule

_RETURN_STATEMENT = "return rules_by_number(matched) if matched else ()"
_LAZY_PREFIXES = ("host.os.", "process.entry_leader.", "data_stream.")
"""Fields that exclude few events. With up to MAX_RULES_FOR_LAZY_DECODING rules, objects that hold only
such fields are decoded when a rule needs them; with more rules, decoding everything at once costs less."""
MAX_RULES_FOR_LAZY_DECODING = 20

_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

MatchingRules: TypeAlias = "tuple[Rule, ...]"
FastPathResult: TypeAlias = "tuple[Rule, ...] | None"


class Detector:
    """Decides with `rules`, all of them; leaving out the disabled ones is the caller's choice.

    `ecs_marker_fields` are fields of which an event must have one to be taken for ECS at sight; one with the
    first is ECS whatever else it has. `non_ecs_keys` are root keys that show any other event to be in
    another format, or wrapped.
    """

    match_json: Callable[[bytes], FastPathResult]
    """The rules that the event with the JSON it is given matches, in the order of `rules`.

    None if only a reading of the whole event can tell: it is not JSON, not an object, not
    recognisably ECS, or has objects in unexpected places. Raises nothing, whatever the bytes.
    Bytes that are not UTF-8 go unnoticed in fields that no rule reads.
    """

    def __init__(
        self,
        rules: "Sequence[Rule]",
        *,
        non_ecs_keys: Sequence[str] = (),
        ecs_marker_fields: Sequence[str] = (),
    ) -> None:
        self.rules = tuple(rules)
        asked = [name for rule in self.rules for name in fields_read_by(rule.tree)]
        self._ecs_marker_fields = list(dict.fromkeys(ecs_marker_fields))

        def decoder_with(lazy: bool) -> PartialDecoder:
            return PartialDecoder(
                [*ecs_marker_fields[:1], *asked],
                mixed_only=ecs_marker_fields[1:],
                forbidden_keys=non_ecs_keys,
                nested_forbidden_keys=() if ecs_marker_fields else non_ecs_keys,
                is_text=_is_always_text,
                is_lazy=lambda name: lazy and name.startswith(_LAZY_PREFIXES),
            )

        reader = decoder_with(lazy=False)
        self._compiler = Compiler(reader.local_name, _is_always_text)
        wanted = self._pending_rules(self._compiler)
        if len(wanted) <= MAX_RULES_FOR_LAZY_DECODING and all_indexable(wanted):
            reader = decoder_with(lazy=True)
        self._reader = reader
        nested = CodeGenerator(
            "nested", "event", reader.read_statements, reader.local_name, _is_always_text
        )
        self._match_json_source = "\n".join(self._match_json_lines(nested, wanted))
        self._function_sources = nested.functions
        compiler = Compiler(reader.local_name)
        given = CodeGenerator(
            "given", "values", self._value_assignments, reader.local_name, lambda _name: False
        )
        match_values = "\n".join(self._match_values_lines(given, self._pending_rules(compiler)))
        generated_globals: dict[str, object] = {
            **reader.namespace,
            "decode": reader.decode_nested,
            "match_mixed": self._match_mixed,
            "rules_by_number": self._rules_by_number,
            "ValidationError": msgspec.ValidationError,
            "DECODE_ERRORS": _DECODE_ERRORS,
        }
        self.match_json = _execute_generated(
            nested, self._match_json_source, generated_globals | self._compiler.namespace
        )["match_json"]
        self._match_values: Callable[[Sequence[object]], MatchingRules] = _execute_generated(
            given, match_values, generated_globals | compiler.namespace
        )["match_values"]

    def match_document(self, document: Mapping[str, object]) -> MatchingRules:
        """The same for an event decoded whole (JSON types); never None.

        Raises RecursionError if lists are nested deeper than Python recurses.
        """
        return self._match_values([field_values(document, name) for name in self._reader.fields])

    def generated_source(self) -> str:
        """The generated functions, and what their numbered names stand for, to be read."""
        legend = [f"# {name} = {predicate!r}" for name, predicate in self._compiler.legend()]
        rules = [f"# {number}: {rule.slug!r}" for number, rule in enumerate(self.rules)]
        return "\n".join([*rules, *legend, "", *self._function_sources, self._match_json_source])

    def _pending_rules(self, compiler: Compiler) -> list[PendingRule]:
        return [
            PendingRule(number, tuple(compiler.compile_terms(rule.tree)))
            for number, rule in enumerate(self.rules)
        ]

    def _rules_by_number(self, numbers: Iterable[int]) -> MatchingRules:
        return tuple(self.rules[number] for number in sorted(numbers))

    def _match_mixed(self, raw: bytes) -> FastPathResult:
        try:
            event = self._reader.decode_mixed(raw)
        except _DECODE_ERRORS:
            return None
        found = self._reader.collect_values(event)
        places = [self._reader.fields.index(name) for name in self._ecs_marker_fields]
        if places and not any(found[place] for place in places):
            return None
        return self._match_values(found)

    def _value_assignments(self, names: Iterable[str]) -> Iterator[str]:
        for place, name in enumerate(self._reader.fields):
            if name in names:
                yield f"{self._reader.local_name(name)} = values[{place}]"

    def _match_json_lines(
        self, source: CodeGenerator, rules: Sequence[PendingRule]
    ) -> Iterator[str]:
        fields, statements = source.generate_statements(rules)
        yield "def match_json(raw):"
        yield "    try:"
        for line in self._match_json_body_lines(fields, statements):
            yield f"        {line}"
        yield "    except ValidationError:"
        yield "        return match_mixed(raw)"
        yield "    except DECODE_ERRORS:"
        yield "        return None"

    def _match_json_body_lines(
        self, fields: Iterable[str], statements: Iterable[str]
    ) -> Iterator[str]:
        yield "event = decode(raw)"
        yield from self._reader.read_statements([*self._ecs_marker_fields[:1], *fields])
        for first in self._ecs_marker_fields[:1]:
            yield f"if not {self._reader.local_name(first)}:"
            yield "    return match_mixed(raw)"
        yield from statements
        yield _RETURN_STATEMENT

    def _match_values_lines(
        self, source: CodeGenerator, rules: Sequence[PendingRule]
    ) -> Iterator[str]:
        fields, statements = source.generate_statements(rules)
        yield "def match_values(values):"
        for line in [*self._value_assignments(fields), *statements, _RETURN_STATEMENT]:
            yield f"    {line}"


def _execute_generated(
    source: CodeGenerator, text: str, namespace: dict[str, Any]
) -> dict[str, Any]:
    """`namespace` with the functions of `source` and `text`, and the tables that they use.

    What is executed is made of this program's own words and numbered names. All that a rule adds is
    its field names, cut down to a-z, 0-9 and _, inside a name.
    """
    code = compile("\n".join([*source.functions, text]), "<rules>", "exec")
    exec(code, namespace)  # noqa: S102
    for name, entries in source.indexes.items():
        namespace[name] = FieldIndex(
            [(asked, (bit, namespace[block])) for asked, bit, block in entries]
        )
    namespace[f"{source.prefix}_common_terms"] = CommonTermCache(
        [namespace[test] for test in source.common_term_tests]
    )
    return namespace


def _is_always_text(name: str) -> bool:
    """Whether agents send nothing but text in the field. Some send numbers for the ids of users."""
    return field_type(name) is FieldType.TEXT and not name.endswith(".id")
