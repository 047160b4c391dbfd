"""Rule files: TOML in, rules and problems out; which events a rule matches the detector decides.

A file is laid out as Elastic's detection-rules repository lays its own, so that those load
unchanged: `[rule]` with `query`, `language = "eql"`, `type = "eql"`, `note` and `[[rule.threat]]`.
What Deckwatch has no use for, such as `[metadata]` and `index`, is passed over. Of our own are the
`[[test]]` tables: an event and whether the query matches it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from app.detection.detector import Detector
from app.detection.eql.clauses import complaints
from app.detection.eql.errors import EqlError
from app.detection.eql.parser import parse
from app.detection.eql.tree import NOTHING, Query
from app.detection.problem import Problem
from app.detection.toml_source import TomlError, TomlSource
from app.detection.toml_table import Shape, Table
from app.domain.guide import Guide, parse_guide
from app.domain.severity import Severity

OUR_RULES = Path(__file__).parent / "rules"
LARGEST_FILE = 1 << 20
COMPLAINTS_TOLD = 20
"""Of one query: nobody mends more at a time, and a hostile file has thousands."""

_ID = Shape(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a UUID, or up to 64 letters, digits and . _ -")
_URL = Shape(r"https?://[^\s\"<>]+", "an http or https address")


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """A MITRE ATT&CK technique, or inside one a sub-technique."""

    id: str
    name: str
    reference: str
    subtechniques: tuple["Technique", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Threat:
    """A MITRE ATT&CK tactic that a rule maps to, with techniques of it."""

    tactic_id: str
    tactic: str
    reference: str
    techniques: tuple[Technique, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """An event of which a rule file says that its query matches it, or does not.

    `line` is where the file says so.
    """

    name: str
    event: Mapping[str, object] = field(hash=False)
    matches: bool
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule file.

    `slug` is the file's name without `.toml`. `tree` is `query`, parsed and found meaningful.
    `risk_score` runs from 0 to 100. `note`, `setup` and `description` are Markdown, the first
    also as `guide`. `references` are mostly addresses. `enabled` is the file's own wish; people may
    switch a rule otherwise.
    """

    id: str
    slug: str
    name: str
    description: str
    severity: Severity
    risk_score: int
    query: str
    tree: Query
    threats: tuple[Threat, ...]
    note: str
    guide: Guide
    setup: str
    false_positives: tuple[str, ...]
    references: tuple[str, ...]
    tags: tuple[str, ...]
    enabled: bool
    path: Path
    tests: tuple[RuleTest, ...]


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Every rule that could be loaded, and everything wrong with the files that could not."""

    rules: tuple[Rule, ...]
    problems: tuple[Problem, ...]


def load_rules(paths: Iterable[Path]) -> LoadResult:
    """The rules of `paths`: files, or folders whose `*.toml` files are taken, at any depth.

    Never raises, whatever a file holds. Of several rules with one id, the first is loaded.
    """
    rules: dict[str, Rule] = {}
    problems: list[Problem] = []
    for path in _files(paths, problems):
        found: list[Problem] = []
        rule = _load(path, rules, found)
        if rule is not None and not found:
            rules[rule.id] = rule
        problems += sorted(found, key=lambda problem: (problem.line, problem.column or 0))
    return LoadResult(tuple(rules.values()), tuple(problems))


def run_tests(rule: Rule) -> list[Problem]:
    """Each of the rule's test events that its query does not decide as the file says."""
    detector = Detector([rule])
    problems = []
    for test in rule.tests:
        found = detector.decide(json.dumps(test.event).encode())
        if found is None:
            found = detector.decide_document(test.event)
        if bool(found) is not test.matches:
            fault = "does not match, and should" if test.matches else "matches, and should not"
            problems.append(Problem(rule.path, test.line, None, f"test '{test.name}' {fault}"))
    return problems


def _files(paths: Iterable[Path], problems: list[Problem]) -> Iterator[Path]:
    for path in dict.fromkeys(paths):
        try:
            yield from sorted(path.rglob("*.toml")) if path.is_dir() else [path]
        except (OSError, ValueError) as error:
            problems.append(_unreadable(path, error))


def _load(path: Path, loaded: Mapping[str, Rule], problems: list[Problem]) -> Rule | None:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise TomlError(f"larger than {LARGEST_FILE:,} bytes", 1, None)
        source = TomlSource(raw.decode())
    except (OSError, ValueError, TomlError) as error:
        problems.append(_unreadable(path, error))
        return None
    file_table = Table(path, source, problems, (), source.data)
    rule_table = file_table.table("rule")
    if problems:
        return None
    rule = _rule(path, rule_table, file_table)
    if taken := loaded.get(rule.id):
        rule_table.complain("rule_id", f"{rule.id} is already the id of {taken.path}")
    return rule


def _unreadable(path: Path, error: Exception) -> Problem:
    if isinstance(error, TomlError):
        return Problem(path, error.line, error.column, error.message)
    if isinstance(error, UnicodeDecodeError):
        return Problem(path, error.object.count(b"\n", 0, error.start) + 1, None, "not UTF-8")
    message = error.strerror if isinstance(error, OSError) else None
    return Problem(path, 1, None, message or str(error))


def _rule(path: Path, table: Table, file_table: Table) -> Rule:
    table.one_of("type", {"eql": None})
    table.one_of("language", {"eql": None})
    query = table.text("query")
    tree = _tree(table, query)
    note = table.text("note", default="")
    return Rule(
        id=table.text("rule_id", shape=_ID),
        slug=path.stem,
        name=table.text("name"),
        description=table.text("description"),
        severity=table.one_of("severity", {str(severity): severity for severity in Severity}),
        risk_score=table.number("risk_score", 0, 100),
        query=query,
        tree=tree,
        threats=tuple(map(_threat, table.tables("threat"))),
        note=note,
        guide=parse_guide(note),
        setup=table.text("setup", default=""),
        false_positives=table.texts("false_positives"),
        references=table.texts("references"),
        tags=table.texts("tags"),
        enabled=table.flag("enabled", default=True),
        path=path,
        tests=tuple(map(_test, file_table.tables("test"))),
    )


def _tree(table: Table, query: str) -> Query:
    if table.problems:  # no query, or one in another language
        return NOTHING
    try:
        tree = parse(query)
        wrong = list(islice(complaints(tree), COMPLAINTS_TOLD))
    except EqlError as error:
        tree, wrong = NOTHING, [error]
    starts = [0, *(found.end() for found in re.finditer("\n", query))]
    for complaint in wrong:
        offset = starts[complaint.line - 1] + complaint.column - 1
        table.complain_inside("query", offset, complaint.message)
    return tree


def _threat(table: Table) -> Threat:
    tactic = table.table("tactic")
    return Threat(
        tactic_id=tactic.text("id"),
        tactic=tactic.text("name"),
        reference=tactic.text("reference", shape=_URL),
        techniques=tuple(map(_technique, table.tables("technique"))),
    )


def _technique(table: Table) -> Technique:
    return Technique(
        id=table.text("id"),
        name=table.text("name"),
        reference=table.text("reference", shape=_URL),
        subtechniques=tuple(map(_technique, table.tables("subtechnique"))),
    )


def _test(table: Table) -> RuleTest:
    for key in table.data.keys() - {"name", "event", "matches"}:
        table.complain(key, "is no key of a test; those are name, event and matches")
    return RuleTest(
        name=table.text("name"),
        event=table.event("event"),
        matches=table.flag("matches"),
        line=table.line(),
    )
