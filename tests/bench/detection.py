"""Benchmark of detection on one core: `Detector.match_json` compared with `orjson` and the `eql` engine."""

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
from app.formats import MARKER_KEYS
from app.formats.ecs import ECS_MARKER_FIELDS
from tests.bench.events import events
from tests.bench.peers import EqlPeer, matches_by_rule
from tests.bench.report import Measurement, NotMeasured, compare_growth, compare_time
from tests.bench.rules import (
    RuleStyle,
    RuleText,
    events_matching_often,
    generate_rules,
    load_rule_set,
)
from tests.bench.scale import BenchScale

MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class _RuleSet:
    """Rules in the form of both engines, and the number of matches that both engines find."""

    texts: list[RuleText]
    rules: list[Rule]
    detector: Detector
    matches: int


def decide(count: int, style: RuleStyle, scale: BenchScale) -> Measurement:
    """Measure the time per event with `count` rules, ours against the peer."""
    key_is_time = events(scale.events)
    ours = _build_rule_set(count, style, key_is_time, scale)
    peer = EqlPeer(ours.texts)
    best = _best_times(
        {
            "ours": partial(_decide_all, ours.detector, key_is_time),
            "peer": partial(peer.decode_and_decide, key_is_time),
        },
        scale,
    )
    per_event = {name: seconds / len(key_is_time) * MICROSECONDS for name, seconds in best.items()}
    note = f"{ours.matches / len(key_is_time):.1%} matches, the same for both"
    return compare_time(per_event["ours"], per_event["peer"], "µs", note)


def rule_count_scaling(style: RuleStyle, scale: BenchScale) -> Measurement:
    """Measure the time per event with 300 rules against the time with 1 rule."""
    key_is_time = events(scale.events)
    few, many = (_detector(count, style)[1] for count in (1, 300))
    best = _best_times(
        {
            "few": partial(_decide_all, few, key_is_time),
            "many": partial(_decide_all, many, key_is_time),
        },
        scale,
    )
    few_us, many_us = (best[name] / len(key_is_time) * MICROSECONDS for name in ("few", "many"))
    return compare_growth(many_us, few_us, "µs", "the peer is our own detector with 1 rule")


def profile(count: int, style: RuleStyle, scale: BenchScale) -> list[tuple[str, float]]:
    """Return the microseconds per event of each step of detection with `count` rules."""
    key_is_time = events(scale.events)
    detector = _detector(count, style)[1]
    # The decoder of the detector is used, so that it decodes into the same struct.
    decode = detector._functions.decode
    skip = msgspec.json.Decoder(msgspec.Raw).decode
    variants: dict[str, Callable[[bytes], object]] = {
        "calling a function that does nothing": _nothing,
        "copying the bytes": bytearray,
        "msgspec reading over it, making nothing": skip,
        "msgspec making the fields these rules read": decode,
        "all of it: Detector.match_json": detector.match_json,
        "orjson making dicts, for comparison": orjson.loads,
    }
    best = _best_times(
        {name: partial(_call_all, way, key_is_time) for name, way in variants.items()}, scale
    )
    told = [(name, seconds / len(key_is_time) * MICROSECONDS) for name, seconds in best.items()]
    found = dict(told)
    rest = (
        found["all of it: Detector.match_json"]
        - found["msgspec making the fields these rules read"]
    )
    told.insert(5, ("of which not msgspec: calls, reading the struct, deciding", rest))
    return told


def _build_rule_set(
    count: int, style: RuleStyle, key_is_time: Sequence[bytes], scale: BenchScale
) -> _RuleSet:
    """Return the rules if both engines find the same matches; raises NotMeasured if they differ."""
    texts = generate_rules(count, style)
    rules, detector = _detector(count, style)
    matches = 0
    for some in (key_is_time, events_matching_often(scale.events)):
        ours = Counter(rule.slug for raw in some for rule in _decided(detector, raw))
        peers = matches_by_rule(texts, some)
        if ours != peers:
            name = next(name for name in ours | peers if ours[name] != peers[name])
            raise NotMeasured(f"{name} matches {ours[name]} events here, {peers[name]} in the peer")
        matches = matches or ours.total()
    return _RuleSet(texts, rules, detector, matches)


def _decided(detector: Detector, raw: bytes) -> tuple[Rule, ...]:
    found = detector.match_json(raw)
    if found is None:
        raise NotMeasured("an event of the benchmark is not decided at sight")
    return found


def _detector(count: int, style: RuleStyle) -> tuple[list[Rule], Detector]:
    with TemporaryDirectory() as folder:
        rules = load_rule_set(Path(folder), count, style)
    return rules, Detector(rules, non_ecs_keys=MARKER_KEYS, ecs_marker_fields=ECS_MARKER_FIELDS)


def _decide_all(detector: Detector, key_is_time: Sequence[bytes]) -> int:
    decide, found = detector.match_json, 0
    for raw in key_is_time:
        if decide(raw):
            found += 1
    return found


def _nothing(_: bytes) -> None:
    return None


def _call_all(way: Callable[[bytes], object], key_is_time: Sequence[bytes]) -> None:
    for raw in key_is_time:
        way(raw)


def _best_times(variants: dict[str, Callable[[], object]], scale: BenchScale) -> dict[str, float]:
    """Return the smallest processor time of each variant, in seconds.

    The variants run in turns, so that other load on the machine affects all of them. The minimum is used
    instead of the median, because longer times are caused by other processes.
    """
    best = dict.fromkeys(variants, float("inf"))
    for way in variants.values():  # a warm-up that is not measured
        way()
    for _ in range(scale.rounds):
        for name, way in variants.items():
            started = thread_time()
            way()
            best[name] = min(best[name], thread_time() - started)
    return best
