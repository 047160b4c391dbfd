"""Events that could not be read: which, whose, why, and their bytes."""

import re
from collections import Counter
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.errors import NotFound
from app.domain.roles import Role
from app.domain.text import shortened
from app.ingest.second_look import verdict
from app.store import keys, quarantine
from app.store.database import Session
from app.store.quarantine import Kept, QuarantineFilter
from app.web import urls
from app.web.access import Analyst
from app.web.pages.agent_states import counted
from app.web.pages.agents_context import QuarantineRow
from app.web.pages.bytes_shown import dump, text_pieces
from app.web.pages.quarantine_changes import AT_ONCE
from app.web.pages.quarantine_context import (
    PATH,
    QuarantinedPage,
    QuarantinePage,
    Reason,
    view_of,
    wanted_of,
)
from app.web.pages.quarantine_export import EXPORT_EVENTS
from app.web.respond import page
from app.web.services import Parts
from app.web.shell import Option
from app.web.urls import RowId

PAGE_SIZE = 25
BYTES_SHOWN = 300
# Reasons are counted among so many of the newest events.
COUNTED = 1_000
router = APIRouter()


@router.get(PATH)
def show(request: Request, who: Analyst, services: Parts) -> Response:
    wanted = wanted_of(lambda name: request.query_params.get(name, ""))
    view = view_of(wanted)
    with services.database.read() as session:
        found = quarantine.search(session, wanted, PAGE_SIZE)
        rows = rows_of(session, found.ids)
        newest = quarantine.search(session, QuarantineFilter(wanted.key_id, wanted.reason), 1).ids
        total = quarantine.total(session, wanted.key_id)
        names = {key.id or 0: key.name for key in keys.all_keys(session)}
        kept = quarantine.counts(session)
        reasons = quarantine.reasons(session, wanted.key_id, COUNTED)
    full = len(found.ids) == PAGE_SIZE
    context = QuarantinePage(
        rows=rows,
        total=counted(total),
        agents=_agents(names, kept, wanted.key_id),
        reason=wanted.reason,
        reasons=_reasons(reasons, wanted),
        counted=len(reasons),
        filtered=bool(wanted.reason or wanted.key_id is not None),
        action=PATH,
        newest_href=urls.href(PATH, view) if wanted.before else None,
        older_href=urls.href(PATH, view, before=found.before) if found.before else None,
        looked_through=None
        if full or found.before is None
        else f"{quarantine.LOOKED_THROUGH:,} events were looked through, down to number "
        f"{found.before:,}. “Older” goes on from there.",
        export_href=urls.href(f"{PATH}/export.ndjson", view),
        export_events=EXPORT_EVENTS,
        may_manage=who.may(Role.ADMIN),
        retry_action=f"{PATH}/retry",
        delete_action=f"{PATH}/delete",
        fields=tuple(
            (name, str(value))
            for name, value in {**view, "up_to": newest[0] if newest else 0}.items()
            if value is not None
        ),
        at_once=AT_ONCE,
    )
    return page(request, who, "pages/quarantine.html", context, title="Quarantine")


def _agents(names: dict[int, str], kept: dict[int, int], chosen: int | None) -> tuple[Option, ...]:
    some = sorted((names.get(key_id, "a removed key"), key_id) for key_id in kept)
    if chosen is not None and chosen not in kept and chosen in names:
        some.append((names[chosen], chosen))
    options = tuple(
        Option(
            str(key_id), f"{shortened(name, 60)} ({counted(kept.get(key_id, 0))})", key_id == chosen
        )
        for name, key_id in some
    )
    return (Option("", "Every agent", chosen is None), *options)


# A reason begins with its kind; what follows differs from event to event.
_DETAILS = re.compile(r": | at byte ")


def _reasons(reasons: Sequence[str], wanted: QuarantineFilter) -> tuple[Reason, ...]:
    kinds = Counter(_DETAILS.split(reason, maxsplit=1)[0][:200] for reason in reasons)
    view = view_of(wanted)
    return tuple(
        Reason(
            text,
            count,
            urls.href(PATH, view, reason="" if text == wanted.reason else text),
            text == wanted.reason,
        )
        for text, count in kinds.most_common(8)
    )


def rows_of(session: Session, ids: Sequence[int]) -> tuple[QuarantineRow, ...]:
    """The rows of a list, newest first."""
    found = quarantine.beginnings(session, ids, BYTES_SHOWN)
    names = keys.names(session, (kept.key_id for kept in found))
    return tuple(_row(kept, names) for kept in found)


def _row(kept: Kept, names: dict[int, str]) -> QuarantineRow:
    pieces = text_pieces(kept.start)
    return QuarantineRow(
        id=kept.id,
        href=f"{PATH}/{kept.id}",
        received_at=kept.received_at,
        agent=names.get(kept.key_id, "a removed key"),
        reason=kept.reason,
        size=kept.size,
        pieces=(*pieces, ("…", False)) if kept.size > len(kept.start) else pieces,
        raw_href=f"{PATH}/{kept.id}/event.bin",
    )


@router.get(PATH + "/{quarantine_id}")
def show_one(request: Request, quarantine_id: RowId, who: Analyst, services: Parts) -> Response:
    with services.database.read() as session:
        row = quarantine.get(session, quarantine_id)
        if row is None:
            raise NotFound(_gone(quarantine_id))
        (told,) = rows_of(session, [quarantine_id])
    asked = urls.number(request.query_params.get("from", ""))
    shown = dump(row.event, row.reason, asked)
    here = f"{PATH}/{quarantine_id}"
    today = verdict(
        row.event,
        row.key_id,
        services.current_detector.detector,
        services.settings.max_event_bytes,
    )
    if today.refusal is not None:
        would, tone = f"It still could not be read: {today.refusal}.", "plain"
    elif today.matches:
        would, tone = f"It would match: {', '.join(today.rule_names)}.", "notable"
    else:
        would, tone = "It could be read, and no enabled rule would match it.", "calm"
    context = QuarantinedPage(
        row=told,
        agent_href=f"/agents/{row.key_id}",
        dump=shown,
        before_href=None if shown.before is None else f"{here}?from={shown.before}#bytes",
        after_href=None if shown.after is None else f"{here}?from={shown.after}#bytes",
        today=would,
        today_tone=tone,
        may_manage=who.may(Role.ADMIN),
        retry_action=f"{PATH}/retry",
        delete_action=f"{PATH}/delete",
        fields=(("id", str(quarantine_id)),),
    )
    title = f"Event {quarantine_id} in quarantine"
    return page(request, who, "pages/quarantined.html", context, title=title)


@router.get(PATH + "/{quarantine_id}/event.bin")
def quarantined(quarantine_id: RowId, who: Analyst, services: Parts) -> Response:
    """The bytes exactly as they came, as a download: no browser should try to make sense of them."""
    with services.database.read() as session:
        row = quarantine.get(session, quarantine_id)
    if row is None:
        raise NotFound(_gone(quarantine_id))
    name = f"quarantine-{quarantine_id}.bin"
    return Response(
        row.event,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _gone(quarantine_id: int) -> str:
    return f"There is no event {quarantine_id} in quarantine."
