"""Generators of complete requests to both endpoints for events, with the results that are expected.

Most requests contain valid events next to random lines.
"""

import gzip
import itertools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import zstandard

from tests.fuzz.lines import (
    BROKEN,
    FLAT,
    WHITESPACE,
    any_line,
    corrupted,
    good,
    is_json,
    nested_value,
    random_bytes,
    value,
)

EVENTS = "/api/v1/events"
BULK = "/elastic/_bulk"
BOM = b"\xef\xbb\xbf"

# The expected action and status of an item in a bulk response. None stands for any action or any status.
Item = tuple[str | None, int | None]
CREATED, REJECTED, REPEATED = 201, 400, 200


@dataclass
class FuzzRequest:
    """A request and its expected results.

    The status of the response must be in `statuses`. If the status is 200, all events in `good` must be
    stored; with any other status, none of them may be stored.

    The following are None if they cannot be predicted. `lines` are the lines of an NDJSON body. `received`
    is its number of events. `items` are the items of the response to a bulk body. `unanswered_bounds` are
    the smallest and the largest number of lines that are rejected without an item in the response.
    """

    path: str
    body: bytes
    good: tuple[str, ...] = ()
    lines: Sequence[bytes] | None = None
    items: Sequence[Item] | None = None
    received: int | None = None
    unanswered_bounds: tuple[int, int] | None = None
    # False if the body was damaged: with status 200, the events in `good` may then be stored or not.
    is_intact: bool = True
    statuses: frozenset[int] = frozenset({200})
    # The largest possible number of lines: the number of lines of the body before compression.
    most_lines: int = 0
    case: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = ()


_TYPES = (
    *(b"application/x-ndjson", b"application/json", b"application/json; charset=utf-16", b"text/plain"),
    *(b"application/vnd.elasticsearch+x-ndjson; compatible-with=9", b"multipart/form-data; boundary=x"),
    *(b"application/x-www-form-urlencoded", b"*/*", b"", b"\xff\xfe", b";;=,", b"a" * 2_000),
)  # fmt: skip


def build_request(rng: Random, case: int) -> FuzzRequest:
    """Return a random request. The ids of its valid events contain the number `case`, so they are unique."""
    # The checksum in the ids keeps a damaged byte from turning one id into the id of another case.
    sealed = f"good-{case}-{zlib.crc32(b'%d' % case):x}"
    names = (f"{sealed}-{n}" for n in itertools.count())
    built = rng.choice(_BODIES)(rng, names.__next__)
    built.case = case
    if rng.randrange(8):
        built.headers[b"content-type"] = rng.choice(_TYPES)
    built.most_lines = built.body.count(b"\n") + 1
    _encode(rng, built)
    if rng.randrange(4):
        built.headers[b"content-length"] = str(len(built.body)).encode()
    built.chunks = _in_chunks(rng, built.body)
    return built


NameSource = Callable[[], str]


def _events_by_line(rng: Random, names: NameSource) -> FuzzRequest:
    first, last = names(), names()
    lines = [good(first)]
    lines += [any_line(rng) for _ in range(_random_count(rng))]
    lines.append(good(last))
    lines += [rng.choice(WHITESPACE) for _ in range(rng.randrange(2))]
    body = BOM * (rng.randrange(8) == 0) + _ending(rng).join(lines)
    return FuzzRequest(EVENTS, body, (first, last), lines)


def _random_count(rng: Random) -> int:
    """Return a number from 1 to 4, or rarely 300."""
    return 300 if rng.randrange(4_000) == 0 else 1 + rng.randrange(4)


def _ending(rng: Random) -> bytes:
    return rng.choice((b"\n", b"\n", b"\r\n", b" \n\t"))


def _events_behind_a_broken_line(rng: Random, names: NameSource) -> FuzzRequest:
    """Return an NDJSON body whose only valid line is the last one."""
    last = names()
    # Only lines of FLAT come first: a bracket would start an array or an object on several lines. See
    # app/ingest/split.py.
    lines = [rng.choice(FLAT), *(rng.choice(FLAT) for _ in range(rng.randrange(3))), good(last)]
    return FuzzRequest(EVENTS, b"\n".join(lines), (last,), lines)


def _array(rng: Random, names: NameSource) -> FuzzRequest:
    first, last = names(), names()
    inside = [
        value(rng) if rng.randrange(2) else rng.choice(FLAT) for _ in range(_random_count(rng))
    ]
    between = rng.choice((b",", b" , ", b",\n", b"\n,\r\n"))
    elements = [good(first), *inside, good(last)]
    body = rng.choice(WHITESPACE) + b"[" + between.join(elements) + b"]" + rng.choice(WHITESPACE)
    return FuzzRequest(EVENTS, body, (first, last), received=len(elements))


