"""JSON bytes to Python values, strictly by RFC 8259, with the one leniency that evidence needs.

An argument with a byte that is not UTF-8 reaches us as an escaped lone surrogate. RFC 8259 section
8.2 calls such text unpredictable; refusing it would let an attacker hide an event behind one byte,
so it is read. Raw bytes that are not UTF-8 are refused, and kept in quarantine.
"""

import json
import re

import msgspec

from app.formats.format import EventParseError, RejectionKind

MAX_DEPTH = 100
# Python converts so many digits in time (sys.set_int_max_str_digits); JSON sets no limit.
_MAX_DIGITS = 4_000


def decode_json(raw: bytes) -> object:
    """The value in `raw`; raises EventParseError saying what is wrong and at which byte."""
    if not raw:
        raise EventParseError("nothing here where an event should be", RejectionKind.EMPTY)
    try:
        # Checks what msgspec skips: it reads bytes in strings without validating them.
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EventParseError(f"not UTF-8 at byte {error.start}", RejectionKind.NOT_UTF8) from None
    try:
        _check_depth(raw)
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return _decode_leniently(text)


def _decode_leniently(text: str) -> object:
    try:
        return json.loads(text, parse_int=_parse_integer, parse_constant=_reject_constant)
    except json.JSONDecodeError as error:
        where = f"byte {len(text[: error.pos].encode('utf-8', 'surrogatepass'))}"
        raise EventParseError(
            f"not JSON: {error.msg.lower()} at {where}", RejectionKind.NOT_JSON
        ) from None
    except RecursionError:
        raise EventParseError(
            f"nested deeper than {MAX_DEPTH} levels", RejectionKind.TOO_DEEP
        ) from None
    except ValueError as error:
        raise EventParseError(f"not JSON: {error}", RejectionKind.NOT_JSON) from None


def _parse_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)  # infinite, as 1e999 is


def _reject_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON value")


# An unclosed string is a token too: else each quote in it would be tried in turn (quadratic time).
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


def _may_be_deep(raw: bytes) -> bool:
    """Whether there are brackets enough for more than MAX_DEPTH levels: a quick look, no verdict."""
    # To remove them takes less than half of what `count` takes, which looks at each byte by itself.
    return len(raw) - len(raw.replace(b"{", b"").replace(b"[", b"")) > MAX_DEPTH


def _check_depth(raw: bytes) -> None:
    if not _may_be_deep(raw):
        return
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(raw):
        first = raw[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise EventParseError(
                    f"nested deeper than {MAX_DEPTH} levels", RejectionKind.TOO_DEEP
                )
        elif first in b"]}":
            depth -= 1
