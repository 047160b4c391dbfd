"""The Python source of the functions that decide which rules an event matches.

Three things keep the way short for an event that matches nothing. Rules that ask a question of the
same field are reached through an index of that field, or if they ask either of several, through one
of each. What rules ask of fields with few values, such as
the operating system, is answered for all of them at once, and only when an index led to a rule. What
several rules ask alike besides is asked once for all of them.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from app.detection.codegen.terms import (
    COMMON_FIELD_PREFIXES,
    HIGH_CARDINALITY_SUFFIXES,
    Term,
    cheapest_alternatives,
)
from app.detection.eql.coercion import ValueType
from app.detection.eql.predicates import Predicate

MIN_RULES_FOR_INDEX = 2
"""Rules for which an index pays inside a block: it costs about as much as asking two questions."""

MIN_RULES_FOR_JOINT_INDEX = 4
"""Rules for which indexes of several fields pay, some of whose values are often new."""

MAX_DEPTH = 20
"""Conditions inside conditions; Python takes a hundred levels of indentation."""


IndexEntry: TypeAlias = tuple[tuple[Predicate, ...], int, str]
"""Of an index: what is asked of its field, and the function that this leads to, with a bit."""


@dataclass(frozen=True, slots=True)
class PendingRule:
    """A rule by its `number`, with the terms that are still to be asked.

    `indexed` are fields whose index has led to it: another one would tell nothing new.
    """

    number: int
    terms: tuple[Term, ...]
    indexed_fields: frozenset[str] = frozenset()

    def without_terms(self, met: Iterable[Term]) -> "PendingRule":
        gone = set(met)
        return replace(self, terms=tuple(term for term in self.terms if term not in gone))


@dataclass(slots=True)
class CodeGenerator:
    """The source of a function and of those it calls, and how their tables are made.

    The functions read fields of `argument` with the statements that `reading` gives, into the
    variables that `local` names; where `is_text`, one holds None, a text or a tuple of texts, which can
    be looked up as it is. They put the numbers of matching rules into the list `found`.

    `indexes` has, for each index by its name, what is asked and the function that this leads to, with a
    bit. `tests` has, for each bit, the function that tells from the values of common fields whether it
    is set.
    """

    prefix: str
    argument: str
    read_statements: Callable[[Iterable[str]], Iterable[str]]
    local_name: Callable[[str], str]
    is_text: Callable[[str], bool]
    functions: list[str] = field(default_factory=list)
    indexes: dict[str, list[IndexEntry]] = field(default_factory=dict)
    common_term_tests: list[str] = field(default_factory=list)

    def generate_statements(self, rules: Sequence[PendingRule]) -> tuple[set[str], list[str]]:
        """Fields to be read, and the statements that decide all of `rules` and leave `found`."""
        fields: set[str] = set()
        groups: dict[frozenset[Term], int] = {}
        bits: dict[int, int] = {}
        rest: list[PendingRule] = []
        for rule in rules:
            common = frozenset(term for term in rule.terms if term.is_common)
            bits[rule.number] = 1 << groups.setdefault(common, len(groups))
            rest.append(rule.without_terms(common))
        self._add_common_terms_function(list(groups))
        lines, possible, rest = self._top_level_indexes(rest, bits, fields)
        if possible and not rest:
            lines.append(f"if not ({' or '.join(possible)}):")
            lines.append("    return ()")
        lines += ["matched = []", f"common_bits = {self.prefix}_common_bits({self.argument})"]
        for one in possible:
            lines += [f"for bit, block in {one}:", "    if common_bits & bit:"]
            lines.append(f"        block({self.argument}, matched)")
        for bit in dict.fromkeys(bits[rule.number] for rule in rest):
            block = self._add_block([rule for rule in rest if bits[rule.number] == bit], 0)
            lines += [f"if common_bits & {bit}:", f"    {block}({self.argument}, matched)"]
        return fields, lines

    def _top_level_indexes(
        self, rules: Sequence[PendingRule], bits: Mapping[int, int], fields: set[str]
    ) -> tuple[list[str], list[str], list[PendingRule]]:
        """Statements that ask the indexes, the locals that then hold blocks, and rules that none leads to."""
        lines: list[str] = []
        possible: list[str] = []
        rest = list(rules)
        while best_index := _best_index_field(rest, min_rules=1, high_cardinality=False, bits=bits):
            name, by_predicates = best_index
            rest = _except(rest, by_predicates.values())
            possible.append(f"possible{len(possible)}")
            lines.append(f"{possible[-1]} = {self._add_index(name, by_predicates, fields, 0)}")
        by_field, rest = self._joint_index_entries(rest, bits)
        if by_field:
            # A set, since two fields may lead to one block.
            asked = (f"*({self._index_lookup(*entries, fields)})" for entries in by_field.items())
            possible.append(f"possible{len(possible)}")
            lines.append(f"{possible[-1]} = {{{', '.join(asked)}}}")
        return lines, possible, rest

    def _add_common_terms_function(self, groups: Sequence[frozenset[Term]]) -> None:
        """A function that tells which of `groups` hold, as bits; the highest one is always set."""
        asked = sorted({name for terms in groups for term in terms for name in term.fields})
        values = list(map(self.local_name, asked))
        for terms in groups:
            lines = [f"return {' and '.join(t.source for t in sorted(terms, key=_cost)) or True}"]
            self.common_term_tests.append(self._add_function("holds", ", ".join(values), lines))
        lines = list(self.read_statements(asked))
        for name, value in zip(asked, values, strict=True):
            if not self.is_text(name):
                lines.append(f"if type({value}) is list:")
                lines.append(f"    {value} = tuple({value})")
        lines.append(
            f"return {self.prefix}_common_terms[({''.join(f'{value}, ' for value in values)})]"
        )
        self.functions.append(
            "\n    ".join([f"def {self.prefix}_common_bits({self.argument}):", *lines]) + "\n"
        )

    def _add_block(self, rules: Sequence[PendingRule], depth: int) -> str:
        fields: set[str] = set()
        lines = list(self._block_statements(rules, depth, fields))
        return self._add_function(
            "block", f"{self.argument}, matched", [*self.read_statements(fields), *lines]
        )

    def _add_function(self, kind: str, parameters: str, lines: Iterable[str]) -> str:
        name = f"{self.prefix}_{kind}{len(self.functions)}"
        self.functions.append("\n    ".join([f"def {name}({parameters}):", *lines]) + "\n")
        return name

    def _block_statements(
        self, rules: Sequence[PendingRule], depth: int, fields: set[str]
    ) -> Iterator[str]:
        rest = yield from self._nested_indexes(rules, depth, fields, high_cardinality=False)
        if matched := [rule.number for rule in rest if not rule.terms]:
            yield f"matched += {matched}"
        rest = [rule for rule in rest if rule.terms]
        while rest:
            sharing = _rules_sharing_a_term(rest) if depth < MAX_DEPTH else rest[:1]
            if len(sharing) == 1:
                before = rest
                rest = yield from self._nested_indexes(rest, depth, fields, high_cardinality=True)
                if rest != before:
                    continue
            shared = [term for term in sharing[0].terms if all(term in r.terms for r in sharing)]
            fields.update(*(term.fields for term in shared))
            yield from _condition(shared)
            inner = [rule.without_terms(shared) for rule in sharing]
            yield from (f"    {line}" for line in self._block_statements(inner, depth + 1, fields))
            rest = [rule for rule in rest if rule not in sharing]

    def _nested_indexes(
        self, rules: Sequence[PendingRule], depth: int, fields: set[str], *, high_cardinality: bool
    ) -> Generator[str, None, list[PendingRule]]:
        """Gives back the rules that no index leads to."""
        rest = list(rules)
        while depth < MAX_DEPTH and (
            best_index := _best_index_field(
                rest, min_rules=MIN_RULES_FOR_INDEX, high_cardinality=high_cardinality, bits={}
            )
        ):
            name, by_predicates = best_index
            rest = _except(rest, by_predicates.values())
            yield f"for _, block in {self._add_index(name, by_predicates, fields, depth)}:"
            yield f"    block({self.argument}, matched)"
        return rest

    def _joint_index_entries(
        self, rules: Sequence[PendingRule], bits: Mapping[int, int]
    ) -> tuple[dict[str, list[IndexEntry]], list[PendingRule]]:
        """By each field, what it asks for the rules that can be led to by several together; and the rest."""
        led: dict[tuple[int, tuple[tuple[str, tuple[Predicate, ...]], ...]], list[PendingRule]] = {}
        for rule in rules:
            if asked := cheapest_alternatives(
                [term.alternatives for term in rule.terms if term.alternatives]
            ):
                led.setdefault((bits[rule.number], tuple(asked.items())), []).append(rule)
        by_field: dict[str, list[IndexEntry]] = {}
        if sum(map(len, led.values())) < MIN_RULES_FOR_JOINT_INDEX:
            return by_field, list(rules)
        for (bit, pairs), members in led.items():
            block = self._add_block(members, 1)
            for name, predicates in pairs:
                by_field.setdefault(name, []).append((predicates, bit, block))
        return by_field, _except(rules, led.values())

    def _add_index(
        self, name: str, by_predicates: "RulesByPredicates", fields: set[str], depth: int
    ) -> str:
        """An expression for the blocks that the field `name` leaves possible, with their bits."""
        entries = [
            (predicates, bit, self._add_block(members, depth + 1))
            for (predicates, bit), members in by_predicates.items()
        ]
        return self._index_lookup(name, entries, fields)

    def _index_lookup(self, name: str, entries: list[IndexEntry], fields: set[str]) -> str:
        index = f"{self.prefix}_index{len(self.indexes)}"
        self.indexes[index] = entries
        fields.add(name)
        value = self.local_name(name)
        if self.is_text(name) and not name.endswith(HIGH_CARDINALITY_SUFFIXES):
            return f"{index}[{value}]"
        return f"{index}[{value}] if type({value}) is str else {index}.lookup({value})"


RulesByPredicates: TypeAlias = dict[tuple[tuple[Predicate, ...], int], list[PendingRule]]


def _except(
    rules: Sequence[PendingRule], taken: Iterable[Sequence[PendingRule]]
) -> list[PendingRule]:
    numbers = {rule.number for members in taken for rule in members}
    return [rule for rule in rules if rule.number not in numbers]


def _cost(term: Term) -> int:
    return term.cost


def _condition(terms: Sequence[Term]) -> Iterator[str]:
    """The head of an `if` statement, the cheapest term first."""
    first, *others = sorted(terms, key=_cost)
    yield "if ("
    yield f"    {first.source}"
    yield from (f"    and {other.source}" for other in others)
    yield "):"


def _rules_sharing_a_term(rules: Sequence[PendingRule]) -> list[PendingRule]:
    """The rules with the term that most of `rules` have."""
    counts = Counter(term for rule in rules for term in rule.terms)
    most = max(counts, key=lambda term: (counts[term], -term.cost))
    return [rule for rule in rules if most in rule.terms]


def all_indexable(rules: Iterable[PendingRule]) -> bool:
    """Whether an index leads to each of `rules`, so that most events end there."""
    return all(_indexable_terms(rule, high_cardinality=False) for rule in rules)


def _best_index_field(
    rules: Sequence[PendingRule], *, min_rules: int, high_cardinality: bool, bits: Mapping[int, int]
) -> tuple[str, RulesByPredicates] | None:
    """The field by which an index leads to most of `rules`, and those rules by what they ask of it.

    A term that asks no more than the index has answered is not asked again.
    """
    indexable = {
        rule.number: _indexable_terms(rule, high_cardinality=high_cardinality) for rule in rules
    }
    counts = Counter(name for found in indexable.values() for name in found)
    if not counts or max(counts.values()) < min_rules:
        return None
    name = max(counts, key=lambda name: (counts[name], name))
    by_predicates: RulesByPredicates = {}
    for rule in rules:
        if term := indexable[rule.number].get(name):
            left = rule.without_terms([term]) if term.is_exact else rule
            left = replace(left, indexed_fields=left.indexed_fields | {name})
            key = (term.implied_predicates[name], bits.get(rule.number, 0))
            by_predicates.setdefault(key, []).append(left)
    return name, by_predicates


def _indexable_terms(rule: PendingRule, *, high_cardinality: bool) -> dict[str, Term]:
    """For each field that an index could have, the term that says most about it for least."""
    found: dict[str, Term] = {}
    for term in sorted(rule.terms, key=lambda term: (not term.is_exact, term.cost)):
        for name, predicates in term.implied_predicates.items():
            fit = (
                not name.startswith(COMMON_FIELD_PREFIXES)
                and name.endswith(HIGH_CARDINALITY_SUFFIXES) is high_cardinality
            )
            if (
                name not in rule.indexed_fields
                and fit
                and all(predicate.value_type is ValueType.TEXT for predicate in predicates)
            ):
                found.setdefault(name, term)
    return found
