"""JSON decoder (RFC 8259) that also accepts escaped lone surrogates.

If an argument contains a byte that is not UTF-8, agents replace the byte by an escaped lone surrogate such as
`\\udcff`. According to RFC 8259 (section 8.2), decoders may treat lone surrogates in unpredictable ways. This
decoder accepts lone surrogates. Otherwise, an attacker could hide a process by adding an invalid byte to an
argument.

The JSON text must be UTF-8. If the JSON text contains an invalid byte, the event is rejected and quarantined.
"""

import json
import re

import msgspec

from app.formats.format import EventParseError, RejectionKind

MAX_DEPTH = 100
# Integers with more digits are converted to float. Converting text to int takes quadratic time, and Python
# raises an error above its own limit (sys.set_int_max_str_digits).
_MAX_DIGITS = 4_000


def decode_json(raw: bytes) -> object:
    """Decode the JSON value in `raw`. Raises EventParseError, whose message gives the cause."""
    if not raw:
        raise EventParseError("the event is empty", RejectionKind.EMPTY)
    try:
        # This check is needed, because msgspec does not validate the UTF-8 inside strings.
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
    # For a number with more than _MAX_DIGITS digits, `float` returns infinity.
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _reject_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON value")


# The pattern also matches a string without a closing quote, up to the end of the text. Otherwise, the search
# would start again at each escaped quote in this string, which takes quadratic time.
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


def _may_be_deep(raw: bytes) -> bool:
    """Return whether `raw` has more than MAX_DEPTH opening brackets. Only then can it be too deep."""
    # `bytes.replace` takes less than half the time of `bytes.count`.
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
