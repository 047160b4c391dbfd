"""Export of quarantined events as NDJSON, with the reason and time of each rejection."""

import base64
import json
from collections.abc import Iterator

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from app.store import api_keys, quarantine
from app.store.database import Database
from app.store.quarantine import QuarantineFilter
from app.web import urls
from app.web.access import Analyst
from app.web.pages.quarantine.context import filter_parameters, read_filter
from app.web.quarantine_rows import QUARANTINE_PATH, REMOVED_KEY_NAME
from app.web.services import ServicesDep

# Limits of one export. If more events match, the last line of the export links to the next export.
EXPORT_EVENTS_LIMIT = 10_000
EXPORT_BYTES_LIMIT = 256 * 1024 * 1024
EXPORT_PATH = f"{QUARANTINE_PATH}/export.ndjson"
router = APIRouter()


@router.get(EXPORT_PATH)
def export(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    """Export the events that match the filter, newest first, one JSON object per line.

    The bytes of an event are encoded in base64, because they may not be valid text.
    """
    event_filter = read_filter(lambda name: request.query_params.get(name, ""))
    return StreamingResponse(
        _export_lines(services.database, event_filter),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="quarantine.ndjson"'},
    )


def _export_lines(database: Database, event_filter: QuarantineFilter) -> Iterator[bytes]:
    with database.read() as session:
        result = quarantine.search(session, event_filter, EXPORT_EVENTS_LIMIT)
        names = {key.id or 0: key.name for key in api_keys.list_all(session)}
    size = 0
    next_before = result.next_before
    for index, quarantine_id in enumerate(result.ids):
        # Each transaction reads one event, because an event may be megabytes long.
        with database.read() as session:
            row = quarantine.get(session, quarantine_id)
        if row is None:
            continue
        size += len(row.event)
        if index and size > EXPORT_BYTES_LIMIT:
            next_before = result.ids[index - 1]
            break
        yield _line(
            {
                "id": row.id,
                "received_at": row.received_at.isoformat(),
                "agent": names.get(row.key_id, REMOVED_KEY_NAME),
                "reason": row.reason,
                "size": len(row.event),
                "base64": base64.b64encode(row.event).decode(),
            }
        )
    if next_before is not None:
        parameters = filter_parameters(event_filter)
        yield _line({"more": urls.href(EXPORT_PATH, parameters, before=next_before)})


def _line(record: dict[str, object]) -> bytes:
    return json.dumps(record).encode() + b"\n"
