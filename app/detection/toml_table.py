"""Typed reading of TOML tables that goes on after a mistake and tells each with its place."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from app.detection.problem import Problem
from app.detection.toml_source import Keys, Place, TomlSource

T = TypeVar("T")


class Shape:
    """What a text must look like: a regular expression, and the same in words."""

    def __init__(self, pattern: str, said: str) -> None:
        self._pattern = re.compile(pattern, re.DOTALL)
        self.said = said

    def check(self, value: object) -> str | None:
        fits = isinstance(value, str) and self._pattern.fullmatch(value)
        return value if fits and isinstance(value, str) else None


_ANY_TEXT = Shape(".*", "a text")
_SOME_TEXT = Shape(r".*\S.*", "a text that is not empty")


class Table:
    """A table of a file. Each reader names a key and what it must hold.

    What a reader returns after a problem is only good for reading on: whoever builds something of
    it looks at `problems` first, which all tables of a file share.
    """

    def __init__(
        self, path: Path, source: TomlSource, problems: list[Problem], at: Keys, data: object
    ) -> None:
        self._path = path
        self._source = source
        self._at = at
        self.problems = problems
        self.data: Mapping[str, Any] = data if isinstance(data, dict) else {}
        if not isinstance(data, dict):
            self._complain((), "must be a table")

    def text(self, key: str, *, default: str | None = None, shape: Shape | None = None) -> str:
        """A text. It may be empty only if it may be left out, that is, with a `default`."""
        wanted = shape or (_ANY_TEXT if default is not None else _SOME_TEXT)
        return self._value(key, wanted.check, wanted.said, default, "")

    def number(self, key: str, low: int, high: int) -> int:
        def check(value: object) -> int | None:
            if isinstance(value, bool) or not isinstance(value, int):
                return None
            return value if low <= value <= high else None

        return self._value(key, check, f"a whole number from {low} to {high}", None, low)

    def flag(self, key: str, *, default: bool | None = None) -> bool:
        def check(value: object) -> bool | None:
            return value if isinstance(value, bool) else None

        return self._value(key, check, "true or false", default, False)

    def one_of(self, key: str, options: Mapping[str, T]) -> T:
        """The option that a text names."""

        def check(value: object) -> tuple[T] | None:
            return (options[value],) if isinstance(value, str) and value in options else None

        expected = " or ".join(f"'{option}'" for option in options)
        return self._value(key, check, expected, None, (next(iter(options.values())),))[0]

    def texts(self, key: str, *, shape: Shape | None = None) -> tuple[str, ...]:
        """A list of texts, empty if left out."""
        each = shape or _ANY_TEXT

        def check(value: object) -> tuple[str, ...] | None:
            fits = isinstance(value, list) and all(each.check(item) is not None for item in value)
            return tuple(value) if fits and isinstance(value, list) else None

        return self._value(key, check, f"a list, of which each is {each.said}", (), ())

    def event(self, key: str) -> Mapping[str, object]:
        """A table, or a text with a JSON object; as JSON types either way."""

        def check(value: object) -> Mapping[str, object] | None:
            try:
                text = value if isinstance(value, str) else json.dumps(value, default=str)
                event = json.loads(text)
            except (ValueError, RecursionError):
                return None
            return event if isinstance(event, dict) else None

        return self._value(key, check, "a table, or a text with a JSON object", None, {})

    def table(self, key: str) -> "Table":
        """A table that must be there."""
        if key not in self.data:
            self.complain(None, f"'{key}' is missing")
        return self._below((key,), self.data.get(key, {}))

    def tables(self, key: str) -> list["Table"]:
        """An array of tables, empty if left out."""
        found = self.data.get(key, [])
        if not isinstance(found, list):
            self.complain(key, "must be an array of tables")
            return []
        return [self._below((key, index), item) for index, item in enumerate(found)]

    def line(self) -> int:
        return self._source.key(self._at).line

    def complain(self, key: str | None, message: str) -> None:
        """A problem with what `key` holds, or with the table itself."""
        self._complain(() if key is None else (key,), message)

    def complain_inside(self, key: str, offset: int, message: str) -> None:
        """A problem at character `offset` of the text that `key` holds."""
        self._add(self._source.inside((*self._at, key), offset), message)

    def _value(
        self,
        key: str,
        check: Callable[[Any], T | None],
        expected: str,
        default: T | None,
        stand_in: T,
    ) -> T:
        if key not in self.data:
            if default is not None:
                return default
            self.complain(None, f"'{key}' is missing; it must be {expected}")
            return stand_in
        value = check(self.data[key])
        if value is None:
            self.complain(key, f"must be {expected}")
            return stand_in
        return value

    def _below(self, keys: Keys, data: object) -> "Table":
        return Table(self._path, self._source, self.problems, (*self._at, *keys), data)

    def _complain(self, keys: Keys, message: str) -> None:
        at = (*self._at, *keys)
        name = ".".join(str(key) for key in at if isinstance(key, str))
        subject = f"'{name}' " if message.startswith("must") else f"{name}: " if name else ""
        self._add(self._source.key(at), subject + message)

    def _add(self, place: Place, message: str) -> None:
        self.problems.append(Problem(self._path, place.line, place.column, message))
