"""Which rules an event matches: one generated function over the fields that the rules read.

The function exists twice over the same conditions: `decide_nested` takes its fields from an event
that was decoded to those fields only, `decide_values` is given the values of each field. The first
answers for nearly every event; the second for events with dotted keys, and for whole documents.
"""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Any, cast

import msgspec

from app.detection.eql.compiler import Compiler, fields_of
from app.detection.reader import FieldReader
from app.domain.ecs import values

if TYPE_CHECKING:
    from app.detection.rule import Rule


class Detector:
    """Decides with `rules`, all of them; leaving out the disabled ones is the caller's choice.

    `markers` are root keys that show an event to be in another format than ECS, or wrapped.
    `evidence` are fields of which an event must have one to be taken for ECS at sight.
    """

    def __init__(
        self, rules: "Sequence[Rule]", *, markers: Sequence[str] = (), evidence: Sequence[str] = ()
    ) -> None:
        self.rules = tuple(rules)
        asked = [name for rule in self.rules for name in fields_of(rule.tree)]
        self._reader = FieldReader([*evidence, *asked], refused=markers)
        self._evidence = [self._reader.fields.index(name) for name in dict.fromkeys(evidence)]
        self._compiler = Compiler(self._reader.local)
        self._source = "\n".join(self._functions())
        namespace: dict[str, Any] = {
            **self._reader.namespace,
            **self._compiler.namespace,
            **{f"rule{number}": rule for number, rule in enumerate(self.rules)},
        }
        # Made of this program's own words and numbered names. All that a rule adds is its field
        # names, cut down to a-z, 0-9 and _, at the end of a name.
        exec(compile(self._source, "<rules>", "exec"), namespace)  # noqa: S102
        self._decide_nested = namespace["decide_nested"]
        self._decide_values = namespace["decide_values"]

    def decide(self, raw: bytes) -> "tuple[Rule, ...] | None":
        """The rules that the event with the JSON `raw` matches, in the order of `rules`.

        None if only a reading of the whole event can tell: it is not JSON, not an object, not
        recognisably ECS, or has objects in unexpected places. Raises nothing, whatever the bytes.
        Bytes that are not UTF-8 go unnoticed in fields that no rule reads.
        """
        try:
            return cast(
                "tuple[Rule, ...] | None", self._decide_nested(self._reader.decode_nested(raw))
            )
        except msgspec.ValidationError:
            return self._decide_mixed(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def decide_document(self, document: Mapping[str, object]) -> "tuple[Rule, ...]":
        """The same for an event decoded whole (JSON types); never None.

        Raises RecursionError if lists are nested deeper than Python recurses.
        """
        found = (values(document, name) for name in self._reader.fields)
        return cast("tuple[Rule, ...]", self._decide_values(*found))

    def source(self) -> str:
        """The generated functions, and what their numbered names stand for, to be read."""
        legend = [f"# {name} = {question!r}" for name, question in self._compiler.legend()]
        rules = [f"# rule{number} = {rule.slug!r}" for number, rule in enumerate(self.rules)]
        return "\n".join([*rules, *legend, "", self._source])

    def _decide_mixed(self, raw: bytes) -> "tuple[Rule, ...] | None":
        try:
            event = self._reader.decode_mixed(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        found = self._reader.gather(event)
        if self._evidence and not any(found[index] for index in self._evidence):
            return None
        return cast("tuple[Rule, ...]", self._decide_values(*found))

    def _functions(self) -> Iterator[str]:
        locals_ = [self._reader.local(name) for name in self._reader.fields]
        decision = indent("\n".join(self._decision()), "    ")
        yield "def decide_nested(event):"
        yield from (f"    {line}" for line in self._reader.reading())
        if self._evidence:
            absent = " is ".join([*(locals_[index] for index in self._evidence), "None"])
            yield f"    if {absent}:"
            yield "        return None"
        yield decision
        yield ""
        yield f"def decide_values({', '.join(locals_)}):"
        yield decision

    def _decision(self) -> Iterator[str]:
        yield "found = ()"
        for number, rule in enumerate(self.rules):
            first, *others = self._compiler.condition(rule.tree)
            yield "if ("
            yield f"    {first}"
            yield from (f"    and {other}" for other in others)
            yield "):"
            yield f"    found += (rule{number},)"
        yield "return found"
