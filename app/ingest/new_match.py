"""Matches of evaluated events that are not stored yet."""

from dataclasses import dataclass

from app.detection.rule import Rule
from app.domain.event import Event, event_from_ecs
from app.ingest.evaluate import MatchingEvent


@dataclass(frozen=True, slots=True)
class NewMatch:
    """A match that may be new. `raw` is the event as its agent sent it."""

    key_id: int
    rule: Rule
    event: Event
    raw: bytes


def new_matches(event: MatchingEvent, key_id: int) -> list[NewMatch]:
    """Return the matches of one event, one for each rule."""
    parsed = event_from_ecs(event.document)
    return [NewMatch(key_id, rule, parsed, event.raw_event.raw) for rule in event.rules]
