"""The one clock, which everything else is given; in a room of its own, so that to have it costs nothing."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Aware UTC."""
    return datetime.now(UTC)
