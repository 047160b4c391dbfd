"""Events in quarantine as a file: NDJSON, since a tool that reads them wants to know why and when, too."""

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
from app.web.pages.quarantine.context import QUARANTINE_PATH, filter_parameters, read_filter
from app.web.services import ServicesDep

# What one export holds at most; its last line says when there are more.
EXPORT_EVENTS_LIMIT = 10_000
EXPORT_BYTES_LIMIT = 256 * 1024 * 1024
router = APIRouter()


@router.get(QUARANTINE_PATH + "/export.ndjson")
def export(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    """What fits the filter, one JSON object a line, newest first; the bytes as base64, since they may
    be no text at all.
    """
    event_filter = read_filter(lambda name: request.query_params.get(name, ""))
    return StreamingResponse(
        _export_lines(services.database, event_filter),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="quarantine.ndjson"'},
    )


def _export_lines(database: Database, event_filter: QuarantineFilter) -> Iterator[bytes]:
    with database.read() as session:
        found = quarantine.search(session, event_filter, EXPORT_EVENTS_LIMIT)
        names = {key.id or 0: key.name for key in api_keys.list_all(session)}
    size = 0
    more = found.next_before
    for at, quarantine_id in enumerate(found.ids):
        with database.read() as session:  # one at a time: an event may have megabytes
            row = quarantine.get(session, quarantine_id)
        if row is None:
            continue
        size += len(row.event)
        if at and size > EXPORT_BYTES_LIMIT:
            more = found.ids[at - 1]
            break
        yield _line(
            {
                "id": row.id,
                "received_at": row.received_at.isoformat(),
                "agent": names.get(row.key_id, "a removed key"),
                "reason": row.reason,
                "size": len(row.event),
                "base64": base64.b64encode(row.event).decode(),
            }
        )
    if more is not None:
        yield _line(
            {
                "more": urls.href(
                    f"{QUARANTINE_PATH}/export.ndjson", filter_parameters(event_filter), before=more
                )
            }
        )


def _line(told: dict[str, object]) -> bytes:
    return json.dumps(told).encode() + b"\n"
