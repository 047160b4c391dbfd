"""Parsing of events that are stored with a match."""

from app.domain.event import Event, event_from_ecs
from app.formats import parse_event
from app.store.tables import Match


def parse_match_event(match: Match) -> Event:
    """Parse the stored event of `match`. The event was parsed before it was stored, so it is valid."""
    return event_from_ecs(parse_event(match.event))
