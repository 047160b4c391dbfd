"""Untrusted text: length check, and escaping for storage and display."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

# PostgreSQL rejects U+0000 in text, and UTF-8 cannot encode lone surrogates. An event that contains them
# must still be stored, so both are replaced by an escape sequence.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

_STORED_ESCAPE_PATTERN = r"\\x00|\\ud[89a-f][0-9a-f]{2}"


def escape_unstorable(text: str) -> str:
    """Replace NUL by `\\x00` and lone surrogates by `\\udXXX`; keep all other characters."""
    if text.isascii() and "\0" not in text:  # fast path for nearly all text
        return text
    return _UNSTORABLE.sub(lambda match: _escape(match.group()), text)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# Unicode categories of characters that have no visible glyph or change the layout: Cc (control), Cf (format,
# such as bidi overrides and zero-width characters), Cs (surrogate), Co (private use), Cn (unassigned), Zl and
# Zp (line and paragraph separators).
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Blank characters that Unicode classifies as letters, marks or symbols.
_BLANK_CHARACTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5") | {
    chr(code) for code in range(0xFE00, 0xFE10)
}
# Punctuation in Deckwatch's own messages. It is displayed as plain text, because it cannot be mistaken for an
# ASCII letter or digit.
_UI_PUNCTUATION = frozenset("…·“”")
_PRINTABLE_ASCII = re.compile(r"[\x20-\x7e]+\Z")
_SEGMENT = re.compile(rf"({_STORED_ESCAPE_PATTERN})|([\x20-\x5b\x5d-\x7e]+|\\)|(.)", re.DOTALL)


def is_invisible(character: str) -> bool:
    """Return whether `character` has no visible glyph or changes how other characters are displayed."""
    if character in _BLANK_CHARACTERS:
        return True
    category = unicodedata.category(character)
    return category in _INVISIBLE_CATEGORIES or (category == "Zs" and character != " ")


def display_segments(text: str) -> list[tuple[str, str]]:
    """Split `text` into pairs (kind, segment) for display.

    The kind is `plain`, `escape` (an invisible character as its escape sequence) or `foreign` (a visible
    non-ASCII character, which may imitate an ASCII letter). The joined segments are the text to display.
    Newlines and tabs are escaped like other control characters.
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
    """Return whether `text` contains invisible characters or escape sequences of `escape_unstorable`."""
    return any(kind == "escape" for kind, _ in display_segments(text))


def escape_invisible(text: str) -> str:
    """Return `text` as one line with every invisible character escaped, for logs and terminals."""
    return "".join(segment for _, segment in display_segments(text))


def text_error(text: str, max_length: int, *, if_empty: str) -> str | None:
    """Return `if_empty` if `text` is empty, an error message if `text` is too long, and otherwise None."""
    if not text:
        return if_empty
    if len(text) > max_length:
        return f"Enter at most {max_length} characters; this text has {len(text)}."
    return None


def truncate_with_count(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`.

    If characters are omitted, their number follows: `abc… (5 more characters)`.
    """
    omitted = len(text) - limit
    return text if omitted <= 0 else f"{text[:limit]}… ({omitted:,} more characters)"


def truncate(text: str, limit: int) -> str:
    """Return `text`, shortened to `limit` characters if it is longer.

    A shortened text ends with an ellipsis: with the limit 4, `abcdef` becomes `abc…`.
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"
