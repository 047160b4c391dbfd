"""Events that could not be read: which, whose, why, and their bytes."""

import re
from collections import Counter
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.errors import NotFound
from app.domain.principal import Role
from app.domain.text import truncate_with_count
from app.ingest.retry import evaluate_quarantined
from app.store import api_keys, quarantine
from app.store.database import Session
from app.store.quarantine import QuarantineFilter, QuarantinePreview
from app.web import urls
from app.web.access import Analyst
from app.web.components import SelectOption
from app.web.key_states import format_capped_count
from app.web.page_response import render_page
from app.web.pages.agents.context import QuarantineRow
from app.web.pages.quarantine.change_routes import BULK_LIMIT
from app.web.pages.quarantine.context import (
    QUARANTINE_PATH,
    QuarantinedEventPage,
    QuarantinePage,
    ReasonCount,
    filter_parameters,
    read_filter,
)
from app.web.pages.quarantine.export import EXPORT_EVENTS_LIMIT
from app.web.pages.quarantine.hex_dump import hex_dump, split_invalid_utf8
from app.web.services import ServicesDep
from app.web.urls import RowId

PAGE_SIZE = 25
PREVIEW_BYTES = 300
# Reasons are counted among so many of the newest events.
REASON_SAMPLE_SIZE = 1_000
router = APIRouter()


