"""Addresses of views: the URL holds the whole view, so that it can be shared."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeAlias
from urllib.parse import urlencode

from fastapi import Path

from app.domain.errors import InvalidInput
from app.store.alerts import Cursor

# The number of a row in a path. No database holds a larger one: nothing there, so 404.
RowId: TypeAlias = Annotated[int, Path(ge=0, lt=2**63, examples=[1])]


def parse_row_id(text: str) -> int | None:
    """A row's number in a query or a form; None for what cannot be one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def href(path: str, parameters: Mapping[str, object] | None = None, **changes: object) -> str:
    """`path` with `parameters`, some changed; what is empty or None is left out."""
    merged = {**(parameters or {}), **changes}
    kept = {name: str(value) for name, value in merged.items() if value not in (None, "")}
    return f"{path}?{urlencode(kept)}" if kept else path


def safe_redirect_path(path: str, default: str = "/alerts") -> str:
    """`path` if it leads to a page of ours, so that no link can send somebody elsewhere after login."""
    plain = path.isascii() and path.isprintable() and "\\" not in path
    if plain and path.startswith("/") and not path.startswith("//"):
        return path
    return default


def encode_cursor(cursor: Cursor) -> str:
    """A cursor as it travels in a URL."""
    key = cursor.key.isoformat() if isinstance(cursor.key, datetime) else cursor.key
    return base64.urlsafe_b64encode(json.dumps([key, cursor.id]).encode()).decode().rstrip("=")


def decode_cursor(text: str, *, key_is_time: bool) -> Cursor:
    """The cursor in a URL, whose key is a time if `timed`, else a number; raises InvalidInput."""
    try:
        decoded = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        key, row = decoded
        if not isinstance(row, int) or abs(row) >= 2**63:
            raise ValueError
        if key_is_time:
            moment = datetime.fromisoformat(key)
            if moment.tzinfo is None:
                raise ValueError
            return Cursor(moment.astimezone(UTC), row)
        if not isinstance(key, int) or abs(key) >= 2**63:
            raise ValueError
        return Cursor(key, row)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidInput(
            {"cursor": "This page of the list is not known; start at the newest."}
        ) from None
