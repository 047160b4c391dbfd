"""A TOML file that remembers where its keys and texts stand; what they mean is `rule`'s part.

tomllib gives values without places. Once it has accepted a file, finding the places again needs no
more than a scan for table headers, keys and the ends of values.
"""

import re
import tomllib
from dataclasses import dataclass
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys from the top of the file; an entry of an array of tables is its index."""

_ERROR_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_KEY_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEY = rf"{_KEY_PART}(?:[ \t]*\.[ \t]*{_KEY_PART})*"
# tomllib takes quadratic time for each key.
_TOO_MANY_KEY_PARTS = re.compile(r"(?<![\w\"'.-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){50}")
_KEY_PARTS = re.compile(_KEY_PART)
_STATEMENT_START = re.compile(
    rf"""[ \t]*(?:
        \[\[[ \t]*(?P<array>{_KEY})[ \t]*\]\]
      | \[[ \t]*(?P<table>{_KEY})[ \t]*\]
      | (?P<key>{_KEY})[ \t]*=[ \t]*
      | (?:\#[^\n]*)?(?:\n|\Z)
    )""",
    re.VERBOSE,
)
_TEXT = (
    r'"""(?:\\.|[^\\])*?"""("{0,2})'
    r"|'''.*?'''('{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
)
_SCALAR = re.compile(rf"(?:{_TEXT})|[^,\]}}\n#]*", re.DOTALL)
_NESTED_TOKEN = re.compile(
    rf"(?:{_TEXT})|\#[^\n]*|(?P<open>[\[{{])|(?P<close>[\]}}])|[^\[\]{{}}\"'#]+", re.DOTALL
)
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[ \t]*\n[ \t\n]*|.)")


class TomlError(Exception):
    """Not TOML. `line` and `column` count from 1; `column` is None at the end of the file."""

    def __init__(self, message: str, line: int, column: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Position:
    line: int
    column: int


class TomlDocument:
    """The file's `data`, and the places of its keys.

    Raises TomlError if `text` is not TOML, or nests deeper than Python recurses.
    """

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")  # as tomllib does
        if found := _TOO_MANY_KEY_PARTS.search(self._text):
            line = self._text.count("\n", 0, found.start()) + 1
            raise TomlError("a key has more than 50 parts", line, None)
        try:
            self.data = tomllib.loads(self._text)
        except RecursionError:
            raise TomlError("arrays or tables are nested too deeply", 1, None) from None
        except ValueError as error:
            raise _to_toml_error(str(error), self._text) from None
        self._key_offsets, self._value_offsets = _scan_offsets(self._text)

    def key_position(self, path: KeyPath) -> Position:
        """Where the key or table at `path` stands; if it is not there, what should hold it."""
        while path and path not in self._key_offsets:
            path = path[:-1]
        return self._position(self._key_offsets.get(path, 0))

    def text_position(self, path: KeyPath, offset: int) -> Position:
        """Where character `offset` of the text at `path` stands in the file."""
        start = self._value_offsets.get(path)
        if start is None:
            return self.key_position(path)
        return self._position(_offset_in_text(self._text, start, offset))

    def _position(self, offset: int) -> Position:
        line = self._text.count("\n", 0, offset) + 1
        return Position(line, offset - self._text.rfind("\n", 0, offset))


def _to_toml_error(message: str, text: str) -> TomlError:
    found = _ERROR_POSITION.search(message)
    what = f"not TOML: {_ERROR_POSITION.sub('', message)}"
    if found is None:  # a number with too many digits, say
        return TomlError(what, 1, None)
    if found[1] is None:
        return TomlError(what, text.count("\n") + 1, None)
    return TomlError(what, int(found[1]), int(found[2]))


def _scan_offsets(text: str) -> tuple[dict[KeyPath, int], dict[KeyPath, int]]:
    """The offsets of all keys and of their values. `text` is known to be TOML."""
    keys: dict[KeyPath, int] = {}
    values: dict[KeyPath, int] = {}
    arrays: dict[KeyPath, int] = {}
    table: KeyPath = ()
    at = 0
    while at < len(text) and (found := _STATEMENT_START.match(text, at)):
        at = found.end()
        if array := found["array"]:
            *above, last = _split_key(array)
            path = (*_resolve_array_indexes((), above, arrays), last)
            arrays[path] = arrays.get(path, -1) + 1
            table = (*path, arrays[path])
            keys.setdefault(path, found.start("array"))
            keys[table] = found.start("array")
        elif header := found["table"]:
            table = _resolve_array_indexes((), _split_key(header), arrays)
            keys[table] = found.start("table")
        elif key := found["key"]:
            path = table
            for part in _split_key(key):
                path = (*path, part)
                keys.setdefault(path, found.start("key"))
            values[path] = at
            at = _end_of_value(text, at)
    return keys, values


def _resolve_array_indexes(path: KeyPath, parts: list[str], arrays: dict[KeyPath, int]) -> KeyPath:
    for part in parts:
        path = (*path, part)
        if path in arrays:
            path = (*path, arrays[path])
    return path


def _split_key(key: str) -> list[str]:
    return [
        next(iter(tomllib.loads(f"{part} = 0"))) if part[0] == '"' else part.strip("'")
        for part in _KEY_PARTS.findall(key)
    ]


def _end_of_value(text: str, at: int) -> int:
    depth = 0
    while True:
        found = (_NESTED_TOKEN if depth or text[at] in "[{" else _SCALAR).match(text, at)
        if found is None or found.end() == at:
            return at
        at = found.end()
        groups = found.groupdict()
        depth += bool(groups.get("open")) - bool(groups.get("close"))
        if depth == 0:
            return at


def _offset_in_text(text: str, start: int, offset: int) -> int:
    """The offset in `text` of character `offset` of the TOML text whose quotes begin at `start`."""
    quote = text[start]
    delimiter = quote * 3 if text.startswith(quote * 3, start) else quote
    at = start + len(delimiter)
    if len(delimiter) == 3 and text.startswith("\n", at):
        at += 1
    if quote == "'":
        return at + offset
    while True:
        found = _ESCAPE.match(text, at) if text.startswith("\\", at) else None
        if found is not None and found[0][1] in " \t\n":  # a line that goes on without a break
            at = found.end()
            continue
        if offset == 0:
            return at
        at = found.end() if found else at + 1
        offset -= 1
