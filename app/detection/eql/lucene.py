"""Lucene's regular expressions, which `regex` and `match` take, in RE2's words: linear time.

Lucene (its RegExp class, and Elasticsearch's regexp syntax reference) has no anchors, since an
expression always describes the whole text; `.` is any character; `"` quotes; `@` is any text. Its
complement, intersection, empty language and number ranges have no equal in RE2 and are refused.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import re2

LONGEST = 10_000

_COUNTS = re.compile(r"\{[0-9]{1,5}(?:,[0-9]{0,5})?\}")
_CLASSES = {"d": "0-9", "s": r"\t\n\r\x20", "w": "0-9A-Z_a-z"}
_REFUSED = {
    "~": "'~' (all but)",
    "&": "'&' (both)",
    "#": "'#' (nothing)",
    "<": "'<' (a range of numbers)",
}
_MEMORY = 1 << 26
"""Bytes that RE2 may use for one expression; what it builds as texts are seen is thrown away when
this is full."""


_LARGEST = 4_000
"""Instructions of RE2 that an expression may compile to: larger ones outgrow its fast way."""


class RegexError(Exception):
    """An expression that is wrong or not supported; the first argument says why."""


def compile_regexes(patterns: tuple[str, ...], *, any_case: bool) -> Callable[[str], bool]:
    """A test whether one of `patterns` describes a whole text; raises RegexError.

    `any_case` folds ASCII letters only, as every insensitive operator of EQL does here.
    """
    return _told(_compiled(patterns, any_case).fullmatch)


def compile_for_lists(
    patterns: tuple[str, ...], *, any_case: bool
) -> Callable[[Sequence[str]], bool]:
    """The same for a list of texts, of which any may fit.

    A process can have a million arguments: a look at all of them together comes first.
    """
    compiled = _compiled(patterns, any_case)
    fits, possible = _told(compiled.fullmatch), _told(compiled.search)

    def test(texts: Sequence[str]) -> bool:
        return possible("\0".join(texts)) and any(map(fits, dict.fromkeys(texts)))

    return test


def _compiled(patterns: tuple[str, ...], any_case: bool) -> Any:
    source = "|".join(translated(pattern, any_case=any_case) for pattern in patterns)
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.never_capture = True
    options.dot_nl = True
    try:
        compiled = re2.compile(source, options)
    except re2.error as error:
        raise RegexError(f"this regular expression cannot be used: {_reason(error)}") from None
    if compiled.programsize > _LARGEST:
        raise RegexError("this regular expression repeats too much to be looked for quickly")
    return compiled


def _told(matches: Callable[[str], object]) -> Callable[[str], bool]:
    def test(text: str) -> bool:
        try:
            return matches(text) is not None
        except UnicodeEncodeError:
            # A byte that was not UTF-8 arrives as a lone surrogate: a character like any other.
            known = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return matches(known) is not None

    return test


def search_any(parts: tuple[str, ...], otherwise: Callable[[str], bool]) -> Callable[[str], bool]:
    """A test whether a text has one of `parts` anywhere; `otherwise` is the same without RE2."""
    options = re2.Options()
    options.literal = True
    options.max_mem = _MEMORY
    options.never_capture = True
    search = re2.Set.SearchSet(options)
    for part in parts:
        search.Add(part)
    search.Compile()
    match = search.Match

    def test(text: str) -> bool:
        try:
            return bool(match(text))
        except UnicodeEncodeError:
            return otherwise(text)

    return test


def _reason(error: Exception) -> str:
    reason = error.args[0]
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def translated(pattern: str, *, any_case: bool) -> str:
    """`pattern` in RE2's syntax, as one group; raises RegexError."""
    if len(pattern) > LONGEST:
        raise RegexError(f"a regular expression may have at most {LONGEST:,} characters")
    return _Translation(pattern, any_case).whole()


