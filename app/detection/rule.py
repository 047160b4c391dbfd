"""Loader of rule files (TOML).

The layout is that of Elastic's detection-rules repository, so that its files load unchanged: `[rule]` with
`query`, `language = "eql"`, `type = "eql"`, `note` and `[[rule.threat]]`. Keys that Deckwatch does not use,
such as `[metadata]` and `index`, are ignored. Deckwatch adds `[[test]]` tables: an event and whether the
query matches it (run by rule_tests.py).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.detection.eql.errors import EqlError, InvalidQueryError
from app.detection.eql.query import MATCH_NOTHING, CompiledQuery, compile_query
from app.detection.rule_file_problem import RuleFileProblem
from app.detection.toml_positions import TomlDocument, TomlError
from app.detection.toml_reader import TableReader, TextPattern
from app.domain.guide import Guide, parse_guide
from app.domain.severity import Severity

BUNDLED_RULES_DIR = Path(__file__).parent / "rules"
MAX_FILE_BYTES = 1 << 20
MAX_ERRORS_PER_QUERY = 20
"""Maximum number of errors that are reported per query, because a malicious file can have thousands of
errors."""

_ID = TextPattern(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a UUID, or up to 64 letters, digits and . _ -"
)
_URL = TextPattern(r"https?://[^\s\"<>]+", "an http or https address")


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """A MITRE ATT&CK technique or sub-technique."""

    id: str
    name: str
    reference: str
    subtechniques: tuple["Technique", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Threat:
    """A MITRE ATT&CK tactic of a rule, with its techniques."""

    tactic_id: str
    tactic: str
    reference: str
    techniques: tuple[Technique, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """A test event of a rule file, and whether the query must match it.

    `line` is the line of the test in the file.
    """

    name: str
    event: Mapping[str, object] = field(hash=False)
    matches: bool
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule file.

    `slug` is the file name without `.toml`. `tree` is the parsed and checked `query`. `risk_score` is 0 to
    100. `note`, `setup` and `description` are Markdown; `guide` is the parsed `note`. `references` are
    usually URLs. `enabled` is the default of the file, which users can override.
    """

    id: str
    slug: str
    name: str
    description: str
    severity: Severity
    risk_score: int
    query: str
    tree: CompiledQuery
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
class LoadedRules:
    """The rules that were loaded, and the problems of the files that could not be loaded."""

    rules: tuple[Rule, ...]
    problems: tuple[RuleFileProblem, ...]


def load_rules(paths: Iterable[Path]) -> LoadedRules:
    """Load the rules in `paths`: files, or folders that are searched recursively for `*.toml`.

    Never raises: errors become problems. If several rules have the same id, the first is loaded.
    """
    rules: dict[str, Rule] = {}
    problems: list[RuleFileProblem] = []
    for path in _find_files(paths, problems):
        file_problems: list[RuleFileProblem] = []
        rule = _load_file(path, rules, file_problems)
        if rule is not None and not file_problems:
            rules[rule.id] = rule
        problems += sorted(file_problems, key=lambda problem: (problem.line, problem.column or 0))
    return LoadedRules(tuple(rules.values()), tuple(problems))


def is_enabled(rule: Rule, override: bool | None) -> bool:
    """Return whether `rule` is enabled: `override`, the users' setting, or if it is None the rule file's."""
    return rule.enabled if override is None else override


def enabled_rules(rules: Iterable[Rule], overrides: Mapping[str, bool]) -> tuple[Rule, ...]:
    """Return the enabled rules in the same order; `overrides` are the users' settings by rule id."""
    return tuple(rule for rule in rules if is_enabled(rule, overrides.get(rule.id)))


def _find_files(paths: Iterable[Path], problems: list[RuleFileProblem]) -> Iterator[Path]:
    for path in dict.fromkeys(paths):
        try:
            yield from sorted(path.rglob("*.toml")) if path.is_dir() else [path]
        except (OSError, ValueError) as error:
            problems.append(_file_problem(path, error))


