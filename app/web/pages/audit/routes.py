"""The audit log: who did what to access, keys, exclusions and rules, newest first."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.text import escape_unstorable
from app.store import audit
from app.store.audit import AuditFilter
from app.store.tables import AuditEntry
from app.web import urls
from app.web.access import Admin
from app.web.page_response import render_page
from app.web.services import ServicesDep

AUDIT_PATH = "/audit"
PAGE_SIZE = 50
router = APIRouter()


@dataclass(frozen=True, slots=True)
class AuditRow:
    at: datetime
    actor: str
    action: str
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
    actor: str
    action: str
    hidden_inputs: tuple[tuple[str, str], ...] = ()


@router.get(AUDIT_PATH)
def show(request: Request, principal: Admin, services: ServicesDep) -> Response:
    query = {name: value for name, value in request.query_params.items() if value}
    audit_filter = AuditFilter(
        actor=escape_unstorable(query.get("who", "").strip()),
        # Longer than any action; SQLite refuses to look for patterns of 50,000 characters.
        action=escape_unstorable(query.get("what", "").strip()[:100]),
        before=urls.parse_row_id(query.get("before", "")),
    )
    with services.database.read() as session:
        found = audit.search(session, audit_filter, PAGE_SIZE + 1)
    rows = found[:PAGE_SIZE]
    view = {name: value for name, value in query.items() if name in ("who", "what")}
    older = rows[-1].id if len(found) > PAGE_SIZE else None
    context = AuditPage(
        rows=tuple(_row(entry) for entry in rows),
        first_href=urls.href(AUDIT_PATH, view) if audit_filter.before else None,
        older_href=urls.href(AUDIT_PATH, view, before=older) if older else None,
        actor=audit_filter.actor,
        action=AUDIT_PATH,
    )
    return render_page(request, principal, "pages/audit.html", context, title="Audit log")


_SUBJECT_HREFS = {"exclusion": "/exclusions/{}", "rule": "/rules/{}"}


def _row(entry: AuditEntry) -> AuditRow:
    kind, _, name = entry.subject.partition(" ")
    return AuditRow(
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        subject_href=_SUBJECT_HREFS[kind].format(name) if kind in _SUBJECT_HREFS else None,
        detail=entry.detail,
        address=entry.address,
    )
