"""Generation of blocks: Python functions that each test the terms of some rules.

Most events match no rule. Three optimisations make this case fast:

- Field indexes: an index leads from a value of a field to the rules that can still match. All rules with a
  condition on the field share the index. If a rule has alternative conditions on several fields, an index of
  each of these fields leads to the rule (joint indexes).
- Common terms: a term on fields with few different values, such as the operating system, excludes few rules.
  These terms are evaluated together for all rules. If every rule has an index, they are evaluated only for an
  event for which an index leads to a rule.
- Shared terms: if several rules of a block have the same term, the block tests it once for all of them.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
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
"""Minimum number of rules that an index inside a block must serve. A lookup takes about as long as testing
two terms."""

MIN_RULES_FOR_JOINT_INDEX = 4
"""Minimum number of rules that joint indexes must serve. It is higher than MIN_RULES_FOR_INDEX because some
fields of joint indexes have values that rarely repeat, so that few lookups are answered from the cache."""

MAX_DEPTH = 20
"""Maximum nesting of generated `if` statements. Python allows 100 levels of indentation."""

IndexEntry: TypeAlias = tuple[tuple[Predicate, ...], int, str]
"""(predicates, bit, block name). The rules of the block can match only if a value of the indexed field
matches any of the predicates and the common terms of these rules are true. `bit` stands for these common
terms."""


@dataclass(frozen=True, slots=True)
class PendingRule:
    """The number of a rule, and those of its terms that remain to be tested.

    `indexed_fields` are the fields whose indexes already lead to the rule. They get no second index.
    """

    number: int
    terms: tuple[Term, ...]
    indexed_fields: frozenset[str] = frozenset()

    def without_terms(self, tested: Iterable[Term]) -> "PendingRule":
        removed = set(tested)
        return replace(self, terms=tuple(term for term in self.terms if term not in removed))


@dataclass(slots=True)
class BlockGenerator:
    """Generates the statements of a match function and the functions that these statements call.

    `argument` is the name of the parameter that holds the event. `read_statements` returns the statements
    that read given fields from it, and `local_name` returns the variable of a field. If `is_text` is true for
    a field, its variable holds None, a text or a tuple of texts, and can be the key of an index. The
    generated functions append the numbers of matching rules to the list `matched`. The name of each generated
    function and index starts with `prefix`.

    The results are `functions`, the source of each generated function; `indexes`, the entries of each index
    by the name of the index; and `common_term_tests`, the name of the test function for each bit of the
    common terms.
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
        """Return the fields that must be read first, and the statements, which fill the list `matched`."""
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
        for variable in possible:
            lines += [f"for bit, block in {variable}:", "    if common_bits & bit:"]
            lines.append(f"        block({self.argument}, matched)")
        for bit in dict.fromkeys(bits[rule.number] for rule in rest):
            block = self._add_block([rule for rule in rest if bits[rule.number] == bit], 0)
            lines += [f"if common_bits & {bit}:", f"    {block}({self.argument}, matched)"]
        return fields, lines

    def _top_level_indexes(
        self, rules: Sequence[PendingRule], bits: Mapping[int, int], fields: set[str]
    ) -> tuple[list[str], list[str], list[PendingRule]]:
        """Return the index lookups, the variables with their results, and the rules without an index."""
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
            # The generated code builds a set, because the indexes of two fields can lead to the same block.
            lookups = (f"*({self._index_lookup(*entries, fields)})" for entries in by_field.items())
            possible.append(f"possible{len(possible)}")
            lines.append(f"{possible[-1]} = {{{', '.join(lookups)}}}")
        return lines, possible, rest

    def _add_common_terms_function(self, groups: Sequence[frozenset[Term]]) -> None:
        """Add the function that returns a bit mask: bit N is set if all terms of `groups[N]` are true."""
        names = sorted({name for terms in groups for term in terms for name in term.fields})
        values = list(map(self.local_name, names))
        for terms in groups:
            sources = (term.source for term in sorted(terms, key=attrgetter("cost")))
            line = f"return {' and '.join(sources) or True}"
            name = f"holds{len(self.functions)}"
            self.common_term_tests.append(self._add_function(name, ", ".join(values), [line]))
        lines = list(self.read_statements(names))
        for name, value in zip(names, values, strict=True):
            if not self.is_text(name):
                lines.append(f"if type({value}) is list:")
                lines.append(f"    {value} = tuple({value})")
        lines.append(
            f"return {self.prefix}_common_terms[({''.join(f'{value}, ' for value in values)})]"
        )
        self._add_function("common_bits", self.argument, lines)

    def _add_block(self, rules: Sequence[PendingRule], depth: int) -> str:
        fields: set[str] = set()
        statements = list(self._block_statements(rules, depth, fields))
        lines = [*self.read_statements(fields), *statements]
        return self._add_function(f"block{len(self.functions)}", f"{self.argument}, matched", lines)

    def _add_function(self, name: str, parameters: str, lines: Iterable[str]) -> str:
        """Add a function, and return its name with the prefix."""
        name = f"{self.prefix}_{name}"
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
        """Yield the loops over the results of index lookups, and return the rules without an index."""
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
        """Return the entries of the joint indexes by field, and the rules without an index."""
        groups: dict[
            tuple[int, tuple[tuple[str, tuple[Predicate, ...]], ...]], list[PendingRule]
        ] = {}
        for rule in rules:
            if alternatives := cheapest_alternatives(term.alternatives for term in rule.terms):
                key = bits[rule.number], tuple(alternatives.items())
                groups.setdefault(key, []).append(rule)
        by_field: dict[str, list[IndexEntry]] = {}
        if sum(map(len, groups.values())) < MIN_RULES_FOR_JOINT_INDEX:
            return by_field, list(rules)
        for (bit, pairs), members in groups.items():
            block = self._add_block(members, 1)
            for name, predicates in pairs:
                by_field.setdefault(name, []).append((predicates, bit, block))
        return by_field, _except(rules, groups.values())

    def _add_index(
        self, name: str, by_predicates: "RulesByPredicates", fields: set[str], depth: int
    ) -> str:
        """Add an index of the field `name`; return the expression that looks up the possible blocks."""
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


