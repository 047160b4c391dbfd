"""Audit log page: the recorded changes with their actors, newest first."""

from dataclasses import dataclass

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
_SUBJECT_HREFS = {"exclusion": "/exclusions/{}", "rule": "/rules/{}"}
router = APIRouter()


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry of the audit log; `subject_href` is None if the changed object has no page."""

    entry: AuditEntry
    subject_href: str | None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Context of audit.html; its block is `list`."""

    rows: tuple[AuditRow, ...]
    first_href: str | None
    older_href: str | None
    actor: str
    action: str


@router.get(AUDIT_PATH)
def show(request: Request, principal: Admin, services: ServicesDep) -> Response:
    query = {name: value for name, value in request.query_params.items() if value}
    audit_filter = AuditFilter(
        actor=escape_unstorable(query.get("who", "").strip()),
        # The length is limited, because SQLite refuses LIKE patterns longer than 50,000 bytes. All names
        # of actions are shorter than 100 characters.
        action=escape_unstorable(query.get("what", "").strip()[:100]),
        before=urls.parse_row_id(query.get("before", "")),
    )
    with services.database.read() as session:
        entries = audit.search(session, audit_filter, PAGE_SIZE + 1)
    page_entries = entries[:PAGE_SIZE]
    view = {name: value for name, value in query.items() if name in ("who", "what")}
    before = page_entries[-1].id if len(entries) > PAGE_SIZE else None
    context = AuditPage(
        rows=tuple(AuditRow(entry, _subject_href(entry.subject)) for entry in page_entries),
        first_href=urls.href(AUDIT_PATH, view) if audit_filter.before else None,
        older_href=urls.href(AUDIT_PATH, view, before=before) if before else None,
        actor=audit_filter.actor,
        action=AUDIT_PATH,
    )
    return render_page(request, principal, "pages/audit.html", context, title="Audit log")


def _subject_href(subject: str) -> str | None:
    kind, _, name = subject.partition(" ")
    return _SUBJECT_HREFS[kind].format(name) if kind in _SUBJECT_HREFS else None