def _array_with_anything(rng: Random, names: NameSource) -> FuzzRequest:
    first = names()
    body = (
        b"["
        + good(first)
        + b","
        + b",".join(any_line(rng) for _ in range(_random_count(rng)))
        + b"]"
    )
    return FuzzRequest(EVENTS, body + b"]" * rng.randrange(2), (first,))


def _one_event(rng: Random, names: NameSource) -> FuzzRequest:
    name = names()
    printed = (
        good(name).replace(b",", b",\n  ").replace(b"{", b"{\n") if rng.randrange(2) else good(name)
    )
    return FuzzRequest(
        EVENTS, rng.choice(WHITESPACE) + printed + b"\n" * rng.randrange(3), (name,), received=1
    )


def _anything(rng: Random, names: NameSource) -> FuzzRequest:
    kind = rng.randrange(4)
    if kind == 0:
        body = random_bytes(rng)
    elif kind == 1:
        body = nested_value(rng) * (1 + rng.randrange(3))
    elif kind == 2:
        body = corrupted(rng, b"[" + good("stray") + b"," + good("stray") + b"]")
    else:
        body = b"\n".join(any_line(rng) for _ in range(rng.randrange(4)))
    path = rng.choice((EVENTS, BULK))
    return FuzzRequest(path, body, statuses=frozenset({200, 400}))


