"""TOML parser that also returns the positions of keys and values.

tomllib returns values without positions. This module parses the text with tomllib first and then scans it for
table headers, keys and the ends of values. The scan can be simple, because tomllib has rejected invalid TOML.
"""

import re
import tomllib
from dataclasses import dataclass
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys from the root of the file to a value, such as `("rule", "threat", 0, "tactic")`. An integer is an
index in an array of tables."""

_ERROR_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_KEY_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEY = rf"{_KEY_PART}(?:[ \t]*\.[ \t]*{_KEY_PART})*"
# tomllib takes quadratic time in the number of parts of a dotted key, so the number of parts is limited.
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
    """The text is not valid TOML or exceeds a limit.

    `line` and `column` start at 1. `column` is None if it is unknown.
    """

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
    """A parsed TOML file: its `data`, and the positions of its keys and strings.

    The constructor raises TomlError in these cases:

    - `text` is not valid TOML.
    - A key has more than 50 parts. For example, `rule.name` has two parts.
    - Arrays or tables are nested deeper than Python's recursion limit.
    """

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")  # tomllib also replaces \r\n
        if match := _TOO_MANY_KEY_PARTS.search(self._text):
            line = self._text.count("\n", 0, match.start()) + 1
            raise TomlError("a key has more than 50 parts", line, None)
        try:
            self.data = tomllib.loads(self._text)
        except RecursionError:
            raise TomlError("arrays or tables are nested too deeply", 1, None) from None
        except ValueError as error:
            raise _to_toml_error(str(error), self._text) from None
        self._key_offsets, self._value_offsets = _scan_offsets(self._text)

    def key_position(self, path: KeyPath) -> Position:
        """Return the position of the key or table at `path`.

        If the position is unknown, return the position of the closest parent whose position is known. For
        example, `("rule",)` is the parent of `("rule", "name")`.
        """
        while path and path not in self._key_offsets:
            path = path[:-1]
        return self._position(self._key_offsets.get(path, 0))

    def text_position(self, path: KeyPath, offset: int) -> Position:
        """Return the position in the file of one character of a string.

        `path` is the key path of the string. `offset` is the index of the character in the parsed string. If
        the position of the string is unknown, return `key_position(path)`.
        """
        start = self._value_offsets.get(path)
        if start is None:
            return self.key_position(path)
        return self._position(_offset_in_text(self._text, start, offset))

    def _position(self, offset: int) -> Position:
        line = self._text.count("\n", 0, offset) + 1
        return Position(line, offset - self._text.rfind("\n", 0, offset))


def _to_toml_error(message: str, text: str) -> TomlError:
    match = _ERROR_POSITION.search(message)
    cause = f"not TOML: {_ERROR_POSITION.sub('', message)}"
    if match is None:  # for example, the error for a number with too many digits has no position
        return TomlError(cause, 1, None)
    if match[1] is None:
        return TomlError(cause, text.count("\n") + 1, None)
    return TomlError(cause, int(match[1]), int(match[2]))


def _scan_offsets(text: str) -> tuple[dict[KeyPath, int], dict[KeyPath, int]]:
    """Return the offsets of keys and the offsets of values in `text`.

    Each of the two mappings contains offsets by key path, such as `("rule", "name")`. The first mapping
    contains the offsets of keys and table headers. The second mapping contains the offsets of the values that
    follow `key =`. `text` must be valid TOML.
    """
    keys: dict[KeyPath, int] = {}
    values: dict[KeyPath, int] = {}
    arrays: dict[KeyPath, int] = {}
    table: KeyPath = ()
    offset = 0
    while offset < len(text) and (match := _STATEMENT_START.match(text, offset)):
        offset = match.end()
        if array := match["array"]:
            *parents, last = _split_key(array)
            path = (*_resolve_array_indexes((), parents, arrays), last)
            arrays[path] = arrays.get(path, -1) + 1
            table = (*path, arrays[path])
            keys.setdefault(path, match.start("array"))
            keys[table] = match.start("array")
        elif header := match["table"]:
            table = _resolve_array_indexes((), _split_key(header), arrays)
            keys[table] = match.start("table")
        elif key := match["key"]:
            path = table
            for part in _split_key(key):
                path = (*path, part)
                keys.setdefault(path, match.start("key"))
            values[path] = offset
            offset = _end_of_value(text, offset)
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


def _end_of_value(text: str, offset: int) -> int:
    depth = 0
    while True:
        token = (_NESTED_TOKEN if depth or text[offset] in "[{" else _SCALAR).match(text, offset)
        if token is None or token.end() == offset:
            return offset
        offset = token.end()
        groups = token.groupdict()
        depth += bool(groups.get("open")) - bool(groups.get("close"))
        if depth == 0:
            return offset


def _offset_in_text(text: str, start: int, offset: int) -> int:
    """Return the offset in `text` of one character of a TOML string.

    `start` is the offset of the opening quote in `text`. `offset` is the index of the character in the parsed
    string.
    """
    quote = text[start]
    delimiter = quote * 3 if text.startswith(quote * 3, start) else quote
    position = start + len(delimiter)
    if len(delimiter) == 3 and text.startswith("\n", position):
        position += 1
    if quote == "'":
        return position + offset
    while True:
        escape = _ESCAPE.match(text, position) if text.startswith("\\", position) else None
        if escape is not None and escape[0][1] in " \t\n":  # a line-ending backslash
            position = escape.end()
            continue
        if offset == 0:
            return position
        position = escape.end() if escape else position + 1
        offset -= 1
