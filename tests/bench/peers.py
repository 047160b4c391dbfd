"""The peer of the detection benchmark: `orjson` and the Python engine of the `eql` package.

The engine is used in its fastest way. In the package, `==` ignores case and a comparison with a missing
field is neither true nor false. Therefore the values in the benchmark's events are lower-case and the
events have every field that its rules read. Both engines then find the same matches, which is checked
before any time is measured.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from eql.ast import EqlAnalytic, PipedQuery
from eql.engine import PythonEngine
from eql.events import Event
from eql.parser import elasticsearch_syntax, parse_query

from tests.bench.rules import RuleText


class EqlPeer:
    """One engine of the `eql` package with all queries; `found` counts its matches."""

    def __init__(self, texts: Sequence[RuleText]) -> None:
        self.found = 0
        # With flat output, the engine creates no extra object for each match.
        engine = PythonEngine({"flatten": True})
        engine.add_queries(query for _, query in _parsed(texts))
        engine.add_output_hook(self._count)
        self._stream = engine.stream_event

    def _count(self, _: object) -> None:
        self.found += 1

    def decide(self, document: dict[str, Any]) -> None:
        """Evaluate every rule on one decoded event."""
        self._stream(_as_event(document))

    def decode_and_decide(self, events: Sequence[bytes]) -> None:
        loads, stream = orjson.loads, self._stream
        for raw in events:
            stream(_as_event(loads(raw)))


def matches_by_rule(texts: Sequence[RuleText], events: Sequence[bytes]) -> Counter[str]:
    """Return how many of `events` each rule matches."""
    found: Counter[str] = Counter()
    engine = PythonEngine()
    for name, query in _parsed(texts):
        engine.add_analytic(EqlAnalytic(query=query, metadata={"id": name, "name": name}))
    engine.add_output_hook(lambda output: found.update([output.analytic_id]))
    for raw in events:
        engine.stream_event(_as_event(orjson.loads(raw)))
    return found


def _parsed(texts: Sequence[RuleText]) -> Iterator[tuple[str, PipedQuery]]:
    with elasticsearch_syntax:
        for text in texts:
            yield text.name, parse_query(text.query.peers)


def _as_event(document: dict[str, Any]) -> Event:
    """Return the event in the engine's format, with `event.type` as a single value instead of a list.

    The engine's `==` needs a single value. Converting it once per event takes less time than a call of
    `arrayContains` in each rule.
    """
    event = document["event"]
    kind = event["type"]
    if type(kind) is list and len(kind) == 1:
        event["type"] = kind[0]
    return Event(event["category"][0], 0, document)