@router.get(QUARANTINE_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    event_filter = read_filter(lambda name: request.query_params.get(name, ""))
    view = filter_parameters(event_filter)
    with services.database.read() as session:
        found = quarantine.search(session, event_filter, PAGE_SIZE)
        rows = build_quarantine_rows(session, found.ids)
        newest = quarantine.search(
            session, QuarantineFilter(event_filter.key_id, event_filter.reason), 1
        ).ids
        total = quarantine.count(session, event_filter.key_id)
        names = {key.id or 0: key.name for key in api_keys.list_all(session)}
        kept = quarantine.counts_by_key(session)
        reasons = quarantine.newest_reasons(session, event_filter.key_id, REASON_SAMPLE_SIZE)
    full = len(found.ids) == PAGE_SIZE
    context = QuarantinePage(
        rows=rows,
        total=format_capped_count(total),
        agent_options=_agent_options(names, kept, event_filter.key_id),
        reason=event_filter.reason,
        reasons=_reason_counts(reasons, event_filter),
        reason_sample_size=len(reasons),
        filtered=bool(event_filter.reason or event_filter.key_id is not None),
        action=QUARANTINE_PATH,
        newest_href=urls.href(QUARANTINE_PATH, view) if event_filter.before else None,
        older_href=urls.href(QUARANTINE_PATH, view, before=found.next_before)
        if found.next_before
        else None,
        search_limit_note=None
        if full or found.next_before is None
        else f"{quarantine.SCAN_LIMIT:,} events were looked through, down to number "
        f"{found.next_before:,}. “Older” goes on from there.",
        export_href=urls.href(f"{QUARANTINE_PATH}/export.ndjson", view),
        export_limit=EXPORT_EVENTS_LIMIT,
        can_manage=principal.has_role(Role.ADMIN),
        retry_action=f"{QUARANTINE_PATH}/retry",
        delete_action=f"{QUARANTINE_PATH}/delete",
        hidden_inputs=tuple(
            (name, str(value))
            for name, value in {**view, "up_to": newest[0] if newest else 0}.items()
            if value is not None
        ),
        bulk_limit=BULK_LIMIT,
    )
    return render_page(request, principal, "pages/quarantine.html", context, title="Quarantine")


def _agent_options(
    names: dict[int, str], kept: dict[int, int], chosen: int | None
) -> tuple[SelectOption, ...]:
    some = sorted((names.get(key_id, "a removed key"), key_id) for key_id in kept)
    if chosen is not None and chosen not in kept and chosen in names:
        some.append((names[chosen], chosen))
    options = tuple(
        SelectOption(
            str(key_id),
            f"{truncate_with_count(name, 60)} ({format_capped_count(kept.get(key_id, 0))})",
            key_id == chosen,
        )
        for name, key_id in some
    )
    return (SelectOption("", "Every agent", chosen is None), *options)


# A reason begins with its kind; what follows differs from event to event.
_REASON_DETAILS = re.compile(r": | at byte ")


def _reason_counts(
    reasons: Sequence[str], event_filter: QuarantineFilter
) -> tuple[ReasonCount, ...]:
    kinds = Counter(_REASON_DETAILS.split(reason, maxsplit=1)[0][:200] for reason in reasons)
    view = filter_parameters(event_filter)
    return tuple(
        ReasonCount(
            text,
            count,
            urls.href(QUARANTINE_PATH, view, reason="" if text == event_filter.reason else text),
            text == event_filter.reason,
        )
        for text, count in kinds.most_common(8)
    )


def build_quarantine_rows(session: Session, ids: Sequence[int]) -> tuple[QuarantineRow, ...]:
    """The rows of a list, newest first."""
    found = quarantine.list_previews(session, ids, PREVIEW_BYTES)
    names = api_keys.names_by_id(session, (kept.key_id for kept in found))
    return tuple(_row(kept, names) for kept in found)


def _row(kept: QuarantinePreview, names: dict[int, str]) -> QuarantineRow:
    pieces = split_invalid_utf8(kept.first_bytes)
    return QuarantineRow(
        id=kept.id,
        href=f"{QUARANTINE_PATH}/{kept.id}",
        received_at=kept.received_at,
        agent=names.get(kept.key_id, "a removed key"),
        reason=kept.reason,
        size=kept.size,
        text_segments=(*pieces, ("…", False)) if kept.size > len(kept.first_bytes) else pieces,
        raw_href=f"{QUARANTINE_PATH}/{kept.id}/event.bin",
    )


@router.get(QUARANTINE_PATH + "/{quarantine_id}")
def show_event(
    request: Request, quarantine_id: RowId, principal: Analyst, services: ServicesDep
) -> Response:
    with services.database.read() as session:
        row = quarantine.get(session, quarantine_id)
        if row is None:
            raise NotFound(_not_found_message(quarantine_id))
        (told,) = build_quarantine_rows(session, [quarantine_id])
    requested_offset = urls.parse_row_id(request.query_params.get("from", ""))
    shown = hex_dump(row.event, row.reason, requested_offset)
    here = f"{QUARANTINE_PATH}/{quarantine_id}"
    today = evaluate_quarantined(
        row.event,
        row.key_id,
        services.current_detector.detector,
        services.settings.max_event_bytes,
    )
    if today.rejection_reason is not None:
        would, tone = f"It still could not be read: {today.rejection_reason}.", "plain"
    elif today.matches:
        would, tone = f"It would match: {', '.join(today.rule_names)}.", "warning"
    else:
        would, tone = "It could be read, and no enabled rule would match it.", "success"
    context = QuarantinedEventPage(
        row=told,
        agent_href=f"/agents/{row.key_id}",
        hex_dump=shown,
        previous_href=None
        if shown.previous_start is None
        else f"{here}?from={shown.previous_start}#bytes",
        next_href=None if shown.next_start is None else f"{here}?from={shown.next_start}#bytes",
        retry_preview=would,
        retry_preview_tone=tone,
        can_manage=principal.has_role(Role.ADMIN),
        retry_action=f"{QUARANTINE_PATH}/retry",
        delete_action=f"{QUARANTINE_PATH}/delete",
        hidden_inputs=(("id", str(quarantine_id)),),
    )
    title = f"Event {quarantine_id} in quarantine"
    return render_page(request, principal, "pages/quarantined.html", context, title=title)


@router.get(QUARANTINE_PATH + "/{quarantine_id}/event.bin")
def download_event(quarantine_id: RowId, principal: Analyst, services: ServicesDep) -> Response:
    """The bytes exactly as they came, as a download: no browser should try to make sense of them."""
    with services.database.read() as session:
        row = quarantine.get(session, quarantine_id)
    if row is None:
        raise NotFound(_not_found_message(quarantine_id))
    name = f"quarantine-{quarantine_id}.bin"
    return Response(
        row.event,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _not_found_message(quarantine_id: int) -> str:
    return f"There is no event {quarantine_id} in quarantine."