@dataclass(slots=True)
class _Translation:
    """`groups` are the groups open at `at`: for each its alternatives, for each of them its atoms."""

    pattern: str
    any_case: bool
    at: int = 0
    groups: list[list[list[str]]] = field(default_factory=lambda: [[[]]])

    def whole(self) -> str:
        while self.at < len(self.pattern):
            character = self.pattern[self.at]
            self.at += 1
            _READ.get(character, _Translation._text)(self, character)
        if len(self.groups) > 1:
            raise RegexError("a '(' in this regular expression is not closed")
        return self._closed()

    def _closed(self) -> str:
        return f"(?:{'|'.join(''.join(atoms) for atoms in self.groups.pop())})"

    def _add(self, atom: str) -> None:
        self.groups[-1][-1].append(atom)

    def _text(self, character: str) -> None:
        self._add(_literal(character, self.any_case))

    def _any_character(self, _: str) -> None:
        self._add(".")

    def _any_text(self, _: str) -> None:
        self._add("(?:.*)")

    def _quoted(self, _: str) -> None:
        end = self.pattern.find('"', self.at)
        if end < 0:
            raise RegexError("a quote in this regular expression is not closed")
        quoted = self.pattern[self.at : end]
        self._add(f"(?:{''.join(_literal(c, self.any_case) for c in quoted)})")
        self.at = end + 1

    def _escape(self, _: str) -> None:
        escaped = self._next("a backslash")
        if ranges := _CLASSES.get(escaped.lower()):
            self._add(f"[{'^' if escaped.isupper() else ''}{ranges}]")
        else:
            self._text(escaped)

    def _next(self, what: str) -> str:
        if self.at == len(self.pattern):
            raise RegexError(f"this regular expression ends after {what}")
        self.at += 1
        return self.pattern[self.at - 1]

    def _open(self, _: str) -> None:
        self.groups.append([[]])

    def _close(self, _: str) -> None:
        if len(self.groups) == 1:
            raise RegexError("a ')' in this regular expression closes nothing")
        closed = self._closed()
        self._add(closed)

    def _or(self, _: str) -> None:
        self.groups[-1].append([])

    def _repeat(self, sign: str) -> None:
        atoms = self.groups[-1][-1]
        if not atoms:
            raise RegexError(f"nothing stands before a '{sign}' of this regular expression")
        if sign == "{":
            counts = _COUNTS.match(self.pattern, self.at - 1)
            if counts is None:
                raise RegexError("a '{' is followed by one or two numbers and a '}'")
            sign, self.at = counts.group(), counts.end()
        # In a group of its own: RE2 would take `a*?` for a lazy star, which Lucene does not have.
        atoms[-1] = f"(?:{atoms[-1]}{sign})"

    def _refuse(self, character: str) -> None:
        raise RegexError(f"{_REFUSED[character]} is not supported; write it with a '\\' for itself")

    def _class(self, _: str) -> None:
        negated = self.pattern.startswith("^", self.at)
        self.at += negated
        parts: list[str] = []
        while (first := self._next("a '['")) != "]" or not parts:
            if first == "]":
                raise RegexError("'[]' describes no character")
            if first == "\\":
                first = self._next("a backslash")
                if ranges := _CLASSES.get(first):
                    parts.append(ranges)
                    continue
                if first.lower() in _CLASSES:
                    raise RegexError(f"'\\{first}' is not supported between '[' and ']'")
            parts.append(self._range(first))
        self._add(f"[{'^' if negated else ''}{''.join(parts)}]")

    def _range(self, first: str) -> str:
        last = first
        if self.pattern.startswith("-", self.at) and not self.pattern.startswith("-]", self.at):
            self.at += 1
            last = self._next("a '-'")
            if last == "\\":
                last = self._next("a backslash")
            if last < first:
                raise RegexError(f"'{first}-{last}' goes backwards")
        written = f"{_in_class(first)}-{_in_class(last)}"
        return written + self._other_case(first, last) if self.any_case else written

    def _other_case(self, first: str, last: str) -> str:
        """The ASCII letters of a range in their other case."""
        parts = []
        for low, high in (("a", "z"), ("A", "Z")):
            start, end = max(first, low), min(last, high)
            if start <= end:
                parts.append(f"{start.swapcase()}-{end.swapcase()}")
        return "".join(parts)


_READ: dict[str, Callable[[_Translation, str], None]] = {
    ".": _Translation._any_character,
    "@": _Translation._any_text,
    '"': _Translation._quoted,
    "\\": _Translation._escape,
    "(": _Translation._open,
    ")": _Translation._close,
    "|": _Translation._or,
    "[": _Translation._class,
    **dict.fromkeys("*+?{", _Translation._repeat),
    **dict.fromkeys(_REFUSED, _Translation._refuse),
}


def _literal(character: str, any_case: bool) -> str:
    if any_case and character.isascii() and character.isalpha():
        return f"[{character.upper()}{character.lower()}]"
    return _in_class(character)


def _in_class(character: str) -> str:
    if character.isascii() and not character.isalnum():
        return rf"\x{{{ord(character):x}}}"
    return character
