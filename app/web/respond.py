"""A page's context to a response: its shell, the whole page or the asked-for block, and notices."""

import base64
import hashlib
import hmac
import json
from dataclasses import asdict
from typing import Any

from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.domain.alert import Status
from app.domain.roles import Principal, Role
from app.store import alerts, exclusions
from app.store.alerts import AlertFilter
from app.store.database import Session
from app.web.access import form_token, session_token
from app.web.rendering import wanted_block
from app.web.services import Services, services_of
from app.web.shell import NavItem, Notice, Shell

_NOTICE_COOKIE = "deckwatch_notice"
THEME_COOKIE = "deckwatch_theme"
THEMES = ("auto", "light", "dark")
# A page that the menu has no entry for stands under another.
_ABOVE = {"/explain": "/rules", "/quarantine": "/agents"}


def page(
    request: Request,
    who: Principal,
    template: str,
    context: Any,
    *,
    title: str,
    status: int = 200,
    live: bool = False,
    notice: Notice | None = None,
) -> HTMLResponse:
    """`context` is the page's dataclass; htmx gets the block that bears its target's id, if there is one."""
    services = services_of(request)
    told = notice or _read_notice(request)
    values = {
        "page": context,
        "shell": _shell(request, services, who, title=title, live=live, notice=told),
    }
    block = wanted_block(request)
    now = services.clock()
    if block is not None and services.renderer.has_block(template, block):
        html = services.renderer.block(template, block, values, now=now)
    else:
        html = services.renderer.page(template, values, now=now)
    response = HTMLResponse(html, status, headers={"Vary": "HX-Request, HX-Target"})
    if _NOTICE_COOKIE in request.cookies:
        response.delete_cookie(_NOTICE_COOKIE, path="/")
    return response


def _shell(
    request: Request,
    services: Services,
    who: Principal,
    *,
    title: str,
    live: bool,
    notice: Notice | None,
) -> Shell:
    with services.database.read() as session:
        open_alerts, waiting = _badges(session)
    path = request.url.path
    return Shell(
        title=title,
        user=who.name,
        role=who.role,
        csrf=form_token(services, session_token(request) or ""),
        theme=theme_of(request),
        path=path + (f"?{request.url.query}" if request.url.query else ""),
        nav=_nav(_menu_entry(path), who, open_alerts, waiting),
        notice=notice,
        live=live,
    )


def _menu_entry(path: str) -> str:
    first = "/" + path.split("/")[1]
    return _ABOVE.get(first, path)


def _badges(session: Session) -> tuple[int, int]:
    open_alerts = alerts.count(session, AlertFilter(status=Status.OPEN))
    return open_alerts, exclusions.waiting_count(session)


def _nav(path: str, who: Principal, open_alerts: int, waiting: int) -> tuple[NavItem, ...]:
    items = [
        ("Overview", "/", "layout-dashboard", None, False, ""),
        ("Alerts", "/alerts", "alert-triangle", open_alerts, True, "open"),
        ("Exclusions", "/exclusions", "eye-off", waiting, False, "to review"),
        ("Rules", "/rules", "shield-check", None, False, ""),
        ("Agents", "/agents", "server-2", None, False, ""),
    ]
    if who.may(Role.ADMIN):
        items += [
            ("People", "/users", "users", None, False, ""),
            ("Audit log", "/audit", "clipboard-list", None, False, ""),
        ]
    return tuple(
        NavItem(
            label=label,
            href=href,
            icon=icon,
            current=path == href or (href != "/" and path.startswith(href + "/")),
            badge=badge or None,
            alarming=alarming,
            badge_label=badge_label,
        )
        for label, href, icon, badge, alarming, badge_label in items
    )


def theme_of(request: Request) -> str:
    chosen = request.cookies.get(THEME_COOKIE, "auto")
    return chosen if chosen in THEMES else "auto"


def see_other(request: Request, href: str, notice: Notice | None = None) -> Response:
    """Answer a form: go and look there. The notice travels in a signed cookie and is shown once."""
    response = RedirectResponse(href, status_code=303)
    if notice is not None:
        services = services_of(request)
        packed = base64.urlsafe_b64encode(json.dumps(asdict(notice)).encode()).decode()
        response.set_cookie(
            _NOTICE_COOKIE,
            f"{packed}.{_sign(services, packed)}",
            max_age=60,
            httponly=True,
            samesite="strict",
            secure=services.settings.https,
            path="/",
        )
    return response


def _read_notice(request: Request) -> Notice | None:
    packed, _, signature = request.cookies.get(_NOTICE_COOKIE, "").partition(".")
    wanted = _sign(services_of(request), packed)
    if not packed or not hmac.compare_digest(signature.encode(), wanted.encode()):
        return None
    return Notice(**json.loads(base64.urlsafe_b64decode(packed)))


def _sign(services: Services, text: str) -> str:
    return hmac.new(services.secret, b"notice:" + text.encode(), hashlib.sha256).hexdigest()
