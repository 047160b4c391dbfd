"""The system clock. This module imports only `datetime`, so that importing this module is fast."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current time as an aware UTC datetime."""
    return datetime.now(UTC)
