"""Explanations of queries: they agree with the detector on random rules and events."""

import json
from dataclasses import replace
from random import Random

import pytest

from app.detection.detector import Detector
from app.detection.eql.query import compile_query
from app.detection.explain import explain
from app.detection.rule import BUNDLED_RULES_DIR, Rule, load_rules
from tests.detection import random_rules

(SSH_RULE,) = load_rules([BUNDLED_RULES_DIR / "ssh_in_container.toml"]).rules
RULES_AT_ONCE, EVENTS, ROUNDS = 25, 100, 40


def build_rule(query: str) -> Rule:
    return replace(SSH_RULE, query=query, tree=compile_query(query), slug=query)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_explanation_and_detector_agree_on_every_pair(seed: int) -> None:
    """All seeds together check 100,000 pairs of a rule and an event.

    The detector evaluates each event as a document, as nested JSON and as dotted JSON.
    """
    draw = Random(seed)  # noqa: S311 (no secret)
    rules = [build_rule(random_rules.query(draw)) for _ in range(RULES_AT_ONCE)]
    detector = Detector(rules)
    for _ in range(EVENTS):
        event = random_rules.event(draw)
        explained_matches = tuple(rule for rule in rules if explain(rule, event).matches)
        assert detector.match_document(event) == explained_matches
        assert detector.match_json(json.dumps(event).encode()) in (explained_matches, None)
        dotted = random_rules.dotted(event, draw)
        assert detector.match_json(json.dumps(dotted).encode()) in (explained_matches, None)


def test_the_random_pairs_include_matches_and_non_matches() -> None:
    assert ROUNDS * RULES_AT_ONCE * EVENTS == 100_000
    draw = Random(0)  # noqa: S311 (no secret)
    rules = [build_rule(random_rules.query(draw)) for _ in range(200)]
    events = [random_rules.event(draw) for _ in range(50)]
    detector = Detector(rules)
    matches = sum(len(detector.match_document(event)) for event in events)
    assert 0.02 < matches / 10_000 < 0.5
    results = [detector.match_json(json.dumps(event).encode()) for event in events]
    assert sum(result is not None for result in results) > len(events) / 2
