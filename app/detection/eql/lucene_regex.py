"""Translation of Lucene regular expressions to RE2, which matches in linear time.

The EQL operator `regex` and the EQL function `match` use Lucene's syntax (Lucene's class RegExp, and
Elasticsearch's regexp syntax reference). The syntax has no anchors, because an expression always matches the
complete text. `.` matches any character, text between two `"` is literal, and `@` matches any text.
Complement, intersection, the empty language and number ranges are refused, because RE2 does not have them.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import re2

MAX_PATTERN_LENGTH = 10_000

_REPEAT_COUNTS = re.compile(r"\{[0-9]{1,5}(?:,[0-9]{0,5})?\}")
_CLASS_ESCAPES = {"d": "0-9", "s": r"\t\n\r\x20", "w": "0-9A-Z_a-z"}
_UNSUPPORTED = {
    "~": "'~' (complement)",
    "&": "'&' (intersection)",
    "#": "'#' (empty language)",
    "<": "'<' (number range)",
}
_RE2_MAX_MEMORY = 1 << 26
"""Maximum number of bytes that RE2 uses for one expression. RE2 caches the states of its automaton while it
matches, and clears this cache when it reaches the limit."""

_MAX_PROGRAM_SIZE = 4_000
"""Maximum number of RE2 instructions of a compiled expression. RE2's fast matcher (DFA) cannot run an
expression with more instructions."""


class RegexError(Exception):
    """An invalid or unsupported expression. The first argument is the reason."""


def compile_regexes(patterns: tuple[str, ...], *, ignore_case: bool) -> Callable[[str], bool]:
    """Return a function that tests whether at least one of `patterns` matches a complete text.

    `ignore_case` ignores the case of ASCII letters only, as in all EQL operators that ignore case. Raises
    RegexError if a pattern is invalid or unsupported, or if the patterns are too large.
    """
    return _surrogate_safe(_compile(patterns, ignore_case).fullmatch)


def compile_regexes_for_list(
    patterns: tuple[str, ...], *, ignore_case: bool
) -> Callable[[Sequence[str]], bool]:
    """Return a function that tests whether a list contains a text that matches one of `patterns`.

    A list can be very long, because a process can have a million arguments. The returned function therefore
    searches the joined texts first. It tests each text only if this search finds a match.

    Raises RegexError if a pattern is invalid or unsupported, or if the patterns are too large.
    """
    compiled = _compile(patterns, ignore_case)
    matches, possible = _surrogate_safe(compiled.fullmatch), _surrogate_safe(compiled.search)

    def test(texts: Sequence[str]) -> bool:
        return possible("\0".join(texts)) and any(map(matches, dict.fromkeys(texts)))

    return test


def _compile(patterns: tuple[str, ...], ignore_case: bool) -> Any:
    source = "|".join(to_re2(pattern, ignore_case=ignore_case) for pattern in patterns)
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _RE2_MAX_MEMORY
    options.never_capture = True
    options.dot_nl = True
    try:
        compiled = re2.compile(source, options)
    except re2.error as error:
        raise RegexError(
            f"this regular expression cannot be used: {_error_message(error)}"
        ) from None
    if compiled.programsize > _MAX_PROGRAM_SIZE:
        raise RegexError("this regular expression has too many repetitions to match fast enough")
    return compiled


def _surrogate_safe(matches: Callable[[str], object]) -> Callable[[str], bool]:
    def test(text: str) -> bool:
        try:
            return matches(text) is not None
        except UnicodeEncodeError:
            # RE2 takes UTF-8, which cannot encode lone surrogates. Each surrogate is replaced by U+FFFD.
            replaced = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return matches(replaced) is not None

    return test


def compile_literal_search(
    parts: tuple[str, ...], fallback: Callable[[str], bool]
) -> Callable[[str], bool]:
    """Return a function that tests whether a text contains any of `parts`.

    RE2 searches the text. RE2 cannot search a text with lone surrogates. For a text with lone surrogates, the
    returned function calls `fallback`, which must test without RE2 whether the text contains any of `parts`.
    """
    options = re2.Options()
    options.literal = True
    options.max_mem = _RE2_MAX_MEMORY
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
            return fallback(text)

    return test


def _error_message(error: Exception) -> str:
    reason = error.args[0]
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def to_re2(pattern: str, *, ignore_case: bool) -> str:
    """Return `pattern` in RE2 syntax, as one group, such as `(?:a|b)`.

    Raises RegexError if `pattern` is invalid, unsupported or too long.
    """
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise RegexError(f"a regular expression may have at most {MAX_PATTERN_LENGTH:,} characters")
    return _Translator(pattern, ignore_case).translate()


@dataclass(slots=True)
class _Translator:
    """Translator for one expression. Its attributes are the state of the parser.

    `groups` holds the open groups, innermost last. A group is a list of alternatives. An alternative is a
    list of atoms, which are already in RE2 syntax.
    """

    pattern: str
    ignore_case: bool
    position: int = 0
    groups: list[list[list[str]]] = field(default_factory=lambda: [[[]]])

    def translate(self) -> str:
        while self.position < len(self.pattern):
            character = self.pattern[self.position]
            self.position += 1
            _HANDLERS.get(character, _Translator._literal_character)(self, character)
        if len(self.groups) > 1:
            raise RegexError("a '(' in this regular expression is not closed")
        return self._pop_group()

    def _pop_group(self) -> str:
        return f"(?:{'|'.join(''.join(atoms) for atoms in self.groups.pop())})"

    def _append_atom(self, atom: str) -> None:
        self.groups[-1][-1].append(atom)

    def _literal_character(self, character: str) -> None:
        self._append_atom(_literal(character, self.ignore_case))

    def _any_character(self, _: str) -> None:
        self._append_atom(".")

    def _any_text(self, _: str) -> None:
        self._append_atom("(?:.*)")

    def _quoted_text(self, _: str) -> None:
        end = self.pattern.find('"', self.position)
        if end < 0:
            raise RegexError("a quote in this regular expression is not closed")
        quoted = self.pattern[self.position : end]
        self._append_atom(f"(?:{''.join(_literal(c, self.ignore_case) for c in quoted)})")
        self.position = end + 1

    def _escape(self, _: str) -> None:
        escaped = self._take("a backslash")
        if ranges := _CLASS_ESCAPES.get(escaped.lower()):
            self._append_atom(f"[{'^' if escaped.isupper() else ''}{ranges}]")
        else:
            self._literal_character(escaped)

    def _take(self, previous: str) -> str:
        if self.position == len(self.pattern):
            raise RegexError(f"this regular expression ends after {previous}")
        self.position += 1
        return self.pattern[self.position - 1]

    def _open_group(self, _: str) -> None:
        self.groups.append([[]])

    def _close_group(self, _: str) -> None:
        if len(self.groups) == 1:
            raise RegexError("a ')' in this regular expression has no matching '('")
        closed = self._pop_group()
        self._append_atom(closed)

    def _alternative(self, _: str) -> None:
        self.groups[-1].append([])

    def _repeat(self, sign: str) -> None:
        atoms = self.groups[-1][-1]
        if not atoms:
            raise RegexError(f"a '{sign}' in this regular expression has nothing to repeat")
        if sign == "{":
            counts = _REPEAT_COUNTS.match(self.pattern, self.position - 1)
            if counts is None:
                raise RegexError("a '{' must be followed by one or two numbers and a '}'")
            sign, self.position = counts.group(), counts.end()
        # The group prevents RE2 from reading `a*?` as a lazy quantifier, which Lucene does not have.
        atoms[-1] = f"(?:{atoms[-1]}{sign})"

    def _reject_unsupported(self, character: str) -> None:
        raise RegexError(
            f"{_UNSUPPORTED[character]} is not supported; write '\\{character}' for the character"
        )

    def _character_class(self, _: str) -> None:
        negated = self.pattern.startswith("^", self.position)
        self.position += negated
        parts: list[str] = []
        while (first := self._take("a '['")) != "]" or not parts:
            if first == "]":
                raise RegexError("'[]' matches no character")
            if first == "\\":
                first = self._take("a backslash")
                if ranges := _CLASS_ESCAPES.get(first):
                    parts.append(ranges)
                    continue
                if first.lower() in _CLASS_ESCAPES:
                    raise RegexError(f"'\\{first}' is not supported between '[' and ']'")
            parts.append(self._range(first))
        self._append_atom(f"[{'^' if negated else ''}{''.join(parts)}]")

    def _range(self, first: str) -> str:
        last = first
        if self.pattern.startswith("-", self.position) and not self.pattern.startswith(
            "-]", self.position
        ):
            self.position += 1
            last = self._take("a '-'")
            if last == "\\":
                last = self._take("a backslash")
            if last < first:
                raise RegexError(f"the range '{first}-{last}' is in reverse order")
        source = f"{_escape_for_re2(first)}-{_escape_for_re2(last)}"
        return source + self._other_case(first, last) if self.ignore_case else source

    def _other_case(self, first: str, last: str) -> str:
        """Return the ASCII letters of the range `first`-`last` in the opposite case.

        For example, the result for `a-f` is `A-F`. The result can consist of two ranges: the result for `W-c`
        is `A-Cw-z`.
        """
        parts = []
        for low, high in (("a", "z"), ("A", "Z")):
            start, end = max(first, low), min(last, high)
            if start <= end:
                parts.append(f"{start.swapcase()}-{end.swapcase()}")
        return "".join(parts)


_HANDLERS: dict[str, Callable[[_Translator, str], None]] = {
    ".": _Translator._any_character,
    "@": _Translator._any_text,
    '"': _Translator._quoted_text,
    "\\": _Translator._escape,
    "(": _Translator._open_group,
    ")": _Translator._close_group,
    "|": _Translator._alternative,
    "[": _Translator._character_class,
    **dict.fromkeys("*+?{", _Translator._repeat),
    **dict.fromkeys(_UNSUPPORTED, _Translator._reject_unsupported),
}


def _literal(character: str, ignore_case: bool) -> str:
    if ignore_case and character.isascii() and character.isalpha():
        return f"[{character.upper()}{character.lower()}]"
    return _escape_for_re2(character)


def _escape_for_re2(character: str) -> str:
    if character.isascii() and not character.isalnum():
        return rf"\x{{{ord(character):x}}}"
    return character
