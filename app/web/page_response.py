"""Responses of pages: full pages, template blocks for htmx, redirects, and notices in a signed cookie."""

import base64
import json
from dataclasses import asdict
from typing import Any

from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.domain.alert import Status
from app.domain.principal import Principal, Role
from app.store import alerts, exclusions
from app.store.alerts import AlertFilter
from app.store.database import Session
from app.web.access import csrf_token, is_valid_signature, session_token, sign
from app.web.page_frame import NavItem, Notice, PageFrame
from app.web.rendering import requested_block
from app.web.services import Services, get_services

_NOTICE_COOKIE = "deckwatch_notice"
_NOTICE_PURPOSE = "notice"
THEME_COOKIE = "deckwatch_theme"
THEMES = ("auto", "light", "dark")
# Each key is the path of a page that has no navigation item. The value is the path of the parent page. The
# navigation highlights the item of the parent page.
_PARENT_PATHS = {"/explain": "/rules", "/quarantine": "/agents"}


def render_page(
    request: Request,
    principal: Principal,
    template: str,
    context: Any,
    *,
    title: str,
    status: int = 200,
    is_live: bool = False,
    notice: Notice | None = None,
) -> HTMLResponse:
    """Render a page. `context` is the dataclass that `template` shows.

    htmx can request new content for one element of the page. If the template has a block whose name is the id
    of this element, the response contains only this block.
    """
    services = get_services(request)
    values = {
        "page": context,
        "frame": _page_frame(
            request,
            services,
            principal,
            title=title,
            is_live=is_live,
            notice=notice or _read_notice(request),
        ),
    }
    block = requested_block(request)
    now = services.clock()
    if block is not None and services.renderer.has_block(template, block):
        html = services.renderer.render_block(template, block, values, now=now)
    else:
        html = services.renderer.render_template(template, values, now=now)
    response = HTMLResponse(html, status, headers={"Vary": "HX-Request, HX-Target"})
    if _NOTICE_COOKIE in request.cookies:
        response.delete_cookie(_NOTICE_COOKIE, path="/")
    return response


def _page_frame(
    request: Request,
    services: Services,
    principal: Principal,
    *,
    title: str,
    is_live: bool,
    notice: Notice | None,
) -> PageFrame:
    with services.database.read() as session:
        open_alerts, pending_exclusions = _badge_counts(session)
    path = request.url.path
    return PageFrame(
        title=title,
        user_name=principal.name,
        role=principal.role,
        csrf_token=csrf_token(services, session_token(request) or ""),
        theme=theme_from_cookie(request),
        current_url=path + (f"?{request.url.query}" if request.url.query else ""),
        nav_items=_nav_items(_nav_path(path), principal, open_alerts, pending_exclusions),
        notice=notice,
        is_live=is_live,
    )


def _nav_path(path: str) -> str:
    """Return `path`, or the path of the parent page if the page has no navigation item."""
    first_segment = "/" + path.split("/")[1]
    return _PARENT_PATHS.get(first_segment, path)


def _badge_counts(session: Session) -> tuple[int, int]:
    open_alerts = alerts.count(session, AlertFilter(status=Status.OPEN))
    return open_alerts, exclusions.count_waiting(session)


def _nav_items(
    path: str, principal: Principal, open_alerts: int, pending_exclusions: int
) -> tuple[NavItem, ...]:
    items = [
        ("Overview", "/", "layout-dashboard", None, False, ""),
        ("Alerts", "/alerts", "alert-triangle", open_alerts, True, "open"),
        ("Exclusions", "/exclusions", "eye-off", pending_exclusions, False, "to review"),
        ("Rules", "/rules", "shield-check", None, False, ""),
        ("Agents", "/agents", "server-2", None, False, ""),
    ]
    if principal.has_role(Role.ADMIN):
        items += [
            ("Users", "/users", "users", None, False, ""),
            ("Audit log", "/audit", "clipboard-list", None, False, ""),
        ]
    return tuple(
        NavItem(
            label=label,
            href=href,
            icon=icon,
            is_current=path == href or (href != "/" and path.startswith(href + "/")),
            badge=badge or None,
            is_urgent=is_urgent,
            badge_label=badge_label,
        )
        for label, href, icon, badge, is_urgent, badge_label in items
    )


def theme_from_cookie(request: Request) -> str:
    theme = request.cookies.get(THEME_COOKIE, "auto")
    return theme if theme in THEMES else "auto"


def see_other(request: Request, href: str, notice: Notice | None = None) -> Response:
    """Redirect to `href` after a form post. A signed cookie passes the notice to the next page."""
    response = RedirectResponse(href, status_code=303)
    if notice is not None:
        services = get_services(request)
        encoded = base64.urlsafe_b64encode(json.dumps(asdict(notice)).encode()).decode()
        response.set_cookie(
            _NOTICE_COOKIE,
            f"{encoded}.{sign(services, _NOTICE_PURPOSE, encoded)}",
            max_age=60,
            httponly=True,
            samesite="strict",
            secure=services.settings.uses_https,
            path="/",
        )
    return response


def _read_notice(request: Request) -> Notice | None:
    encoded, _, signature = request.cookies.get(_NOTICE_COOKIE, "").partition(".")
    services = get_services(request)
    if not encoded or not is_valid_signature(services, _NOTICE_PURPOSE, encoded, signature):
        return None
    return Notice(**json.loads(base64.urlsafe_b64decode(encoded)))
