"""The audit log: who did what to access, keys, exclusions and rules, newest first."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.text import storable
from app.store import audit
from app.store.audit import AuditFilter
from app.store.tables import AuditEntry
from app.web import urls
from app.web.access import Admin
from app.web.respond import page
from app.web.services import Parts

PATH = "/audit"
PAGE_SIZE = 50
router = APIRouter()


@dataclass(frozen=True, slots=True)
class AuditRow:
    at: datetime
    who: str
    what: str
    subject: str
    subject_href: str | None
    detail: str
    address: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Block `list`."""

    rows: tuple[AuditRow, ...]
    first_href: str | None
    older_href: str | None
    who: str
    action: str
    hidden: tuple[tuple[str, str], ...] = ()


@router.get(PATH)
def show(request: Request, who: Admin, services: Parts) -> Response:
    query = {name: value for name, value in request.query_params.items() if value}
    wanted = AuditFilter(
        actor=storable(query.get("who", "").strip()),
        # Longer than any action; SQLite refuses to look for patterns of 50,000 characters.
        action=storable(query.get("what", "").strip()[:100]),
        before=urls.number(query.get("before", "")),
    )
    with services.database.read() as session:
        found = audit.search(session, wanted, PAGE_SIZE + 1)
    rows = found[:PAGE_SIZE]
    view = {name: value for name, value in query.items() if name in ("who", "what")}
    older = rows[-1].id if len(found) > PAGE_SIZE else None
    context = AuditPage(
        rows=tuple(_row(entry) for entry in rows),
        first_href=urls.href(PATH, view) if wanted.before else None,
        older_href=urls.href(PATH, view, before=older) if older else None,
        who=wanted.actor,
        action=PATH,
    )
    return page(request, who, "pages/audit.html", context, title="Audit log")


_LINKS = {"exclusion": "/exclusions/{}", "rule": "/rules/{}"}


def _row(entry: AuditEntry) -> AuditRow:
    kind, _, name = entry.subject.partition(" ")
    return AuditRow(
        at=entry.at,
        who=entry.actor,
        what=entry.action,
        subject=entry.subject,
        subject_href=_LINKS[kind].format(name) if kind in _LINKS else None,
        detail=entry.detail,
        address=entry.address,
    )
