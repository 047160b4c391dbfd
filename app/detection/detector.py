"""Which rules an event matches: a generated function over the fields that the rules read.

The function exists twice over the same conditions: `decide` takes its fields from an event that was
decoded to those fields only; `decide_given` is given the values of each field. The first answers
for nearly every event; the second for events with dotted keys, and for whole documents.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from app.detection.decision import Source, Wanted, all_indexed
from app.detection.eql.clauses import fields_of
from app.detection.eql.compiler import Compiler
from app.detection.fields import FieldType, field_type
from app.detection.index import Gate, Index
from app.detection.reader import FieldReader
from app.domain.ecs import values

if TYPE_CHECKING:
    from app.detection.rule import Rule

_RESULT = "return rules_of(found) if found else ()"
_LATE = ("host.os.", "process.entry_leader.", "data_stream.")
"""Fields that decide little. With FEW rules, few events come so far that they matter, and objects with
nothing else are decoded only then; with many, decoding all at once costs less."""
FEW = 20

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Found: TypeAlias = "tuple[Rule, ...]"
Decided: TypeAlias = "tuple[Rule, ...] | None"


class Detector:
    """Decides with `rules`, all of them; leaving out the disabled ones is the caller's choice.

    `evidence` are fields of which an event must have one to be taken for ECS at sight; one with the
    first is ECS whatever else it has. `markers` are root keys that show any other event to be in
    another format, or wrapped.
    """

    decide: Callable[[bytes], Decided]
    """The rules that the event with the JSON it is given matches, in the order of `rules`.

    None if only a reading of the whole event can tell: it is not JSON, not an object, not
    recognisably ECS, or has objects in unexpected places. Raises nothing, whatever the bytes.
    Bytes that are not UTF-8 go unnoticed in fields that no rule reads.
    """

    def __init__(
        self, rules: "Sequence[Rule]", *, markers: Sequence[str] = (), evidence: Sequence[str] = ()
    ) -> None:
        self.rules = tuple(rules)
        asked = [name for rule in self.rules for name in fields_of(rule.tree)]
        self._evidence = list(dict.fromkeys(evidence))

        def reader_of(late: bool) -> FieldReader:
            return FieldReader(
                [*evidence[:1], *asked],
                also=evidence[1:],
                refused=markers,
                refused_at_once=() if evidence else markers,
                is_text=_is_text,
                is_late=lambda name: late and name.startswith(_LATE),
            )

        reader = reader_of(late=False)
        self._compiler = Compiler(reader.local, _is_text)
        wanted = self._wanted(self._compiler)
        if len(wanted) <= FEW and all_indexed(wanted):
            reader = reader_of(late=True)
        self._reader = reader
        nested = Source("nested", "event", reader.reading, reader.local, _is_text)
        self._decide = "\n".join(self._deciding(nested, wanted))
        self._functions = nested.functions
        compiler = Compiler(reader.local)
        given = Source("given", "values", self._given, reader.local, lambda _name: False)
        decide_given = "\n".join(self._deciding_given(given, self._wanted(compiler)))
        tools: dict[str, object] = {
            **reader.namespace,
            "decode": reader.decode_nested,
            "decide_mixed": self._decide_mixed,
            "rules_of": self._rules_of,
            "ValidationError": msgspec.ValidationError,
            "UNREADABLE": _UNREADABLE,
        }
        self.decide = _executed(nested, self._decide, tools | self._compiler.namespace)["decide"]
        self._decide_given: Callable[[Sequence[object]], Found] = _executed(
            given, decide_given, tools | compiler.namespace
        )["decide_given"]

    def decide_document(self, document: Mapping[str, object]) -> Found:
        """The same for an event decoded whole (JSON types); never None.

        Raises RecursionError if lists are nested deeper than Python recurses.
        """
        return self._decide_given([values(document, name) for name in self._reader.fields])

    def source(self) -> str:
        """The generated functions, and what their numbered names stand for, to be read."""
        legend = [f"# {name} = {question!r}" for name, question in self._compiler.legend()]
        rules = [f"# {number}: {rule.slug!r}" for number, rule in enumerate(self.rules)]
        return "\n".join([*rules, *legend, "", *self._functions, self._decide])

    def _wanted(self, compiler: Compiler) -> list[Wanted]:
        return [
            Wanted(number, tuple(compiler.terms(rule.tree)))
            for number, rule in enumerate(self.rules)
        ]

    def _rules_of(self, numbers: Iterable[int]) -> Found:
        return tuple(self.rules[number] for number in sorted(numbers))

    def _decide_mixed(self, raw: bytes) -> Decided:
        try:
            event = self._reader.decode_mixed(raw)
        except _UNREADABLE:
            return None
        found = self._reader.gather(event)
        places = [self._reader.fields.index(name) for name in self._evidence]
        if places and not any(found[place] for place in places):
            return None
        return self._decide_given(found)

    def _given(self, names: Iterable[str]) -> Iterator[str]:
        for place, name in enumerate(self._reader.fields):
            if name in names:
                yield f"{self._reader.local(name)} = values[{place}]"

    def _deciding(self, source: Source, rules: Sequence[Wanted]) -> Iterator[str]:
        fields, statements = source.statements(rules)
        yield "def decide(raw):"
        yield "    try:"
        for line in self._decided(fields, statements):
            yield f"        {line}"
        yield "    except ValidationError:"
        yield "        return decide_mixed(raw)"
        yield "    except UNREADABLE:"
        yield "        return None"

    def _decided(self, fields: Iterable[str], statements: Iterable[str]) -> Iterator[str]:
        yield "event = decode(raw)"
        yield from self._reader.reading([*self._evidence[:1], *fields])
        for first in self._evidence[:1]:
            yield f"if not {self._reader.local(first)}:"
            yield "    return decide_mixed(raw)"
        yield from statements
        yield _RESULT

    def _deciding_given(self, source: Source, rules: Sequence[Wanted]) -> Iterator[str]:
        fields, statements = source.statements(rules)
        yield "def decide_given(values):"
        for line in [*self._given(fields), *statements, _RESULT]:
            yield f"    {line}"


def _executed(source: Source, text: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """`namespace` with the functions of `source` and `text`, and the tables that they use.

    What is executed is made of this program's own words and numbered names. All that a rule adds is
    its field names, cut down to a-z, 0-9 and _, inside a name.
    """
    code = compile("\n".join([*source.functions, text]), "<rules>", "exec")
    exec(code, namespace)  # noqa: S102
    for name, entries in source.indexes.items():
        namespace[name] = Index([(asked, (bit, namespace[block])) for asked, bit, block in entries])
    namespace[f"{source.prefix}_gate"] = Gate([namespace[test] for test in source.tests])
    return namespace


def _is_text(name: str) -> bool:
    """Whether agents send nothing but text in the field. Some send numbers for the ids of users."""
    return field_type(name) is FieldType.TEXT and not name.endswith(".id")
