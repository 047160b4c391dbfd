"""Events that could not be read: which, why, their bytes, and trying, discarding or exporting them."""

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from app.actions import quarantine as actions
from app.domain.errors import Invalid, NotFound
from app.domain.roles import Role
from app.domain.text import shortened, storable
from app.ingest.second_look import in_words, look_again, verdict
from app.store import keys, quarantine
from app.store.database import Database, Session
from app.store.quarantine import Kept, QuarantineFilter
from app.web import urls
from app.web.access import Admin, Analyst
from app.web.forms import Form, Posted
from app.web.pages.agent_states import counted
from app.web.pages.agents_context import QuarantineRow
from app.web.pages.bytes_shown import Dump, dump, text_pieces
from app.web.respond import page, see_other
from app.web.services import Parts, Services
from app.web.shell import Notice, Option
from app.web.urls import RowId

PATH = "/quarantine"
PAGE_SIZE = 25
BYTES_SHOWN = 300
# What one click changes at most; the notice says when there are more.
AT_ONCE = 500
# What one export holds at most; its last line says when there are more.
EXPORT_EVENTS = 10_000
EXPORT_BYTES = 256 * 1024 * 1024
# Reasons are counted among so many of the newest events.
COUNTED = 1_000
router = APIRouter()


@dataclass(frozen=True, slots=True)
class Reason:
    """A kind of reason, its numbers left out, and how many of the newest events have it."""

    text: str
    count: int
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class QuarantinePage:
    """Block `list`. The two forms post csrf, key, reason and up_to."""

    rows: tuple[QuarantineRow, ...]
    total: str
    agents: tuple[Option, ...]
    reason: str
    reasons: tuple[Reason, ...]
    counted: int
    filtered: bool
    action: str
    newest_href: str | None
    older_href: str | None
    looked_through: str | None
    export_href: str
    export_events: int
    may_manage: bool
    retry_action: str
    delete_action: str
    fields: tuple[tuple[str, str], ...]
    at_once: int


@dataclass(frozen=True, slots=True)
class QuarantinedPage:
    """One event. `today` is what would become of it now; the forms post csrf and id."""

    row: QuarantineRow
    agent_href: str
    dump: Dump
    before_href: str | None
    after_href: str | None
    today: str
    today_tone: str
    may_manage: bool
    retry_action: str
    delete_action: str
    fields: tuple[tuple[str, str], ...]


def _wanted(field: Callable[[str], str]) -> QuarantineFilter:
    """The filter in a query or a form: `key` is a key's id, `reason` a part of the reason."""
    return QuarantineFilter(
        key_id=urls.number(field("key")),
        # Longer than any reason of ours; SQLite refuses to look for patterns of 50,000 characters.
        reason=storable(field("reason").strip())[:200],
        before=urls.number(field("before")),
        up_to=urls.number(field("up_to")),
    )


def _view(wanted: QuarantineFilter) -> dict[str, object]:
    return {"key": wanted.key_id, "reason": wanted.reason}


@router.get(PATH)
def show(request: Request, who: Analyst, services: Parts) -> Response:
    wanted = _wanted(lambda name: request.query_params.get(name, ""))
    view = _view(wanted)
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
    view = _view(wanted)
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


@router.get(PATH + "/export.ndjson")
def export(request: Request, who: Analyst, services: Parts) -> Response:
    """What fits the filter, one JSON object a line, newest first; the bytes as base64, since they may
    be no text at all.
    """
    wanted = _wanted(lambda name: request.query_params.get(name, ""))
    return StreamingResponse(
        _exported(services.database, wanted),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="quarantine.ndjson"'},
    )


def _exported(database: Database, wanted: QuarantineFilter) -> Iterator[bytes]:
    with database.read() as session:
        found = quarantine.search(session, wanted, EXPORT_EVENTS)
        names = {key.id or 0: key.name for key in keys.all_keys(session)}
    size = 0
    more = found.before
    for at, quarantine_id in enumerate(found.ids):
        with database.read() as session:  # one at a time: an event may have megabytes
            row = quarantine.get(session, quarantine_id)
        if row is None:
            continue
        size += len(row.event)
        if at and size > EXPORT_BYTES:
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
        yield _line({"more": urls.href(f"{PATH}/export.ndjson", _view(wanted), before=more)})


def _line(told: dict[str, object]) -> bytes:
    return json.dumps(told).encode() + b"\n"


@router.post(PATH + "/retry")
def retry(request: Request, who: Admin, services: Parts, form: Posted) -> Response:
    """For admins: what can be read today and matches no rule is gone afterwards."""
    ids, more, why, back = _chosen(services, form)
    found = look_again(
        services.database,
        ids,
        services.current_detector.detector,
        services.settings.max_event_bytes,
        why=why,
        who=who,
        at=services.clock(),
    )
    if found.matched > found.suppressed:
        services.live.changed()
    if not found.looked_at:
        return see_other(request, back, Notice("warning", "There was nothing to try again."))
    told = f"Of {found.looked_at:,}, {in_words(found)}."
    if len(ids) == 1:
        told = f"Tried again: {_single(found.became, found.unmatched)}."
    elif more or found.looked_at < len(ids):
        told += " There are more; try again for those."
    kind = "warning" if found.unreadable == found.looked_at else "done"
    return see_other(request, back, Notice(kind, told))


def _single(became: int, unmatched: int) -> str:
    if became:
        return "it matches a rule now, and left the quarantine"
    if unmatched:
        return "it can be read and matches no rule, so it left the quarantine and is not kept"
    return "it still cannot be read, and stays"


@router.post(PATH + "/delete")
def delete(request: Request, who: Admin, services: Parts, form: Posted) -> Response:
    ids, more, why, back = _chosen(services, form)
    gone = actions.discard(services.database, ids, why=why, who=who, at=services.clock())
    if not gone:
        return see_other(request, back, Notice("warning", "There was nothing to delete."))
    told = "One event was deleted." if gone == 1 else f"{gone:,} events were deleted."
    more_told = " There are more; delete again for those." if more else ""
    return see_other(request, PATH if form["id"] else back, Notice("done", told + more_told))


def _chosen(services: Services, form: Form) -> tuple[tuple[int, ...], bool, str, str]:
    """The ids a form is about, whether there are more, how they were chosen, and where to go back.

    It names one event, or everything that fits the filter and was there when the page was made.
    """
    form.only("id", "key", "reason", "up_to")
    if form["id"]:
        one = urls.number(form["id"])
        if one is None:
            raise Invalid({"id": "“id” is the number of an event in quarantine."})
        return (one,), False, "chosen by itself", PATH
    wanted = _wanted(form.__getitem__)
    if wanted.up_to is None:
        raise Invalid({"up_to": "Say which events: “id”, or “up_to” with a filter."})
    with services.database.read() as session:
        found = quarantine.search(session, wanted, AT_ONCE)
        names = keys.names(session, [wanted.key_id] if wanted.key_id is not None else [])
    agent = names.get(wanted.key_id or 0, "every agent")
    why = f"agent {agent}" + (f", reason with “{wanted.reason}”" if wanted.reason else "")
    return found.ids, found.before is not None, why, urls.href(PATH, _view(wanted))


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