_ACTIONS: tuple[tuple[bytes, str], ...] = (
    (b'{"create":{"_index":"logs"}}', "create"),
    (b'{"create":{}}', "create"),
    (b'{"index":{"_index":"logs","_id":"7"}}', "index"),
    (b'{"index":{"_id":7,"_type":"_doc","routing":[1,{"a":null}]}}', "index"),
    (b'{"index":{"op_type":"create"}}', "create"),
    (b' { "create" : { "_index" : "l" } } ', "create"),
    (b'{"index":{"_index":"\\ud83d\\ude00\\u0000","_id":""}}', "index"),
)
# Lines that are recognised as actions even in the place of an event.
_PLAIN_ACTIONS = _ACTIONS[:5]
# Lines that may be read as actions or not. In both cases the next line gets exactly one item.
_ODD_ACTIONS = (
    *(b'{"index":{"_id":1e999}}', b'{"index":{"_id":' + b"9" * 400 + b"}}", b'{"create":null}', b"{}"),
    *(b'{"index":{"_id":-1}}', b'{"index":{"_index":[]}}', b'{"index":{},"create":{}}', b'{"index":7}'),
    *(b'{"index":{"_index":"\\ud800"}}', b'{"index":{"_index":"\xff"}}', b'{"index":{"a":"\xff"}}'),
    *(b'{"inde\\u0078":{}}', b'{"INDEX":{}}', b'{"index":{"_index":"' + b"x" * 9_000 + b'"}}', b'{"":{}}'),
    *(b'{"create":{"_id":{}}}', b'{"create":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001, b'{"create":{}'),
    *(b'{"create":{"_index":"a","_index":"b"}}', b'{"create":{"_id":18446744073709551616}}'),
)  # fmt: skip


class _BulkBuilder:
    """Builds a bulk body: its lines and the expected items of the response.

    `min_rejected` and `max_rejected` are bounds of the number of lines that are rejected without an item.
    """

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.lines: list[bytes] = []
        self.items: list[Item] = []
        self.min_rejected = self.max_rejected = 0

    def add(self, item: Item, *lines: bytes) -> None:
        self.items.append(item)
        self.lines += lines

    def good(self, name: str) -> None:
        action, verb = self.rng.choice(_PLAIN_ACTIONS)
        self.add((verb, CREATED), action, good(name))

    def event(self) -> None:
        action, verb = self.rng.choice(_ACTIONS)
        document, status = self.document()
        self.add((verb, status), action, document)

    def odd_action(self) -> None:
        document, status = self.document()
        self.add((None, status), self.rng.choice(_ODD_ACTIONS), document)
        self.max_rejected += 1  # if the line is not read as an action

    def unsupported_action(self) -> None:
        if self.rng.randrange(2):
            self.add(("delete", REJECTED), b'{"delete":{"_index":"a","_id":"1"}}')
        else:
            self.add(("update", REJECTED), b'{"update":{"_id":"1"}}', self.document()[0])

    def action_without_event(self) -> None:
        action, verb = self.rng.choice(_ACTIONS)
        self.add((verb, REJECTED), action)
        self.good("any")

    def stray(self) -> None:
        """Add one invalid line, or two that are answered with one item, and then a valid event."""
        two = self.rng.randrange(2)
        self.add(("index", REJECTED), *(self.rng.choice(BROKEN) for _ in range(1 + two)))
        self.min_rejected += two
        self.max_rejected += two
        self.good("any")

    def document(self) -> tuple[bytes, int | None]:
        """Return a line for the place of an event, and its expected status or None."""
        while True:
            line = any_line(self.rng).strip()
            if line and not line.startswith(b"{"):
                return line, REJECTED
            if line and b"create" not in line and b"index" not in line:  # not an action
                return line, REJECTED if is_json(line) is False else None


_GROUPS: tuple[Callable[[_BulkBuilder], None], ...] = (
    *(
        _BulkBuilder.event,
        _BulkBuilder.event,
        _BulkBuilder.odd_action,
        _BulkBuilder.unsupported_action,
        _BulkBuilder.action_without_event,
        _BulkBuilder.stray,
    ),
)


def _bulk(rng: Random, names: NameSource) -> FuzzRequest:
    first, last = names(), names()
    built = _BulkBuilder(rng)
    built.good(first)
    for _ in range(_random_count(rng)):
        rng.choice(_GROUPS)(built)
    built.good(last)
    ending = rng.choice((b"\n", b"\r\n", b"\n\n", b"\n \n"))
    body = BOM * (rng.randrange(8) == 0) + ending.join(built.lines) + ending * rng.randrange(2)
    path = BULK if rng.randrange(2) else "/elastic/logs/_bulk"
    unanswered_bounds = built.min_rejected, built.max_rejected
    return FuzzRequest(
        path, body, (first, last), items=built.items, unanswered_bounds=unanswered_bounds
    )


def _bulk_with_anything(rng: Random, names: NameSource) -> FuzzRequest:
    built = _bulk(rng, names)
    body = corrupted(rng, built.body.replace(b"\n", b"\0")).replace(b"\0", b"\n")
    return FuzzRequest(built.path, body, statuses=frozenset({200, 400}))


_BODIES: tuple[Callable[[Random, NameSource], FuzzRequest], ...] = (
    *(_events_by_line, _events_by_line, _events_by_line, _events_behind_a_broken_line, _array),
    *(_array_with_anything, _one_event, _anything, _bulk, _bulk, _bulk, _bulk_with_anything),
)


def _encode(rng: Random, built: FuzzRequest) -> None:
    """Set a random Content-Encoding and compress the body: correctly, damaged, or with another encoding."""
    kind = rng.randrange(16)
    if kind < 4:
        return
    if kind == 4:
        built.headers[b"content-encoding"] = rng.choice((b"identity", b"", b" Identity "))
        return
    if kind == 5:
        built.headers[b"content-encoding"] = rng.choice(
            (b"deflate", b"br", b"gzip, gzip", b"gzip;q=1", b"compress", b"\xff", b"*", b"none")
        )
        built.body = zlib.compress(built.body, 1)
        built.statuses = frozenset({415})
        return
    encoding, packed = rng.choice(((b"gzip", _gzip), (b"x-gzip", _gzip), (b"zstd", _zstd)))
    whole = built.body
    built.headers[b"content-encoding"] = encoding
    if kind < 9:
        built.body = packed(whole)
    elif kind < 12:
        built.body = b"".join(_members(rng, whole, packed))
    elif kind == 12:  # truncated
        built.body = packed(whole)
        built.body = built.body[: 1 + rng.randrange(len(built.body) - 1)]
        built.statuses = frozenset({400})
    elif kind == 13:  # damaged in one bit; the change is not noticed if nothing depends on that bit
        built.body = packed(whole)
        at = rng.randrange(len(built.body))
        built.body = (
            built.body[:at] + bytes([built.body[at] ^ 1 << rng.randrange(8)]) + built.body[at + 1 :]
        )
        _expect_anything(built)
    elif kind == 14:  # not compressed, or compressed with another encoding
        built.body = (
            whole if rng.randrange(2) else _zstd(whole) if packed is _gzip else _gzip(whole)
        )
        built.statuses = frozenset({400})
    else:  # followed by other bytes
        built.body = packed(whole) + rng.choice((b"\0\0\0", b"x", b"{}", built.body, b"\x1f\x8b"))
        _expect_anything(built)


def _expect_anything(built: FuzzRequest) -> None:
    built.lines = built.items = built.received = built.unanswered_bounds = None
    built.is_intact = False
    built.statuses = frozenset({200, 400})


def _gzip(raw: bytes) -> bytes:
    return gzip.compress(raw, 1, mtime=0)


_COMPRESSOR = zstandard.ZstdCompressor(level=1)


def _zstd(raw: bytes) -> bytes:
    return _COMPRESSOR.compress(raw)


def _members(rng: Random, whole: bytes, packed: Callable[[bytes], bytes]) -> list[bytes]:
    cuts = sorted(rng.randrange(len(whole) + 1) for _ in range(1 + rng.randrange(4)))
    return [packed(whole[a:b]) for a, b in itertools.pairwise((0, *cuts, len(whole)))]


def _in_chunks(rng: Random, body: bytes) -> tuple[bytes, ...]:
    """Return the body in random chunks, as a server may receive it."""
    if rng.randrange(2):
        return (body,)
    cuts = sorted(rng.randrange(len(body) + 1) for _ in range(1 + rng.randrange(4)))
    return tuple(body[a:b] for a, b in itertools.pairwise((0, *cuts, len(body))))
