"""Text that attackers write: what can be stored, and what must be made visible before it is shown."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

# PostgreSQL refuses U+0000 in text and UTF-8 cannot hold a lone surrogate, yet an event with one in
# an argument must still raise its alert: both are kept as the escape a reader would write.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

_STORED_ESCAPE_PATTERN = r"\\x00|\\ud[89a-f][0-9a-f]{2}"


def escape_unstorable(text: str) -> str:
    """`text` with NUL written as `\\x00` and lone surrogates as `\\udXXX`; nothing else changes."""
    if text.isascii() and "\0" not in text:  # nearly all of it
        return text
    return _UNSTORABLE.sub(lambda match: _escape(match.group()), text)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# Unicode categories that draw nothing, move the pen or change direction: Cc controls, Cf formats
# (bidi overrides, zero width, tags), Cs surrogates, Co private use, Zl and Zp separators.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Look like nothing although Unicode calls them letters or marks.
_BLANK_CHARACTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5") | {
    chr(code) for code in range(0xFE00, 0xFE10)
}
# Pages write these themselves around what they show; none looks like a letter or a digit.
_UI_PUNCTUATION = frozenset("…·“”")
_PRINTABLE_ASCII = re.compile(r"[\x20-\x7e]+\Z")
_SEGMENT = re.compile(rf"({_STORED_ESCAPE_PATTERN})|([\x20-\x5b\x5d-\x7e]+|\\)|(.)", re.DOTALL)


def is_invisible(character: str) -> bool:
    """Whether a reader would not see this one character, or would see others out of place."""
    if character in _BLANK_CHARACTERS:
        return True
    category = unicodedata.category(character)
    return category in _INVISIBLE_CATEGORIES or (category == "Zs" and character != " ")


def display_segments(text: str) -> list[tuple[str, str]]:
    """`text` cut into `(kind, piece)`: kind is `plain`, `escape` (hidden, already written as an
    escape) or `foreign` (visible, but not ASCII, so it may imitate a letter that is).

    Joining the pieces gives what a page shows; a newline or tab becomes an escape like any other.
    """
    if _PRINTABLE_ASCII.match(text) and "\\" not in text:
        return [("plain", text)]
    segments: list[tuple[str, str]] = []
    for kind, group in groupby(_segments(text), key=itemgetter(0)):
        if kind == "escape":
            segments += group
        else:
            segments.append((kind, "".join(segment for _, segment in group)))
    return segments


def _segments(text: str) -> Iterator[tuple[str, str]]:
    for match in _SEGMENT.finditer(text):
        stored, plain, other = match.groups()
        if stored is not None:
            yield "escape", stored
        elif plain is not None:
            yield "plain", plain
        elif other in _UI_PUNCTUATION:
            yield "plain", other
        elif is_invisible(other):
            yield "escape", _escape(other)
        else:
            yield "foreign", other


def has_invisible(text: str) -> bool:
    """Whether something in `text` would not be seen as it is."""
    return any(kind == "escape" for kind, _ in display_segments(text))


def escape_invisible(text: str) -> str:
    """`text` on one line with every hidden character written as an escape: for logs and terminals."""
    return "".join(segment for _, segment in display_segments(text))


def truncate_with_count(text: str, limit: int) -> str:
    """The text, or its first `limit` characters and how many were left out."""
    omitted = len(text) - limit
    return text if omitted <= 0 else f"{text[:limit]}… ({omitted:,} more characters)"


def truncate(text: str, limit: int) -> str:
    """`text` cut to `limit` characters, the last being an ellipsis when something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
