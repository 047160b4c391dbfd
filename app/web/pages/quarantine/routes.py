"""Quarantine pages: the list of rejected events, and one event with its bytes."""

import re
from collections import Counter
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.errors import NotFound
from app.domain.principal import Role
from app.domain.text import truncate_with_count
from app.ingest.retry import QuarantinedEvaluation, evaluate_quarantined
from app.store import api_keys, quarantine
from app.store.database import Session
from app.store.quarantine import QuarantineFilter
from app.store.tables import QuarantinedEvent
from app.web import urls
from app.web.access import Analyst
from app.web.components import SelectOption
from app.web.number_format import format_capped_count
from app.web.page_response import render_page
from app.web.pages.quarantine.change_routes import BULK_LIMIT
from app.web.pages.quarantine.context import (
    QuarantinedEventPage,
    QuarantinePage,
    ReasonCount,
    filter_parameters,
    read_filter,
)
from app.web.pages.quarantine.export import EXPORT_EVENTS_LIMIT, EXPORT_PATH
from app.web.pages.quarantine.hex_dump import hex_dump
from app.web.quarantine_rows import QUARANTINE_PATH, REMOVED_KEY_NAME, build_quarantine_rows
from app.web.services import ServicesDep
from app.web.urls import RowId

PAGE_SIZE = 25
# The page counts how often each reason occurs among this many of the newest events.
REASON_SAMPLE_SIZE = 1_000
REASON_COUNTS_LIMIT = 8
router = APIRouter()


@router.get(QUARANTINE_PATH)
def show(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    event_filter = read_filter(lambda name: request.query_params.get(name, ""))
    view = filter_parameters(event_filter)
    with services.database.read() as session:
        result = quarantine.search(session, event_filter, PAGE_SIZE)
        rows = build_quarantine_rows(session, result.ids)
        newest_ids = quarantine.search(
            session, QuarantineFilter(event_filter.key_id, event_filter.reason), 1
        ).ids
        total = quarantine.count(session, event_filter.key_id)
        agent_options = _agent_options(session, event_filter.key_id)
        reasons = quarantine.newest_reasons(session, event_filter.key_id, REASON_SAMPLE_SIZE)
    is_full_page = len(result.ids) == PAGE_SIZE
    context = QuarantinePage(
        rows=rows,
        total=format_capped_count(total, quarantine.COUNT_LIMIT),
        agent_options=agent_options,
        reason=event_filter.reason,
        reasons=_reason_counts(reasons, event_filter),
        reason_sample_size=len(reasons),
        filtered=bool(event_filter.reason or event_filter.key_id is not None),
        action=QUARANTINE_PATH,
        newest_href=urls.href(QUARANTINE_PATH, view) if event_filter.before else None,
        older_href=urls.href(QUARANTINE_PATH, view, before=result.next_before)
        if result.next_before
        else None,
        search_limit_note=None
        if is_full_page or result.next_before is None
        else f"Only {quarantine.SCAN_LIMIT:,} events were searched, down to event "
        f"{result.next_before:,}. Choose “Older” to continue the search.",
        export_href=urls.href(EXPORT_PATH, view),
        export_limit=EXPORT_EVENTS_LIMIT,
        can_manage=principal.has_role(Role.ADMIN),
        retry_action=f"{QUARANTINE_PATH}/retry",
        delete_action=f"{QUARANTINE_PATH}/delete",
        hidden_inputs=tuple(
            (name, str(value))
            for name, value in {**view, "up_to": newest_ids[0] if newest_ids else 0}.items()
            if value is not None
        ),
        bulk_limit=BULK_LIMIT,
    )
    return render_page(request, principal, "pages/quarantine.html", context, title="Quarantine")


def _agent_options(session: Session, selected_id: int | None) -> tuple[SelectOption, ...]:
    names = {key.id or 0: key.name for key in api_keys.list_all(session)}
    counts = quarantine.counts_by_key(session)
    agents = sorted((names.get(key_id, REMOVED_KEY_NAME), key_id) for key_id in counts)
    if selected_id is not None and selected_id not in counts and selected_id in names:
        agents.append((names[selected_id], selected_id))
    options = tuple(
        SelectOption(
            str(key_id),
            f"{truncate_with_count(name, 60)} "
            f"({format_capped_count(counts.get(key_id, 0), quarantine.COUNT_LIMIT)})",
            key_id == selected_id,
        )
        for name, key_id in agents
    )
    return (SelectOption("", "All agents", selected_id is None), *options)


# These separators divide a reason into its kind and its details. The details differ from event to event.
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
        for text, count in kinds.most_common(REASON_COUNTS_LIMIT)
    )


@router.get(QUARANTINE_PATH + "/{quarantine_id}")
def show_event(
    request: Request, quarantine_id: RowId, principal: Analyst, services: ServicesDep
) -> Response:
    with services.database.read() as session:
        event = _get_event(session, quarantine_id)
        (row,) = build_quarantine_rows(session, [quarantine_id])
    requested_offset = urls.parse_row_id(request.query_params.get("from", ""))
    dump = hex_dump(event.event, event.reason, requested_offset)
    retry_preview, tone = _retry_preview(
        evaluate_quarantined(
            event.event,
            event.key_id,
            services.current_detector.detector,
            services.settings.max_event_bytes,
        )
    )
    context = QuarantinedEventPage(
        row=row,
        hex_dump=dump,
        previous_href=_bytes_href(quarantine_id, dump.previous_start),
        next_href=_bytes_href(quarantine_id, dump.next_start),
        retry_preview=retry_preview,
        retry_preview_tone=tone,
        can_manage=principal.has_role(Role.ADMIN),
        retry_action=f"{QUARANTINE_PATH}/retry",
        delete_action=f"{QUARANTINE_PATH}/delete",
    )
    title = f"Quarantined event {quarantine_id}"
    return render_page(request, principal, "pages/quarantined.html", context, title=title)


def _retry_preview(evaluation: QuarantinedEvaluation) -> tuple[str, str]:
    """Return a text that describes the result of a retry, and the tone of the text."""
    if evaluation.rejection_reason is not None:
        return f"A retry would reject the event again: {evaluation.rejection_reason}.", "plain"
    if evaluation.matches:
        return (
            f"A retry would accept the event. Matching rules: {', '.join(evaluation.rule_names)}.",
            "warning",
        )
    return (
        "A retry would delete the event, because it can be parsed now and matches no enabled rule.",
        "success",
    )


def _bytes_href(quarantine_id: int, start: int | None) -> str | None:
    return None if start is None else f"{QUARANTINE_PATH}/{quarantine_id}?from={start}#bytes"


@router.get(QUARANTINE_PATH + "/{quarantine_id}/event.bin")
def download_event(quarantine_id: RowId, principal: Analyst, services: ServicesDep) -> Response:
    """Return the bytes of an event as received. The media type prevents browsers from rendering them."""
    with services.database.read() as session:
        event = _get_event(session, quarantine_id)
    name = f"quarantine-{quarantine_id}.bin"
    return Response(
        event.event,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _get_event(session: Session, quarantine_id: int) -> QuarantinedEvent:
    event = quarantine.get(session, quarantine_id)
    if event is None:
        raise NotFound(f"There is no event {quarantine_id} in quarantine.")
    return event
