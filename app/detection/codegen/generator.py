"""Generation of the match functions of a set of rules.

`generate` compiles each query to terms, which are conditions that must all be true (module `terms`). It
generates Python functions that test the terms (module `blocks`), and executes their source. There are two
match functions, which test the same conditions:

- `match_json` takes the JSON of an event and decodes only the fields that the rules read. It is used for
  nearly all events.
- `match_values` takes the values of each field. It is used for events with dotted keys and for completely
  decoded events.

For example, the rule `ssh_by_user` with the query

    process where process.name == "ssh" and not user.name == "deploy"

results in this source of `match_json` and of the functions that it calls:

    # 0: 'ssh_by_user'
    # q0_TextIn = TextIn(texts=frozenset({'process'}), ignore_case=False)
    # q1_TextIn = TextIn(texts=frozenset({'ssh'}), ignore_case=False)
    # q2_TextIn = TextIn(texts=frozenset({'deploy'}), ignore_case=False)

    def nested_holds0(f0_event_category):
        return q0_TextIn[f0_event_category]

    def nested_common_bits(event):
        n0_event = event.k0 or empty_n0_event
        f0_event_category = n0_event.k0
        return nested_common_terms[(f0_event_category, )]

    def nested_block2(event, matched):
        n1_user = event.k2 or empty_n1_user
        f2_user_name = n1_user.k0
        if (
            (not q2_TextIn[f2_user_name])
        ):
            matched += [0]

    def match_json(raw):
        try:
            event = decode(raw)
            n2_process = event.k1 or empty_n2_process
            f1_process_name = n2_process.k0
            possible0 = nested_index0[f1_process_name]
            if not (possible0):
                return ()
            matched = []
            common_bits = nested_common_bits(event)
            for bit, block in possible0:
                if common_bits & bit:
                    block(event, matched)
            return rules_by_number(matched) if matched else ()
        except ValidationError:
            return match_mixed(raw)
        except DECODE_ERRORS:
            return None

`event` and `n0_event` are msgspec structs with the attributes `k0`, `k1` and so on. `empty_n0_event` replaces
`n0_event` for an event without the object `event`. `q0_TextIn` and `q2_TextIn` are instances of
`PredicateCache`. `nested_index0` is a `FieldIndex`, and `nested_common_terms` is a `CommonTermCache`. The
index replaces the term `q1_TextIn`: for an event whose `process.name` is not `ssh`, `possible0` is empty and
`match_json` returns at the first `return ()`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from app.detection.codegen.blocks import BlockGenerator, PendingRule, all_indexable
from app.detection.codegen.caches import CommonTermCache, FieldIndex
from app.detection.codegen.terms import TermCompiler
from app.detection.fields import FieldType, field_type
from app.detection.partial_decoder import PartialDecoder

if TYPE_CHECKING:
    from app.detection.rule import Rule

MAX_RULES_FOR_LAZY_DECODING = 20
_LAZY_PREFIXES = ("host.os.", "process.entry_leader.", "data_stream.")
"""Prefixes of fields whose conditions exclude few events. If there are at most MAX_RULES_FOR_LAZY_DECODING
rules, and each rule can be in an index, an object with only such fields is not decoded until a rule reads it.
With more rules, it is faster to decode all objects at once."""

_RETURN_STATEMENT = "return rules_by_number(matched) if matched else ()"
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

MatchingRules: TypeAlias = "tuple[Rule, ...]"
FastPathResult: TypeAlias = "tuple[Rule, ...] | None"


@dataclass(frozen=True, slots=True)
class GeneratedFunctions:
    """The match functions of a set of rules.

    `match_values` takes a list of values for each of `fields`. `decode` is the JSON decoder that `match_json`
    uses; benchmarks also call it directly. `source` is the source of `match_json` and of the functions that
    it calls, with comments that explain the rule numbers and the names of predicates.
    """

    match_json: Callable[[bytes], FastPathResult]
    match_values: Callable[[Sequence[object]], MatchingRules]
    decode: Callable[[bytes], object]
    fields: tuple[str, ...]
    source: str


def generate(
    rules: "Sequence[Rule]",
    *,
    non_ecs_keys: Sequence[str] = (),
    ecs_marker_fields: Sequence[str] = (),
) -> GeneratedFunctions:
    """Return the match functions of `rules`. `Detector` explains the other arguments."""
    marker_fields = list(dict.fromkeys(ecs_marker_fields))
    rule_fields = [name for rule in rules for name in rule.tree.fields]

    def build_decoder(*, lazy: bool) -> PartialDecoder:
        return PartialDecoder(
            [*marker_fields[:1], *rule_fields],
            mixed_only=marker_fields[1:],
            forbidden_keys=non_ecs_keys,
            nested_forbidden_keys=() if marker_fields else non_ecs_keys,
            is_text=_is_always_text,
            is_lazy=lambda name: lazy and name.startswith(_LAZY_PREFIXES),
        )

    decoder = build_decoder(lazy=False)
    json_terms = TermCompiler(decoder.local_name, _is_always_text)
    pending = _pending_rules(json_terms, rules)
    if len(rules) <= MAX_RULES_FOR_LAZY_DECODING and all_indexable(pending):
        decoder = build_decoder(lazy=True)

    def rules_by_number(numbers: Iterable[int]) -> MatchingRules:
        return tuple(rules[number] for number in sorted(numbers))

    value_terms = TermCompiler(decoder.local_name)
    value_blocks = BlockGenerator(
        "values",
        "values",
        lambda names: _value_assignments(decoder, names),
        decoder.local_name,
        lambda _name: False,
    )
    value_lines = _match_values_lines(value_blocks, decoder, _pending_rules(value_terms, rules))
    match_values = _execute(
        value_blocks, value_lines, {**value_terms.namespace, "rules_by_number": rules_by_number}
    )["match_values"]

    json_blocks = BlockGenerator(
        "nested", "event", decoder.read_statements, decoder.local_name, _is_always_text
    )
    json_lines = _match_json_lines(json_blocks, decoder, pending, marker_fields[:1])
    namespace = {
        **decoder.namespace,
        **json_terms.namespace,
        "decode": decoder.decode_nested,
        "match_mixed": _match_mixed(decoder, marker_fields, match_values),
        "rules_by_number": rules_by_number,
        "ValidationError": msgspec.ValidationError,
        "DECODE_ERRORS": _DECODE_ERRORS,
    }
    match_json = _execute(json_blocks, json_lines, namespace)["match_json"]
    comments = [
        *(f"# {number}: {rule.slug!r}" for number, rule in enumerate(rules)),
        *(f"# {name} = {predicate!r}" for name, predicate in json_terms.legend()),
    ]
    source = "\n".join([*comments, "", *json_blocks.functions, *json_lines])
    return GeneratedFunctions(
        match_json, match_values, decoder.decode_nested, decoder.fields, source
    )


def _pending_rules(compiler: TermCompiler, rules: "Sequence[Rule]") -> list[PendingRule]:
    return [
        PendingRule(number, tuple(compiler.compile_terms(rule.tree)))
        for number, rule in enumerate(rules)
    ]


def _match_json_lines(
    blocks: BlockGenerator,
    decoder: PartialDecoder,
    rules: Sequence[PendingRule],
    marker_fields: Sequence[str],
) -> list[str]:
    fields, statements = blocks.generate_statements(rules)
    body = ["event = decode(raw)", *decoder.read_statements([*marker_fields, *fields])]
    for name in marker_fields:
        body += [f"if not {decoder.local_name(name)}:", "    return match_mixed(raw)"]
    return [
        "def match_json(raw):",
        "    try:",
        *(f"        {line}" for line in [*body, *statements, _RETURN_STATEMENT]),
        "    except ValidationError:",
        "        return match_mixed(raw)",
        "    except DECODE_ERRORS:",
        "        return None",
    ]


def _match_values_lines(
    blocks: BlockGenerator, decoder: PartialDecoder, rules: Sequence[PendingRule]
) -> list[str]:
    fields, statements = blocks.generate_statements(rules)
    body = [*_value_assignments(decoder, fields), *statements, _RETURN_STATEMENT]
    return ["def match_values(values):", *(f"    {line}" for line in body)]


def _value_assignments(decoder: PartialDecoder, names: Iterable[str]) -> Iterator[str]:
    for position, name in enumerate(decoder.fields):
        if name in names:
            yield f"{decoder.local_name(name)} = values[{position}]"


def _match_mixed(
    decoder: PartialDecoder,
    marker_fields: Sequence[str],
    match_values: Callable[[Sequence[object]], MatchingRules],
) -> Callable[[bytes], FastPathResult]:
    """Return the function `match_mixed`, which evaluates events with the slower mixed decoder.

    `match_json` calls `match_mixed` in these cases:

    - The event has a dotted key, such as `{"process.name": "ssh"}`.
    - A field has a value of an unexpected type.
    - The event has no value in the first of `marker_fields`.
    - `marker_fields` is empty, and the event has one of the `non_ecs_keys` (see `Detector`) at its top level.
    """
    marker_positions = [decoder.fields.index(name) for name in marker_fields]

    def match_mixed(raw: bytes) -> FastPathResult:
        try:
            event = decoder.decode_mixed(raw)
        except _DECODE_ERRORS:
            return None
        values = decoder.collect_values(event)
        if marker_positions and not any(values[position] for position in marker_positions):
            return None
        return match_values(values)

    return match_mixed


def _execute(
    blocks: BlockGenerator, lines: Sequence[str], namespace: dict[str, Any]
) -> dict[str, Any]:
    """Execute the generated source in `namespace`, add the indexes and caches, and return `namespace`.

    A rule cannot inject code. The source contains no text from a rule except field names. A field name is
    part of a variable name. It is in lower case, and `_` replaces all characters except a-z and 0-9. For
    example, the field `process.name` can be the variable `f1_process_name`.
    """
    code = compile("\n".join([*blocks.functions, *lines]), "<rules>", "exec")
    exec(code, namespace)  # noqa: S102 (a rule cannot inject code, see above)
    for name, entries in blocks.indexes.items():
        namespace[name] = FieldIndex(
            [(predicates, (bit, namespace[block])) for predicates, bit, block in entries]
        )
    namespace[f"{blocks.prefix}_common_terms"] = CommonTermCache(
        [namespace[test] for test in blocks.common_term_tests]
    )
    return namespace


def _is_always_text(name: str) -> bool:
    """Return whether agents always send the field `name` as text.

    The result is false for names that end in `.id`, because some agents send a number in `user.id`.
    """
    return field_type(name) is FieldType.TEXT and not name.endswith(".id")