def _load_file(
    path: Path, loaded: Mapping[str, Rule], problems: list[RuleFileProblem]
) -> Rule | None:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise TomlError(f"larger than {MAX_FILE_BYTES:,} bytes", 1, None)
        source = TomlDocument(raw.decode())
    except (OSError, ValueError, TomlError) as error:
        problems.append(_file_problem(path, error))
        return None
    file_table = TableReader(path, source, problems, (), source.data)
    rule_table = file_table.table("rule")
    if problems:
        return None
    rule = _read_rule(path, rule_table, file_table)
    if existing := loaded.get(rule.id):
        rule_table.add_problem(
            "rule_id", f"{rule.id} is already the id of the rule in {existing.path}"
        )
    return rule


def _file_problem(path: Path, error: Exception) -> RuleFileProblem:
    if isinstance(error, TomlError):
        return RuleFileProblem(path, error.line, error.column, error.message)
    if isinstance(error, UnicodeDecodeError):
        return RuleFileProblem(
            path, error.object.count(b"\n", 0, error.start) + 1, None, "not UTF-8"
        )
    message = error.strerror if isinstance(error, OSError) else None
    return RuleFileProblem(path, 1, None, message or str(error))


def _read_rule(path: Path, table: TableReader, file_table: TableReader) -> Rule:
    table.one_of("type", {"eql": None})
    table.one_of("language", {"eql": None})
    query = table.text("query")
    tree = _parse_query(table, query)
    note = table.text("note", default="")
    return Rule(
        id=table.text("rule_id", pattern=_ID),
        slug=path.stem,
        name=table.text("name"),
        description=table.text("description"),
        severity=table.one_of("severity", {str(severity): severity for severity in Severity}),
        risk_score=table.integer("risk_score", 0, 100),
        query=query,
        tree=tree,
        threats=tuple(map(_read_threat, table.tables("threat"))),
        note=note,
        guide=parse_guide(note),
        setup=table.text("setup", default=""),
        false_positives=table.text_list("false_positives"),
        references=table.text_list("references"),
        tags=table.text_list("tags"),
        enabled=table.boolean("enabled", default=True),
        path=path,
        tests=tuple(map(_read_test, file_table.tables("test"))),
    )


def _parse_query(table: TableReader, query: str) -> CompiledQuery:
    if table.problems:  # the query is missing, or in another language
        return MATCH_NOTHING
    errors: Sequence[EqlError] = ()
    try:
        tree = compile_query(query, max_errors=MAX_ERRORS_PER_QUERY)
    except InvalidQueryError as error:
        tree, errors = MATCH_NOTHING, error.errors
    line_starts = [0, *(match.end() for match in re.finditer("\n", query))]
    for query_error in errors:
        offset = line_starts[query_error.line - 1] + query_error.column - 1
        table.add_text_problem("query", offset, query_error.message)
    return tree


def _read_threat(table: TableReader) -> Threat:
    tactic = table.table("tactic")
    return Threat(
        tactic_id=tactic.text("id"),
        tactic=tactic.text("name"),
        reference=tactic.text("reference", pattern=_URL),
        techniques=tuple(map(_read_technique, table.tables("technique"))),
    )


def _read_technique(table: TableReader) -> Technique:
    return Technique(
        id=table.text("id"),
        name=table.text("name"),
        reference=table.text("reference", pattern=_URL),
        subtechniques=tuple(map(_read_technique, table.tables("subtechnique"))),
    )


def _read_test(table: TableReader) -> RuleTest:
    for key in table.data.keys() - {"name", "event", "matches"}:
        table.add_problem(key, "unknown key of a test; use name, event and matches")
    return RuleTest(
        name=table.text("name"),
        event=table.event("event"),
        matches=table.boolean("matches"),
        line=table.line(),
    )
