"""Generation of blocks: Python functions that each test the terms of some rules.

A term is a condition that must be true for a rule to match (module `terms`). Most events match no rule. Three
optimisations make this case fast:

- Field indexes: an index maps a value of a field to blocks. An index lookup returns only the blocks whose
  rules can match an event with this value. The generated code calls only these blocks for the event.
- Common terms: a common term reads only fields with few different values, such as the operating system. A
  common term excludes few events. The common terms of all rules are evaluated together, and the results are
  cached. If every rule has an index, the index lookups come first. The common terms are then evaluated only
  if a lookup has returned a block.
- Shared terms: if several rules of a block have the same term, the block tests the term only once.

Joint indexes are field indexes for rules with an `or`, such as
`process.name == "ssh" or user.name == "root"`. The block of this rule is in the index of `process.name` and
also in the index of `user.name`.

The module is long because the three optimisations change the same list of rules.
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
"""Minimum number of rules that all joint indexes together must serve. It is higher than MIN_RULES_FOR_INDEX,
because some fields of joint indexes have values that rarely repeat, so few lookups find a cached result."""

MAX_DEPTH = 20
"""Maximum nesting of generated `if` statements. Python allows 100 levels of indentation."""

IndexEntry: TypeAlias = tuple[tuple[Predicate, ...], int, str]
"""(predicates, bit, block name). The rules of the block can match only if any of the predicates holds for a
value of the indexed field, and the common terms of the rules are true. If the common terms are
true, `bit` is set in the event's bit mask of common terms. An index inside a block does not use `bit`."""


@dataclass(frozen=True, slots=True)
class PendingRule:
    """A rule, with the terms that the code generated so far does not test.

    - `number`: the position of the rule in the list of all rules.
    - `terms`: the terms that the code generated so far does not test.
    - `indexed_fields`: the fields that have an index with this rule. The generator adds the rule to at most
      one index of each field. Joint indexes do not count.
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

    The generated code appends the numbers of matching rules to the list `matched`. The inputs are:

    - `prefix`: the start of the names of all generated functions and indexes.
    - `argument`: the name of the function parameter that holds the event.
    - `read_statements(fields)`: returns the statements that read the fields from the event.
    - `local_name(field)`: returns the name of the local variable of the field.
    - `is_text(field)`: if true, the variable of the field holds None, a text or a tuple of texts. An index
      accepts these values as keys.

    The results are:

    - `functions`: the source of each generated function.
    - `indexes`: the entries of each index, by the name of the index.
    - `common_term_tests`: the names of generated functions that test common terms. If function N of this list
      returns true, bit N of the bit mask of common terms is set.
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
        """Return (fields, statements).

        The statements create the list `matched` and append the numbers of the matching rules. `fields` are
        the fields that the statements use. The caller must generate the code that reads these fields. This
        code must come before the statements.
        """
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
        """Return (statements, variables, rules without an index).

        The statements look up the indexes. Each statement assigns the blocks that it finds to a variable,
        such as `possible0`. `variables` are the names of these variables.
        """
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
            # The generated code builds a set, because the indexes of two fields can return the same block.
            lookups = (f"*({self._index_lookup(*entries, fields)})" for entries in by_field.items())
            possible.append(f"possible{len(possible)}")
            lines.append(f"{possible[-1]} = {{{', '.join(lookups)}}}")
        return lines, possible, rest

    def _add_common_terms_function(self, groups: Sequence[frozenset[Term]]) -> None:
        """Add the function `common_bits`, which returns a bit mask of the common terms of an event.

        Bit N is set if all terms of `groups[N]` are true.
        """
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
        """Yield the lines of `for` loops. Return the rules that none of these loops serves.

        Each loop looks up one index, and calls each block that the lookup returns.
        """
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
        """Return the entries of the joint indexes by field, and the rules that are in no joint index."""
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
        """Add an index of the field `name`, and return the expression that looks up blocks in the index."""
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
    """Find the most frequent term in `rules`, and return the rules that have this term."""
    counts = Counter(term for rule in rules for term in rule.terms)
    frequent = max(counts, key=lambda term: (counts[term], -term.cost))
    return [rule for rule in rules if frequent in rule.terms]


def all_indexable(rules: Iterable[PendingRule]) -> bool:
    """Return whether every rule can be in an index. If so, most events need only index lookups."""
    return all(_indexable_terms(rule, high_cardinality=False) for rule in rules)


def _best_index_field(
    rules: Sequence[PendingRule], *, min_rules: int, high_cardinality: bool, bits: Mapping[int, int]
) -> tuple[str, RulesByPredicates] | None:
    """Return the name of the best field for an index, and the rules that the index serves.

    The best field is the field whose index serves the most rules. If this index serves fewer than `min_rules`
    rules, the result is None.

    The returned rules are grouped by (predicates, bit):

    - `predicates`: the index returns the rules of a group if one of these predicates holds for a value of the
      field. For example, the predicate of `process.name == "ssh"` is `== "ssh"`.
    - `bit`: the bit of the common terms of the rule. The argument `bits` contains this bit by rule number. If
      `bits` has no entry for the rule, `bit` is 0.

    An index lookup replaces the test of an exact term. The returned rules therefore do not contain the exact
    terms that the index replaces.
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
    """Return the fields that can have an index with `rule`. Each field is mapped to its best term.

    The best term of a field is its cheapest exact term. If the field has no exact term, the best term is its
    cheapest term.

    HIGH_CARDINALITY_SUFFIXES are endings of field names, such as `.args`. If `high_cardinality` is true, the
    result contains only fields with these endings. If `high_cardinality` is false, the result contains only
    fields without these endings.
    """
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
