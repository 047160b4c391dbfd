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

from app.detection.eql.compiler import COMMON, OFTEN_NEW, Term, least
from app.detection.eql.questions import Question
from app.detection.eql.values import Reader

FEWEST = 2
"""Rules for which an index pays inside a block: it costs about as much as asking two questions."""

FEWEST_TOGETHER = 4
"""Rules for which indexes of several fields pay, some of whose values are often new."""

DEEPEST = 20
"""Conditions inside conditions; Python takes a hundred levels of indentation."""


Entry: TypeAlias = tuple[tuple[Question, ...], int, str]
"""Of an index: what is asked of its field, and the function that this leads to, with a bit."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A rule by its `number`, with the terms that are still to be asked.

    `indexed` are fields whose index has led to it: another one would tell nothing new.
    """

    number: int
    terms: tuple[Term, ...]
    indexed: frozenset[str] = frozenset()

    def without(self, met: Iterable[Term]) -> "Wanted":
        gone = set(met)
        return replace(self, terms=tuple(term for term in self.terms if term not in gone))


@dataclass(slots=True)
class Source:
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
    reading: Callable[[Iterable[str]], Iterable[str]]
    local: Callable[[str], str]
    is_text: Callable[[str], bool]
    functions: list[str] = field(default_factory=list)
    indexes: dict[str, list[Entry]] = field(default_factory=dict)
    tests: list[str] = field(default_factory=list)

    def statements(self, rules: Sequence[Wanted]) -> tuple[set[str], list[str]]:
        """Fields to be read, and the statements that decide all of `rules` and leave `found`."""
        fields: set[str] = set()
        groups: dict[frozenset[Term], int] = {}
        bits: dict[int, int] = {}
        rest: list[Wanted] = []
        for rule in rules:
            common = frozenset(term for term in rule.terms if term.is_common)
            bits[rule.number] = 1 << groups.setdefault(common, len(groups))
            rest.append(rule.without(common))
        self._common(list(groups))
        lines, possible, rest = self._leading(rest, bits, fields)
        if possible and not rest:
            lines.append(f"if not ({' or '.join(possible)}):")
            lines.append("    return ()")
        lines += ["found = []", f"held = {self.prefix}_held({self.argument})"]
        for one in possible:
            lines += [f"for bit, block in {one}:", "    if held & bit:"]
            lines.append(f"        block({self.argument}, found)")
        for bit in dict.fromkeys(bits[rule.number] for rule in rest):
            block = self._block([rule for rule in rest if bits[rule.number] == bit], 0)
            lines += [f"if held & {bit}:", f"    {block}({self.argument}, found)"]
        return fields, lines

    def _leading(
        self, rules: Sequence[Wanted], bits: Mapping[int, int], fields: set[str]
    ) -> tuple[list[str], list[str], list[Wanted]]:
        """Statements that ask the indexes, the locals that then hold blocks, and rules that none leads to."""
        lines: list[str] = []
        possible: list[str] = []
        rest = list(rules)
        while anchored := _anchored(rest, fewest=1, often_new=False, bits=bits):
            name, by_questions = anchored
            rest = _others(rest, by_questions.values())
            possible.append(f"possible{len(possible)}")
            lines.append(f"{possible[-1]} = {self._index(name, by_questions, fields, 0)}")
        by_field, rest = self._by_either(rest, bits)
        if by_field:
            # A set, since two fields may lead to one block.
            asked = (f"*({self._indexing(*entries, fields)})" for entries in by_field.items())
            possible.append(f"possible{len(possible)}")
            lines.append(f"{possible[-1]} = {{{', '.join(asked)}}}")
        return lines, possible, rest

    def _common(self, groups: Sequence[frozenset[Term]]) -> None:
        """A function that tells which of `groups` hold, as bits; the highest one is always set."""
        asked = sorted({name for terms in groups for term in terms for name in term.fields})
        values = list(map(self.local, asked))
        for terms in groups:
            lines = [f"return {' and '.join(t.source for t in sorted(terms, key=_cost)) or True}"]
            self.tests.append(self._function("holds", ", ".join(values), lines))
        lines = list(self.reading(asked))
        for name, value in zip(asked, values, strict=True):
            if not self.is_text(name):
                lines.append(f"if type({value}) is list:")
                lines.append(f"    {value} = tuple({value})")
        lines.append(f"return {self.prefix}_gate[({''.join(f'{value}, ' for value in values)})]")
        self.functions.append(
            "\n    ".join([f"def {self.prefix}_held({self.argument}):", *lines]) + "\n"
        )

    def _block(self, rules: Sequence[Wanted], depth: int) -> str:
        fields: set[str] = set()
        lines = list(self._decided(rules, depth, fields))
        return self._function("block", f"{self.argument}, found", [*self.reading(fields), *lines])

    def _function(self, kind: str, parameters: str, lines: Iterable[str]) -> str:
        name = f"{self.prefix}_{kind}{len(self.functions)}"
        self.functions.append("\n    ".join([f"def {name}({parameters}):", *lines]) + "\n")
        return name

    def _decided(self, rules: Sequence[Wanted], depth: int, fields: set[str]) -> Iterator[str]:
        rest = yield from self._indexed(rules, depth, fields, often_new=False)
        if matched := [rule.number for rule in rest if not rule.terms]:
            yield f"found += {matched}"
        rest = [rule for rule in rest if rule.terms]
        while rest:
            sharing = _sharing(rest) if depth < DEEPEST else rest[:1]
            if len(sharing) == 1:
                before = rest
                rest = yield from self._indexed(rest, depth, fields, often_new=True)
                if rest != before:
                    continue
            shared = [term for term in sharing[0].terms if all(term in r.terms for r in sharing)]
            fields.update(*(term.fields for term in shared))
            yield from _condition(shared)
            inner = [rule.without(shared) for rule in sharing]
            yield from (f"    {line}" for line in self._decided(inner, depth + 1, fields))
            rest = [rule for rule in rest if rule not in sharing]

    def _indexed(
        self, rules: Sequence[Wanted], depth: int, fields: set[str], *, often_new: bool
    ) -> Generator[str, None, list[Wanted]]:
        """Gives back the rules that no index leads to."""
        rest = list(rules)
        while depth < DEEPEST and (
            anchored := _anchored(rest, fewest=FEWEST, often_new=often_new, bits={})
        ):
            name, by_questions = anchored
            rest = _others(rest, by_questions.values())
            yield f"for _, block in {self._index(name, by_questions, fields, depth)}:"
            yield f"    block({self.argument}, found)"
        return rest

    def _by_either(
        self, rules: Sequence[Wanted], bits: Mapping[int, int]
    ) -> tuple[dict[str, list[Entry]], list[Wanted]]:
        """By each field, what it asks for the rules that can be led to by several together; and the rest."""
        led: dict[tuple[int, tuple[tuple[str, tuple[Question, ...]], ...]], list[Wanted]] = {}
        for rule in rules:
            if asked := least([term.either for term in rule.terms if term.either]):
                led.setdefault((bits[rule.number], tuple(asked.items())), []).append(rule)
        by_field: dict[str, list[Entry]] = {}
        if sum(map(len, led.values())) < FEWEST_TOGETHER:
            return by_field, list(rules)
        for (bit, pairs), members in led.items():
            block = self._block(members, 1)
            for name, questions in pairs:
                by_field.setdefault(name, []).append((questions, bit, block))
        return by_field, _others(rules, led.values())

    def _index(self, name: str, by_questions: "Anchored", fields: set[str], depth: int) -> str:
        """An expression for the blocks that the field `name` leaves possible, with their bits."""
        entries = [
            (questions, bit, self._block(members, depth + 1))
            for (questions, bit), members in by_questions.items()
        ]
        return self._indexing(name, entries, fields)

    def _indexing(self, name: str, entries: list[Entry], fields: set[str]) -> str:
        index = f"{self.prefix}_index{len(self.indexes)}"
        self.indexes[index] = entries
        fields.add(name)
        value = self.local(name)
        if self.is_text(name) and not name.endswith(OFTEN_NEW):
            return f"{index}[{value}]"
        return f"{index}[{value}] if type({value}) is str else {index}.look({value})"


