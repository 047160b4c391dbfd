"""Whole requests to the two front doors, and what their answers must account for.

Each holds events that are sound beside whatever else the dice put there.
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
    WHITE,
    damaged,
    deep,
    good,
    is_json,
    noise,
    odd,
    value,
)

EVENTS = "/api/v1/events"
BULK = "/elastic/_bulk"
BOM = b"\xef\xbb\xbf"

# What an item of a bulk answer may say: its verb, and its status unless that depends on the event.
Item = tuple[str | None, int | None]
CREATED, REFUSED = 201, 400


@dataclass
class Sent:
    """A request. `statuses` are those it may get; with 200, the events `good` must be stored, with any
    other none of them may be. None where it is anybody's guess: `lines` are those of an NDJSON body;
    `received` is how many events it holds; `items` are what a bulk body must be answered with, beside
    which `unanswered` lines are refused, at least and at most.
    """

    path: str
    body: bytes
    good: tuple[str, ...] = ()
    lines: Sequence[bytes] | None = None
    items: Sequence[Item] | None = None
    received: int | None = None
    unanswered: tuple[int, int] | None = None
    # Whether what arrives is what was meant: with 200, `good` may be stored or not if it is not.
    is_whole: bool = True
    statuses: frozenset[int] = frozenset({200})
    # How many lines a bulk body may have, if it arrives whole.
    most_lines: int = 0
    case: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = ()


_TYPES = (
    *(b"application/x-ndjson", b"application/json", b"application/json; charset=utf-16", b"text/plain"),
    *(b"application/vnd.elasticsearch+x-ndjson; compatible-with=9", b"multipart/form-data; boundary=x"),
    *(b"application/x-www-form-urlencoded", b"*/*", b"", b"\xff\xfe", b";;=,", b"a" * 2_000),
)  # fmt: skip


def sent(dice: Random, case: int) -> Sent:
    """Case number `case`, which gives its sound events names of their own."""
    # A damaged byte must not turn one name into another that is to be found, or not to be.
    sealed = f"good-{case}-{zlib.crc32(b'%d' % case):x}"
    names = (f"{sealed}-{n}" for n in itertools.count())
    made = dice.choice(_BODIES)(dice, names.__next__)
    made.case = case
    if dice.randrange(8):
        made.headers[b"content-type"] = dice.choice(_TYPES)
    made.most_lines = made.body.count(b"\n") + 1
    _encode(dice, made)
    if dice.randrange(4):
        made.headers[b"content-length"] = str(len(made.body)).encode()
    made.chunks = _in_parts(dice, made.body)
    return made


Names = Callable[[], str]


def _events_by_line(dice: Random, names: Names) -> Sent:
    first, last = names(), names()
    lines = [good(first)]
    lines += [odd(dice) for _ in range(_some(dice))]
    lines.append(good(last))
    lines += [dice.choice(WHITE) for _ in range(dice.randrange(2))]
    body = BOM * (dice.randrange(8) == 0) + _ending(dice).join(lines)
    return Sent(EVENTS, body, (first, last), lines)


def _some(dice: Random) -> int:
    """Mostly few, now and then many."""
    return 300 if dice.randrange(4_000) == 0 else 1 + dice.randrange(4)


def _ending(dice: Random) -> bytes:
    return dice.choice((b"\n", b"\n", b"\r\n", b" \n\t"))


def _events_behind_a_broken_line(dice: Random, names: Names) -> Sent:
    """Nothing tells that the body is lines but a sound one somewhere in it."""
    last = names()
    # A bracket opens an array, and a value that may go on one object over several lines: see `cut`.
    lines = [dice.choice(FLAT), *(dice.choice(FLAT) for _ in range(dice.randrange(3))), good(last)]
    return Sent(EVENTS, b"\n".join(lines), (last,), lines)


def _array(dice: Random, names: Names) -> Sent:
    first, last = names(), names()
    inside = [value(dice) if dice.randrange(2) else dice.choice(FLAT) for _ in range(_some(dice))]
    between = dice.choice((b",", b" , ", b",\n", b"\n,\r\n"))
    elements = [good(first), *inside, good(last)]
    body = dice.choice(WHITE) + b"[" + between.join(elements) + b"]" + dice.choice(WHITE)
    return Sent(EVENTS, body, (first, last), received=len(elements))


def _array_with_anything(dice: Random, names: Names) -> Sent:
    first = names()
    body = b"[" + good(first) + b"," + b",".join(odd(dice) for _ in range(_some(dice))) + b"]"
    return Sent(EVENTS, body + b"]" * dice.randrange(2), (first,))


def _one_event(dice: Random, names: Names) -> Sent:
    name = names()
    printed = (
        good(name).replace(b",", b",\n  ").replace(b"{", b"{\n")
        if dice.randrange(2)
        else good(name)
    )
    return Sent(
        EVENTS, dice.choice(WHITE) + printed + b"\n" * dice.randrange(3), (name,), received=1
    )


def _anything(dice: Random, names: Names) -> Sent:
    kind = dice.randrange(4)
    if kind == 0:
        body = noise(dice)
    elif kind == 1:
        body = deep(dice) * (1 + dice.randrange(3))
    elif kind == 2:
        body = damaged(dice, b"[" + good("stray") + b"," + good("stray") + b"]")
    else:
        body = b"\n".join(odd(dice) for _ in range(dice.randrange(4)))
    path = dice.choice((EVENTS, BULK))
    return Sent(path, body, statuses=frozenset({200, 400}))


_ACTIONS: tuple[tuple[bytes, str], ...] = (
    (b'{"create":{"_index":"logs"}}', "create"),
    (b'{"create":{}}', "create"),
    (b'{"index":{"_index":"logs","_id":"7"}}', "index"),
    (b'{"index":{"_id":7,"_type":"_doc","routing":[1,{"a":null}]}}', "index"),
    (b'{"index":{"op_type":"create"}}', "create"),
    (b' { "create" : { "_index" : "l" } } ', "create"),
    (b'{"index":{"_index":"\\ud83d\\ude00\\u0000","_id":""}}', "index"),
)
# The next action is known by how it is written, even where an event should be.
_PLAIN_ACTIONS = _ACTIONS[:5]
# Of these it does not matter whether they are read as actions: the event that follows is one item.
_ODD_ACTIONS = (
    *(b'{"index":{"_id":1e999}}', b'{"index":{"_id":' + b"9" * 400 + b"}}", b'{"create":null}', b"{}"),
    *(b'{"index":{"_id":-1}}', b'{"index":{"_index":[]}}', b'{"index":{},"create":{}}', b'{"index":7}'),
    *(b'{"index":{"_index":"\\ud800"}}', b'{"index":{"_index":"\xff"}}', b'{"index":{"a":"\xff"}}'),
    *(b'{"inde\\u0078":{}}', b'{"INDEX":{}}', b'{"index":{"_index":"' + b"x" * 9_000 + b'"}}', b'{"":{}}'),
    *(b'{"create":{"_id":{}}}', b'{"create":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001, b'{"create":{}'),
    *(b'{"create":{"_index":"a","_index":"b"}}', b'{"create":{"_id":18446744073709551616}}'),
)  # fmt: skip


class _Bulk:
    """Lines of a bulk body, the items they must be answered with, and how many of them are refused
    without being an item of the answer.
    """

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.lines: list[bytes] = []
        self.items: list[Item] = []
        self.least = self.most = 0

    def add(self, item: Item, *lines: bytes) -> None:
        self.items.append(item)
        self.lines += lines

    def good(self, name: str) -> None:
        action, verb = self.dice.choice(_PLAIN_ACTIONS)
        self.add((verb, CREATED), action, good(name))

    def event(self) -> None:
        action, verb = self.dice.choice(_ACTIONS)
        document, status = self.document()
        self.add((verb, status), action, document)

    def odd_action(self) -> None:
        document, status = self.document()
        self.add((None, status), self.dice.choice(_ODD_ACTIONS), document)
        self.most += 1  # if it is no action

    def change(self) -> None:
        if self.dice.randrange(2):
            self.add(("delete", REFUSED), b'{"delete":{"_index":"a","_id":"1"}}')
        else:
            self.add(("update", REFUSED), b'{"update":{"_id":"1"}}', self.document()[0])

    def lonely_action(self) -> None:
        action, verb = self.dice.choice(_ACTIONS)
        self.add((verb, REFUSED), action)
        self.good("any")

    def stray(self) -> None:
        """One that is broken by itself, or the broken action of another that is no event."""
        two = self.dice.randrange(2)
        self.add(("index", REFUSED), *(self.dice.choice(BROKEN) for _ in range(1 + two)))
        self.least += two
        self.most += two
        self.good("any")

    def document(self) -> tuple[bytes, int | None]:
        """What stands where an event should, and its status if that is certain."""
        while True:
            line = odd(self.dice).strip()
            if line and not line.startswith(b"{"):
                return line, REFUSED
            if line and b"create" not in line and b"index" not in line:  # no action
                return line, REFUSED if is_json(line) is False else None


_GROUPS: tuple[Callable[[_Bulk], None], ...] = (
    *(_Bulk.event, _Bulk.event, _Bulk.odd_action, _Bulk.change, _Bulk.lonely_action, _Bulk.stray),
)


def _bulk(dice: Random, names: Names) -> Sent:
    first, last = names(), names()
    made = _Bulk(dice)
    made.good(first)
    for _ in range(_some(dice)):
        dice.choice(_GROUPS)(made)
    made.good(last)
    ending = dice.choice((b"\n", b"\r\n", b"\n\n", b"\n \n"))
    body = BOM * (dice.randrange(8) == 0) + ending.join(made.lines) + ending * dice.randrange(2)
    path = BULK if dice.randrange(2) else "/elastic/logs/_bulk"
    unanswered = made.least, made.most
    return Sent(path, body, (first, last), items=made.items, unanswered=unanswered)


def _bulk_with_anything(dice: Random, names: Names) -> Sent:
    made = _bulk(dice, names)
    body = damaged(dice, made.body.replace(b"\n", b"\0")).replace(b"\0", b"\n")
    return Sent(made.path, body, statuses=frozenset({200, 400}))


_BODIES: tuple[Callable[[Random, Names], Sent], ...] = (
    *(_events_by_line, _events_by_line, _events_by_line, _events_behind_a_broken_line, _array),
    *(_array_with_anything, _one_event, _anything, _bulk, _bulk, _bulk, _bulk_with_anything),
)


def _encode(dice: Random, made: Sent) -> None:
    """Under a Content-Encoding, in any of the ways in which a body can be inside one, or not quite."""
    kind = dice.randrange(16)
    if kind < 4:
        return
    if kind == 4:
        made.headers[b"content-encoding"] = dice.choice((b"identity", b"", b" Identity "))
        return
    if kind == 5:
        made.headers[b"content-encoding"] = dice.choice(
            (b"deflate", b"br", b"gzip, gzip", b"gzip;q=1", b"compress", b"\xff", b"*", b"none")
        )
        made.body = zlib.compress(made.body, 1)
        made.statuses = frozenset({415})
        return
    encoding, packed = dice.choice(((b"gzip", _gzip), (b"x-gzip", _gzip), (b"zstd", _zstd)))
    whole = made.body
    made.headers[b"content-encoding"] = encoding
    if kind < 9:
        made.body = packed(whole)
    elif kind < 12:
        made.body = b"".join(_members(dice, whole, packed))
    elif kind == 12:  # cut short
        made.body = packed(whole)
        made.body = made.body[: 1 + dice.randrange(len(made.body) - 1)]
        made.statuses = frozenset({400})
    elif kind == 13:  # damaged: the rare byte that nothing depends on goes unnoticed
        made.body = packed(whole)
        at = dice.randrange(len(made.body))
        made.body = (
            made.body[:at] + bytes([made.body[at] ^ 1 << dice.randrange(8)]) + made.body[at + 1 :]
        )
        _forget(made)
    elif kind == 14:  # not what it says it is
        made.body = (
            whole if dice.randrange(2) else _zstd(whole) if packed is _gzip else _gzip(whole)
        )
        made.statuses = frozenset({400})
    else:  # something behind it
        made.body = packed(whole) + dice.choice((b"\0\0\0", b"x", b"{}", made.body, b"\x1f\x8b"))
        _forget(made)


def _forget(made: Sent) -> None:
    made.lines = made.items = made.received = made.unanswered = None
    made.is_whole = False
    made.statuses = frozenset({200, 400})


def _gzip(raw: bytes) -> bytes:
    return gzip.compress(raw, 1, mtime=0)


_COMPRESSOR = zstandard.ZstdCompressor(level=1)


def _zstd(raw: bytes) -> bytes:
    return _COMPRESSOR.compress(raw)


def _members(dice: Random, whole: bytes, packed: Callable[[bytes], bytes]) -> list[bytes]:
    cuts = sorted(dice.randrange(len(whole) + 1) for _ in range(1 + dice.randrange(4)))
    return [packed(whole[a:b]) for a, b in itertools.pairwise((0, *cuts, len(whole)))]


def _in_parts(dice: Random, body: bytes) -> tuple[bytes, ...]:
    """As it might arrive."""
    if dice.randrange(2):
        return (body,)
    cuts = sorted(dice.randrange(len(body) + 1) for _ in range(1 + dice.randrange(4)))
    return tuple(body[a:b] for a, b in itertools.pairwise((0, *cuts, len(body))))
