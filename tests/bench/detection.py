"""Decode + decide on one core: `Detector.decide` beside `orjson` and the `eql` engine."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import thread_time

import msgspec
import orjson

from app.detection.detector import Detector
from app.detection.rule import Rule
from app.formats import MARKERS
from app.formats.ecs import AT_SIGHT
from tests.bench.effort import Effort
from tests.bench.events import events
from tests.bench.figures import Measured, Unmeasured, against_time, growth
from tests.bench.peers import EqlPeer, matches_by_rule
from tests.bench.rules import Row, RuleText, loaded, queries, tempting_events

MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class _Set:
    """A number of rules as both engines have them, and how often either finds something."""

    texts: list[RuleText]
    rules: list[Rule]
    detector: Detector
    matches: int


def decide(count: int, row: Row, effort: Effort) -> Measured:
    """`count` rules, ours against the peer."""
    timed = events(effort.events)
    ours = _checked(count, row, timed, effort)
    peer = EqlPeer(ours.texts)
    best = _best(
        {
            "ours": partial(_decide_all, ours.detector, timed),
            "peer": partial(peer.decode_and_decide, timed),
        },
        effort,
    )
    per_event = {name: seconds / len(timed) * MICROSECONDS for name, seconds in best.items()}
    note = f"{ours.matches / len(timed):.1%} matches, the same for both"
    return against_time(per_event["ours"], per_event["peer"], "µs", note)


def more_rules(row: Row, effort: Effort) -> Measured:
    """300 rules against 1."""
    timed = events(effort.events)
    few, many = (_detector(count, row)[1] for count in (1, 300))
    best = _best(
        {
            "few": partial(_decide_all, few, timed),
            "many": partial(_decide_all, many, timed),
        },
        effort,
    )
    few_us, many_us = (best[name] / len(timed) * MICROSECONDS for name in ("few", "many"))
    return growth(many_us, few_us, "µs", "the peer is our own detector with 1 rule")


def profile(count: int, row: Row, effort: Effort) -> list[tuple[str, float]]:
    """Where the microseconds of `count` rules go, one event at a time."""
    timed = events(effort.events)
    detector = _detector(count, row)[1]
    # Its own, so that the struct is the same.
    decode = detector._reader.decode_nested
    skip = msgspec.json.Decoder(msgspec.Raw).decode
    ways: dict[str, Callable[[bytes], object]] = {
        "calling a function that does nothing": _nothing,
        "copying the bytes": bytearray,
        "msgspec reading over it, making nothing": skip,
        "msgspec making the fields these rules read": decode,
        "all of it: Detector.decide": detector.decide,
        "orjson making dicts, for comparison": orjson.loads,
    }
    best = _best({name: partial(_call_all, way, timed) for name, way in ways.items()}, effort)
    told = [(name, seconds / len(timed) * MICROSECONDS) for name, seconds in best.items()]
    found = dict(told)
    rest = found["all of it: Detector.decide"] - found["msgspec making the fields these rules read"]
    told.insert(5, ("of which not msgspec: calls, reading the struct, deciding", rest))
    return told


def _checked(count: int, row: Row, timed: Sequence[bytes], effort: Effort) -> _Set:
    """The set of rules, once both engines have found the same; raises Unmeasured when they differ."""
    texts = queries(count, row)
    rules, detector = _detector(count, row)
    matches = 0
    for some in (timed, tempting_events(effort.events)):
        ours = Counter(rule.slug for raw in some for rule in _decided(detector, raw))
        peers = matches_by_rule(texts, some)
        if ours != peers:
            name = next(name for name in ours | peers if ours[name] != peers[name])
            raise Unmeasured(f"{name} matches {ours[name]} events here, {peers[name]} in the peer")
        matches = matches or ours.total()
    return _Set(texts, rules, detector, matches)


def _decided(detector: Detector, raw: bytes) -> tuple[Rule, ...]:
    found = detector.decide(raw)
    if found is None:
        raise Unmeasured("an event of the benchmark is not decided at sight")
    return found


def _detector(count: int, row: Row) -> tuple[list[Rule], Detector]:
    with TemporaryDirectory() as folder:
        rules = loaded(Path(folder), count, row)
    return rules, Detector(rules, markers=MARKERS, evidence=AT_SIGHT)


def _decide_all(detector: Detector, timed: Sequence[bytes]) -> int:
    decide, found = detector.decide, 0
    for raw in timed:
        if decide(raw):
            found += 1
    return found


def _nothing(_: bytes) -> None:
    return None


def _call_all(way: Callable[[bytes], object], timed: Sequence[bytes]) -> None:
    for raw in timed:
        way(raw)


def _best(ways: dict[str, Callable[[], object]], effort: Effort) -> dict[str, float]:
    """Processor seconds of each way at its best, in turns, so that a busy moment hits all alike.

    Processor time and the best, not the middle: what a loop takes longer is another process's doing.
    """
    best = dict.fromkeys(ways, float("inf"))
    for way in ways.values():  # to warm up
        way()
    for _ in range(effort.rounds):
        for name, way in ways.items():
            started = thread_time()
            way()
            best[name] = min(best[name], thread_time() - started)
    return best
