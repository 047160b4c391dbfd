"""Pydantic model of a rule file, and the conversion of its validation errors to problems with positions."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from app.detection.rule_file_problem import RuleFileProblem
from app.detection.toml_positions import TomlDocument
from app.domain.severity import Severity


def _matching(pattern: str, description: str) -> AfterValidator:
    """Return a validator that accepts only strings that match `pattern` completely."""
    compiled = re.compile(pattern, re.DOTALL)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise PydanticCustomError("pattern", f"must be {description}")
        return text

    return AfterValidator(check)


def _to_event(value: object) -> object:
    """Return an event with JSON types, from a table or from a string that contains a JSON object."""
    try:
        event = json.loads(value if isinstance(value, str) else json.dumps(value, default=str))
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise PydanticCustomError("event", "must be a table, or a string with a JSON object")
    return event


RuleId = Annotated[
    StrictStr,
    _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a UUID, or up to 64 letters, digits and . _ -"),
]
NonEmptyText = Annotated[StrictStr, _matching(r".*\S.*", "a non-empty string")]
Url = Annotated[StrictStr, _matching(r"https?://[^\s\"<>]+", "an http or https address")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, validate_by_name=False)


class _AttackObject(_Table):
    id: NonEmptyText
    name: NonEmptyText
    reference: Url


class Tactic(_AttackObject):
    """A MITRE ATT&CK tactic."""


class Technique(_AttackObject):
    """A MITRE ATT&CK technique or sub-technique."""

    subtechniques: tuple["Technique", ...] = Field((), alias="subtechnique")


class Threat(_Table):
    """A tactic of a rule, with its techniques."""

    tactic: Tactic
    techniques: tuple[Technique, ...] = Field((), alias="technique")


class RuleTable(_Table):
    """The table `[rule]`."""

    type: Literal["eql"]
    language: Literal["eql"]
    query: NonEmptyText
    rule_id: RuleId
    name: NonEmptyText
    description: NonEmptyText
    severity: Severity
    risk_score: Annotated[StrictInt, Field(ge=0, le=100)]
    threats: tuple[Threat, ...] = Field((), alias="threat")
    note: StrictStr = ""
    setup: StrictStr = ""
    false_positives: tuple[StrictStr, ...] = ()
    references: tuple[StrictStr, ...] = ()
    tags: tuple[StrictStr, ...] = ()
    enabled: StrictBool = True


class TestTable(_Table):
    """A table `[[test]]`."""

    model_config = ConfigDict(extra="forbid")

    name: NonEmptyText
    event: Annotated[Mapping[str, Any], BeforeValidator(_to_event)]
    matches: StrictBool


class RuleFile(_Table):
    """The tables of a rule file that Deckwatch reads. Other tables and keys are ignored."""

    rule: RuleTable
    tests: tuple[TestTable, ...] = Field((), alias="test")


def validate_rule_file(
    path: Path, document: TomlDocument, problems: list[RuleFileProblem]
) -> RuleFile | None:
    """Return the tables of a rule file, or None if the tables are invalid.

    Each validation error is added to `problems`, with its position in the file.
    """
    try:
        return RuleFile.model_validate(document.data)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            position = document.key_position(details["loc"])
            problems.append(
                RuleFileProblem(path, position.line, position.column, _message(details))
            )
        return None


_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "is an unknown key of a test; use name, event and matches",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "tuple_type": "must be an array",
    "model_type": "must be a table",
}
"""Messages by type of Pydantic error. Other messages of Pydantic are kept, such as "must be 'eql'"."""


def _message(error: ErrorDetails) -> str:
    name = "".join(_format_key_path(error["loc"]))
    message = _MESSAGES.get(error["type"], error["msg"]).replace("Input should be", "must be")
    return f"'{name}' {message}"


def _format_key_path(loc: tuple[int | str, ...]) -> Iterator[str]:
    """Yield the parts of a key path as text, such as `rule`, `.tags` and `[0]`."""
    for index, key in enumerate(loc):
        yield f"[{key}]" if isinstance(key, int) else f".{key}" if index else key