def _condition(terms: Sequence[Term]) -> Iterator[str]:
    """Yield the first lines of an `if` statement that tests all `terms`, the cheapest term first."""
    first, *others = sorted(terms, key=attrgetter("cost"))
    yield "if ("
    yield f"    {first.source}"
    yield from (f"    and {other.source}" for other in others)
    yield "):"


def _rules_sharing_a_term(rules: Sequence[PendingRule]) -> list[PendingRule]:
    """Return the rules that have the term that occurs most often in `rules`."""
    counts = Counter(term for rule in rules for term in rule.terms)
    frequent = max(counts, key=lambda term: (counts[term], -term.cost))
    return [rule for rule in rules if frequent in rule.terms]


def all_indexable(rules: Iterable[PendingRule]) -> bool:
    """Return whether every rule can have an index, so that most events need only index lookups."""
    return all(_indexable_terms(rule, high_cardinality=False) for rule in rules)


def _best_index_field(
    rules: Sequence[PendingRule], *, min_rules: int, high_cardinality: bool, bits: Mapping[int, int]
) -> tuple[str, RulesByPredicates] | None:
    """Return the field whose index can serve the most rules, and these rules by predicates and bit.

    If the index decides a term exactly, the term is removed from its rule. Returns None if no index can serve
    at least `min_rules` rules.
    """
    indexable = {
        rule.number: _indexable_terms(rule, high_cardinality=high_cardinality) for rule in rules
    }
    counts = Counter(name for terms in indexable.values() for name in terms)
    if not counts or max(counts.values()) < min_rules:
        return None
    name = max(counts, key=lambda name: (counts[name], name))
    by_predicates: RulesByPredicates = {}
    for rule in rules:
        if term := indexable[rule.number].get(name):
            remaining = rule.without_terms([term]) if term.is_exact else rule
            remaining = replace(remaining, indexed_fields=rule.indexed_fields | {name})
            key = (term.implied_predicates[name], bits.get(rule.number, 0))
            by_predicates.setdefault(key, []).append(remaining)
    return name, by_predicates


def _indexable_terms(rule: PendingRule, *, high_cardinality: bool) -> dict[str, Term]:
    """Return the best term of each field that can have an index: an exact term, or else the cheapest one."""
    best_terms: dict[str, Term] = {}
    for term in sorted(rule.terms, key=lambda term: (not term.is_exact, term.cost)):
        for name, predicates in term.implied_predicates.items():
            if (
                name not in rule.indexed_fields
                and not name.startswith(COMMON_FIELD_PREFIXES)
                and name.endswith(HIGH_CARDINALITY_SUFFIXES) is high_cardinality
                and all(predicate.value_type is ValueType.TEXT for predicate in predicates)
            ):
                best_terms.setdefault(name, term)
    return best_terms