Anchored: TypeAlias = dict[tuple[tuple[Question, ...], int], list[Wanted]]


def _others(rules: Sequence[Wanted], taken: Iterable[Sequence[Wanted]]) -> list[Wanted]:
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


def _sharing(rules: Sequence[Wanted]) -> list[Wanted]:
    """The rules with the term that most of `rules` have."""
    counts = Counter(term for rule in rules for term in rule.terms)
    most = max(counts, key=lambda term: (counts[term], -term.cost))
    return [rule for rule in rules if most in rule.terms]


def all_indexed(rules: Iterable[Wanted]) -> bool:
    """Whether an index leads to each of `rules`, so that most events end there."""
    return all(_anchors(rule, often_new=False) for rule in rules)


def _anchored(
    rules: Sequence[Wanted], *, fewest: int, often_new: bool, bits: Mapping[int, int]
) -> tuple[str, Anchored] | None:
    """The field by which an index leads to most of `rules`, and those rules by what they ask of it.

    A term that asks no more than the index has answered is not asked again.
    """
    anchors = {rule.number: _anchors(rule, often_new=often_new) for rule in rules}
    counts = Counter(name for found in anchors.values() for name in found)
    if not counts or max(counts.values()) < fewest:
        return None
    name = max(counts, key=lambda name: (counts[name], name))
    by_questions: Anchored = {}
    for rule in rules:
        if term := anchors[rule.number].get(name):
            left = rule.without([term]) if term.exact else rule
            left = replace(left, indexed=left.indexed | {name})
            key = (term.implied[name], bits.get(rule.number, 0))
            by_questions.setdefault(key, []).append(left)
    return name, by_questions


def _anchors(rule: Wanted, *, often_new: bool) -> dict[str, Term]:
    """For each field that an index could have, the term that says most about it for least."""
    found: dict[str, Term] = {}
    for term in sorted(rule.terms, key=lambda term: (not term.exact, term.cost)):
        for name, questions in term.implied.items():
            fit = not name.startswith(COMMON) and name.endswith(OFTEN_NEW) is often_new
            if (
                name not in rule.indexed
                and fit
                and all(question.reader is Reader.TEXT for question in questions)
            ):
                found.setdefault(name, term)
    return found
