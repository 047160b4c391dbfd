"""Matches found by evaluation that are not stored yet."""

from dataclasses import dataclass

from app.detection.rule import Rule
from app.domain.event import Event, event_from_ecs
from app.ingest.evaluate import MatchingEvent


@dataclass(frozen=True, slots=True)
class NewMatch:
    """A match of a rule and an event, before it is stored. It may be a duplicate of a stored match.

    `key_id` is the id of the API key that sent the event. `raw` contains the bytes of the event as sent.
    """

    key_id: int
    rule: Rule
    event: Event
    raw: bytes


def new_matches(event: MatchingEvent, key_id: int) -> list[NewMatch]:
    """Return one match for each rule that the event matches."""
    parsed = event_from_ecs(event.document)
    return [NewMatch(key_id, rule, parsed, event.raw_event.raw) for rule in event.rules]
