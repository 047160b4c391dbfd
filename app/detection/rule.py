"""Loader of rule files (TOML).

A rule file has the same layout as the files in Elastic's detection-rules repository. Deckwatch can therefore
load Elastic's files unchanged. The table `[rule]` contains `query`, `language = "eql"`, `type = "eql"`,
`note` and `[[rule.threat]]`. Keys that Deckwatch does not use, such as `[metadata]` and `index`, are ignored.

Only Deckwatch has `[[test]]` tables. A test contains an event, and states whether the query must match the
event. The module `rule_tests` runs the tests.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.detection.eql.errors import InvalidQueryError
from app.detection.eql.query import MATCH_NOTHING, CompiledQuery, compile_query
from app.detection.rule_file_model import RuleFile, Threat, validate_rule_file
from app.detection.rule_file_problem import RuleFileProblem
from app.detection.toml_positions import TomlDocument, TomlError
from app.domain.guide import Guide, parse_guide
from app.domain.severity import Severity

BUNDLED_RULES_DIR = Path(__file__).parent / "rules"
MAX_FILE_BYTES = 1 << 20
MAX_ERRORS_PER_QUERY = 20
"""Maximum number of errors that are reported per query, because a malicious file can have thousands of
errors."""


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
    100. `note`, `setup` and `description` are Markdown. `guide` is the parsed `note`. `references` are
    usually URLs. `enabled` is the setting in the rule file. A setting of the users can override `enabled`
    (see `is_enabled`).
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
    """Return whether `rule` is enabled.

    `override` is the users' setting. If `override` is None, the setting in the rule file applies.
    """
    return rule.enabled if override is None else override


def enabled_rules(rules: Iterable[Rule], overrides: Mapping[str, bool]) -> tuple[Rule, ...]:
    """Return the rules of `rules` that are enabled, in the order of `rules`.

    `overrides` contains the users' settings by rule id.
    """
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
    file_tables = validate_rule_file(path, source, problems)
    tree = _compile_query(path, source, problems)
    if file_tables is None:
        return None
    rule = _build_rule(path, file_tables, source, tree)
    if existing := loaded.get(rule.id):
        message = f"'rule.rule_id' {rule.id} is already the id of the rule in {existing.path}"
        position = source.key_position(("rule", "rule_id"))
        problems.append(RuleFileProblem(path, position.line, position.column, message))
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


def _compile_query(
    path: Path, source: TomlDocument, problems: list[RuleFileProblem]
) -> CompiledQuery:
    """Compile the query of a rule file, or return MATCH_NOTHING if the query is invalid.

    Each error in the query is added to `problems`, with the position of the error in the file. The query is
    compiled even if another key of the file is invalid. Users then see the errors of the query and the errors
    of the other keys together. A query in a language other than EQL is not compiled.
    """
    table = source.data.get("rule")
    if not isinstance(table, dict) or (table.get("type"), table.get("language")) != ("eql", "eql"):
        return MATCH_NOTHING
    query = table.get("query")
    if not isinstance(query, str) or not query.strip():
        return MATCH_NOTHING
    try:
        return compile_query(query, max_errors=MAX_ERRORS_PER_QUERY)
    except InvalidQueryError as error:
        line_starts = [0, *(match.end() for match in re.finditer("\n", query))]
        for query_error in error.errors:
            offset = line_starts[query_error.line - 1] + query_error.column - 1
            position = source.text_position(("rule", "query"), offset)
            problems.append(
                RuleFileProblem(path, position.line, position.column, query_error.message)
            )
        return MATCH_NOTHING


def _build_rule(path: Path, file: RuleFile, source: TomlDocument, tree: CompiledQuery) -> Rule:
    table = file.rule
    return Rule(
        id=table.rule_id,
        slug=path.stem,
        name=table.name,
        description=table.description,
        severity=table.severity,
        risk_score=table.risk_score,
        query=table.query,
        tree=tree,
        threats=table.threats,
        note=table.note,
        guide=parse_guide(table.note),
        setup=table.setup,
        false_positives=table.false_positives,
        references=table.references,
        tags=table.tags,
        enabled=table.enabled,
        path=path,
        tests=tuple(
            RuleTest(
                name=test.name,
                event=test.event,
                matches=test.matches,
                line=source.key_position(("test", index)).line,
            )
            for index, test in enumerate(file.tests)
        ),
    )
