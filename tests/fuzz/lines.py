"""Generators of single lines of a request body: valid, unusual and invalid.

Random choices come from a `Random` argument, which is either seeded or controlled by Hypothesis.
"""

import json
from random import Random
from typing import Any

import orjson

from tests.agent_events import falco, tetragon, tracee, tracee_v1beta1
from tests.factories import exec_event

_GOOD = json.dumps(exec_event(event_id="@@"), separators=(",", ":")).encode()

# Each is invalid JSON and has no bracket, comma or double quote, so it cannot form one value with the next
# line.
FLAT = (
    *(
        b"tru",
        b"nul",
        b"NaN",
        b"-Infinity",
        b"+1",
        b"01",
        b"1.",
        b".5",
        b"1e",
        b"0x1",
        b"1 2",
        b"'a'",
    ),
    *(
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xe2\x80\xae",
        b"//",
        b"#",
        b":",
        b"\\",
        b"-",
    ),
)
BROKEN = (
    *FLAT,
    *(b"{", b"}", b"[", b"]", b'"', b",", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,}', b"{,}", b"[1", b"[1,]"),
    *(b'{"a":1}}', b'{"a":1}{"b":2}', b'{"a":1},', b"{a:1}", b"{'a':1}", b'{"a" 1}', b'{1:2}', b"]["),
    *(b'"\\x"', b'"\\u12"', b'"\t"', b'"\0"', b'{"a":"\xff"}', b'{"\xff":1}', b'["a\xed\xa0\x80"]'),
    *(b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"{}\x0b{}", b'{"process":{"name":"ssh"', b'{"event":[[[['),
)  # fmt: skip
WHITESPACE = (b"", b" ", b"\t", b"\r", b"\x0b", b"\x0c", b" \t\r ")
NUMBERS = (
    *(b"0", b"-0", b"1e999", b"-1e999", b"1E400", b"1e-999", b"0.1e1", b"2147483648", b"1e5"),
    *(str(2**53 + 1).encode(), str(2**63).encode(), str(2**64).encode(), b"-" + b"9" * 30),
    *(b"9" * 400, b"7" * 5_000, b"1." + b"3" * 5_000, b"1e" + b"9" * 400, b"-9223372036854775809"),
)
TEXTS = (
    *(b"", b"ssh", b"sshd", b"linux", b"container", b"exec", b"start", b"a.b", b"-", b"*", b"\\u0000"),
    *(b"\\ud800", b"\\udfff\\ud800", b"\\ud83d\\ude00", b"\\u202e", b"\\u001b[2J", b"\\n\\r", b"\\\\"),
    *("é".encode(), "ſsh".encode(), "\u202e".encode(), "\ufffe".encode(), "😀".encode(), b"\x7f"),
    *(b"'\\\"`$(id)", b"<script>", b"%00", b"../", b"2026-11-24T11:59:58Z", b"9999-12-31T23:59:59-14:00"),
    *(b"ssh -o ProxyCommand=x -R 1:h:2 h", b"a" * 3_000, b"\\\"" * 500, b"\\u0073sh", b"\xff", b"\xc0\xaf"),
)  # fmt: skip
_NAMES = (
    *(b"event", b"process", b"host", b"container", b"user", b"@timestamp", b"message", b"_source", b"data"),
    *(b"output_fields", b"process_exec", b"eventName", b"args", b"name", b"id", b"type", b"action", b"os"),
    *(b"process.name", b"host.os.type", b"event.type", b"entry_leader", b"entry_meta", b"labels", b"image"),
    *(b"specversion", b"time", b"orchestrator", b"parent", b"pid", b"create", b"index", b"_index", b"hits"),
)  # fmt: skip
_DEPTHS = (2, 99, 100, 101, 1_000, 5_000)
_PAIRS = ((b"[", b"]"), (b'{"a":', b"}"), (b'[{"process":', b"}]"))


def good(name: str) -> bytes:
    """Return an event with the id `name` that matches one rule."""
    return _GOOD.replace(b"@@", name.encode(), 1)


