"""Typed reader for TOML tables that collects every problem with its position."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from app.detection.rule_file_problem import RuleFileProblem
from app.detection.toml_positions import KeyPath, Position, TomlDocument

T = TypeVar("T")


class TextPattern:
    """A regular expression for a string and its description in words."""

    def __init__(self, pattern: str, description: str) -> None:
        self._pattern = re.compile(pattern, re.DOTALL)
        self.description = description

    def check(self, value: object) -> str | None:
        return value if isinstance(value, str) and self._pattern.fullmatch(value) else None


_ANY_TEXT = TextPattern(".*", "a string")
_NON_EMPTY_TEXT = TextPattern(r".*\S.*", "a non-empty string")


class TableReader:
    """A table of a TOML file. Each read method takes a key and checks the type of its value.

    After a problem, a read method returns a placeholder so that reading can continue. Callers must check
    `problems`, which all tables of a file share, before they use the values.
    """

    def __init__(
        self,
        path: Path,
        source: TomlDocument,
        problems: list[RuleFileProblem],
        key_path: KeyPath,
        data: object,
    ) -> None:
        self._path = path
        self._source = source
        self._key_path = key_path
        self.problems = problems
        self.data: Mapping[str, Any] = data if isinstance(data, dict) else {}
        if not isinstance(data, dict):
            self._add_problem_at((), "must be a table")

    def text(
        self, key: str, *, default: str | None = None, pattern: TextPattern | None = None
    ) -> str:
        """Return a string. Without a `default`, it must be present; without a `pattern` too, not empty."""
        text_pattern = pattern or (_ANY_TEXT if default is not None else _NON_EMPTY_TEXT)
        return self._value(key, text_pattern.check, text_pattern.description, default, "")

    def integer(self, key: str, low: int, high: int) -> int:
        def check(value: object) -> int | None:
            if isinstance(value, bool) or not isinstance(value, int):
                return None
            return value if low <= value <= high else None

        return self._value(key, check, f"a whole number from {low} to {high}", None, low)

    def boolean(self, key: str, *, default: bool | None = None) -> bool:
        def check(value: object) -> bool | None:
            return value if isinstance(value, bool) else None

        return self._value(key, check, "true or false", default, False)

    def one_of(self, key: str, options: Mapping[str, T]) -> T:
        """Return the option whose name is the string at `key`."""

        def check(value: object) -> tuple[T] | None:
            return (options[value],) if isinstance(value, str) and value in options else None

        expected = " or ".join(f"'{option}'" for option in options)
        return self._value(key, check, expected, None, (next(iter(options.values())),))[0]

    def text_list(self, key: str, *, pattern: TextPattern | None = None) -> tuple[str, ...]:
        """Return a list of strings, empty if the key is missing."""
        item_pattern = pattern or _ANY_TEXT

        def check(value: object) -> tuple[str, ...] | None:
            if not isinstance(value, list) or None in map(item_pattern.check, value):
                return None
            return tuple(value)

        expected = f"a list in which each item is {item_pattern.description}"
        return self._value(key, check, expected, (), ())

    def event(self, key: str) -> Mapping[str, object]:
        """Return an event with JSON types, from a table or from a string that contains a JSON object."""

        def check(value: object) -> Mapping[str, object] | None:
            try:
                text = value if isinstance(value, str) else json.dumps(value, default=str)
                event = json.loads(text)
            except (ValueError, RecursionError):
                return None
            return event if isinstance(event, dict) else None

        return self._value(key, check, "a table, or a string with a JSON object", None, {})

    def table(self, key: str) -> "TableReader":
        """Return a required table."""
        if key not in self.data:
            self.add_problem(None, f"'{key}' is missing")
        return self._child((key,), self.data.get(key, {}))

    def tables(self, key: str) -> list["TableReader"]:
        """Return an array of tables, empty if the key is missing."""
        items = self.data.get(key, [])
        if not isinstance(items, list):
            self.add_problem(key, "must be an array of tables")
            return []
        return [self._child((key, index), item) for index, item in enumerate(items)]

    def line(self) -> int:
        return self._source.key_position(self._key_path).line

    def add_problem(self, key: str | None, message: str) -> None:
        """Add a problem at `key`, or at the table itself if `key` is None."""
        self._add_problem_at(() if key is None else (key,), message)

    def add_text_problem(self, key: str, offset: int, message: str) -> None:
        """Add a problem at character `offset` of the string at `key`."""
        self._append_problem(self._source.text_position((*self._key_path, key), offset), message)

    def _value(
        self,
        key: str,
        check: Callable[[Any], T | None],
        expected: str,
        default: T | None,
        placeholder: T,
    ) -> T:
        if key not in self.data:
            if default is not None:
                return default
            self.add_problem(None, f"'{key}' is missing; it must be {expected}")
            return placeholder
        value = check(self.data[key])
        if value is None:
            self.add_problem(key, f"must be {expected}")
            return placeholder
        return value

    def _child(self, keys: KeyPath, data: object) -> "TableReader":
        return TableReader(self._path, self._source, self.problems, (*self._key_path, *keys), data)

    def _add_problem_at(self, keys: KeyPath, message: str) -> None:
        path = (*self._key_path, *keys)
        name = ".".join(key for key in path if isinstance(key, str))
        subject = f"'{name}' " if message.startswith("must") else f"{name}: " if name else ""
        self._append_problem(self._source.key_position(path), subject + message)

    def _append_problem(self, position: Position, message: str) -> None:
        self.problems.append(RuleFileProblem(self._path, position.line, position.column, message))
