"""URLs of pages. A URL contains the whole state of a view, so that users can share the view."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeAlias
from urllib.parse import urlencode

from fastapi import Path

from app.domain.errors import InvalidInput
from app.store.alerts import Cursor

# Row id in a path. Database ids are below 2**63, so a request with a larger id is answered with 404.
RowId: TypeAlias = Annotated[int, Path(ge=0, lt=2**63, examples=[1])]


def parse_row_id(text: str) -> int | None:
    """Parse a row id in a query or form; return None if the text is invalid."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def href(path: str, parameters: Mapping[str, object] | None = None, **changes: object) -> str:
    """Return `path` with the query `parameters`, updated by `changes`; empty and None values are omitted."""
    merged = {**(parameters or {}), **changes}
    kept = {name: str(value) for name, value in merged.items() if value not in (None, "")}
    return f"{path}?{urlencode(kept)}" if kept else path


def safe_redirect_path(path: str, default: str = "/alerts") -> str:
    """Return `path` if it is a path on this site, else `default`. This prevents open redirects."""
    is_plain = path.isascii() and path.isprintable() and "\\" not in path
    if is_plain and path.startswith("/") and not path.startswith("//"):
        return path
    return default


def encode_cursor(cursor: Cursor) -> str:
    """Encode a cursor for a URL."""
    key = cursor.key.isoformat() if isinstance(cursor.key, datetime) else cursor.key
    return base64.urlsafe_b64encode(json.dumps([key, cursor.id]).encode()).decode().rstrip("=")


def decode_cursor(text: str, *, key_is_time: bool) -> Cursor:
    """Decode a cursor from a URL. Raises InvalidInput if `text` is not a valid cursor.

    If `key_is_time` is true, the key of the cursor is a time. Otherwise, the key is a number.
    """
    try:
        key, row_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(row_id, int) or abs(row_id) >= 2**63:
            raise ValueError
        if key_is_time:
            moment = datetime.fromisoformat(key)
            if moment.tzinfo is None:
                raise ValueError
            return Cursor(moment.astimezone(UTC), row_id)
        if not isinstance(key, int) or abs(key) >= 2**63:
            raise ValueError
        return Cursor(key, row_id)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidInput({"cursor": "Invalid cursor; start from the first page."}) from None