def is_json(raw: bytes) -> bool | None:
    """Return whether `orjson` or `json` accepts `raw`, or None if it is nested too deep for them."""
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    else:
        return True
    try:  # orjson refuses lone surrogates and large numbers, which RFC 8259 allows
        json.loads(raw.decode(), parse_int=len, parse_constant=_refuse)
    except ValueError:
        return False
    except RecursionError:
        return None
    return True


def _refuse(name: str) -> Any:
    raise ValueError(name)


def value(rng: Random, depth: int = 3) -> bytes:
    """Return a random JSON value. Some of its strings are not UTF-8."""
    kind = rng.randrange(8)
    if depth and kind < 2:
        inner = [member(rng, depth - 1) for _ in range(rng.randrange(4))]
        return b"{" + b",".join(inner) + b"}"
    if depth and kind == 2:
        return b"[" + b",".join(value(rng, depth - 1) for _ in range(rng.randrange(4))) + b"]"
    if kind < 5:
        return b'"' + rng.choice(TEXTS) + b'"'
    if kind == 5:
        return rng.choice((b"true", b"false", b"null"))
    return rng.choice(NUMBERS)


def member(rng: Random, depth: int = 2) -> bytes:
    name = rng.choice(TEXTS if rng.randrange(8) == 0 else _NAMES)
    return b'"' + name + b'":' + value(rng, depth)


def nested_value(rng: Random) -> bytes:
    """Return a nested array or object, whose closing brackets may be missing."""
    opening, closing = rng.choice(_PAIRS)
    depth = rng.choice(_DEPTHS)
    return opening * depth + b"1" * rng.randrange(2) + closing * (depth * rng.randrange(2))


def _events() -> tuple[bytes, ...]:
    built = [exec_event(event_id="odd"), exec_event("sshd", "-D", event_id="odder")]
    built += [falco(), tetragon(), tracee(), tracee_v1beta1()]
    built += [{"_source": exec_event(event_id="hit")}, {"message": json.dumps(falco())}]
    built += [{"specversion": "1.0", "data": falco()}, {"message": json.dumps(exec_event())}]
    return tuple(json.dumps(one).encode() for one in built)


_EVENTS = _events()


def odd_event(rng: Random) -> bytes:
    """Return an event of some agent with up to two more members. They may repeat a name of the event."""
    event = rng.choice(_EVENTS)
    for _ in range(rng.randrange(3)):
        at = event.find(b"{", rng.randrange(len(event))) + 1 or 1
        event = event[:at] + member(rng) + b"," + event[at:]
    return event


def corrupted(rng: Random, raw: bytes) -> bytes:
    """Return `raw` with one to three changes: bytes replaced, removed, inserted, repeated or cut off.

    Newlines become spaces, so the result is one line.
    """
    for _ in range(1 + rng.randrange(3)):
        at = rng.randrange(len(raw) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            raw = raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :]
        elif kind == 1:
            raw = raw[:at] + raw[at + 1 + rng.randrange(8) :]
        elif kind == 2:
            raw = raw[:at] + rng.choice(BROKEN) + raw[at:]
        elif kind == 3:
            raw = raw[:at] + raw[at // 2 : at] + raw[at:]
        else:
            raw = raw[:at]
    return raw.replace(b"\n", b" ")


def random_bytes(rng: Random) -> bytes:
    return bytes(rng.randrange(256) for _ in range(rng.randrange(24))).replace(b"\n", b"")


def any_line(rng: Random) -> bytes:
    """Return a line of any kind: an event, another JSON value, invalid JSON, or white space."""
    kind = rng.randrange(16)
    if kind < 3:
        return rng.choice(BROKEN)
    if kind < 6:
        return odd_event(rng)
    if kind < 9:
        return corrupted(rng, odd_event(rng))
    if kind < 12:
        return value(rng)
    if kind == 12:
        return rng.choice(WHITESPACE)
    if kind == 13:
        return random_bytes(rng)
    if kind == 14:
        return nested_value(rng) if rng.randrange(8) == 0 else corrupted(rng, value(rng))
    return rng.choice(WHITESPACE) + value(rng) + rng.choice(WHITESPACE)
