"""Routes of one alert: status, assignee, comments, guide steps and raw events."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import alerts as actions
from app.domain.alert import AlertAction
from app.domain.errors import Conflict, InvalidInput, NotFound
from app.domain.guide import GuideStep
from app.domain.principal import Principal
from app.store import alerts, matches
from app.store.tables import Alert
from app.web.access import Analyst
from app.web.forms import Form, FormDep
from app.web.guide_view import parse_guide_part, step_title
from app.web.page_frame import Notice
from app.web.page_response import render_page, see_other
from app.web.pages.alerts.alert_context import FormInput
from app.web.pages.alerts.alert_page import build_alert_page
from app.web.paths import ALERTS_PATH
from app.web.services import Services, ServicesDep
from app.web.urls import RowId

router = APIRouter()


@router.get(ALERTS_PATH + "/{alert_id}")
def show(request: Request, alert_id: RowId, principal: Analyst, services: ServicesDep) -> Response:
    return _render(request, principal, services, alert_id, FormInput())


def _render(
    request: Request,
    principal: Principal,
    services: Services,
    alert_id: int,
    form_input: FormInput,
    status: int = 200,
) -> Response:
    with services.database.read() as session:
        alert = alerts.get(session, alert_id)
        if alert is None:
            raise NotFound(f"There is no alert {alert_id}.")
        context = build_alert_page(session, services, alert, request.query_params, form_input)
    title = f"#{alert_id} {alert.headline}"
    return render_page(request, principal, "pages/alert.html", context, title=title, status=status)


@router.post(ALERTS_PATH + "/{alert_id}/status")
def change_status(
    request: Request, alert_id: RowId, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("move", "version", "verdict", "reason")
    action = next((action for action in AlertAction if action == form["move"]), None)
    if action is None:
        raise InvalidInput({"move": "Choose an action: " + ", ".join(AlertAction) + "."})
    verdict, reason = form["verdict"], form["reason"]
    is_close = action is AlertAction.CLOSE
    try:
        alert = actions.change(
            services.database,
            alert_id,
            [actions.StatusChange(action, verdict, reason)],
            principal=principal,
            at=services.clock(),
            version=form.get_int("version"),
        )
    except InvalidInput as error:
        form_input = FormInput(verdict, reason, error.fields, close_form_open=is_close)
        return _render(request, principal, services, alert_id, form_input, 422)
    except Conflict as error:
        form_input = FormInput(verdict, reason, close_form_open=is_close, conflict=str(error))
        return _render(request, principal, services, alert_id, form_input, 409)
    return see_other(request, f"{ALERTS_PATH}/{alert_id}", _status_notice(alert, action))


def _status_notice(alert: Alert, action: AlertAction) -> Notice:
    text = f"Alert {action.past_tense}."
    if action is AlertAction.REOPEN:
        return Notice("done", text)
    return Notice(
        "done",
        text,
        undo_action=f"{ALERTS_PATH}/{alert.id}/status",
        undo_fields={"move": str(AlertAction.REOPEN), "version": str(alert.version)},
    )


@router.post(ALERTS_PATH + "/{alert_id}/assignee")
def assign(
    request: Request, alert_id: RowId, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("assignee", "version")
    name = form["assignee"]
    try:
        actions.change(
            services.database,
            alert_id,
            [actions.Assignment(name or None)],
            principal=principal,
            at=services.clock(),
            version=form.get_int("version"),
        )
    except (Conflict, InvalidInput) as error:
        status = 409 if isinstance(error, Conflict) else 422
        form_input = FormInput(conflict=str(error))
        return _render(request, principal, services, alert_id, form_input, status)
    notice = Notice("done", f"Assigned to {name}." if name else "Unassigned.")
    return see_other(request, f"{ALERTS_PATH}/{alert_id}", notice)


@router.post(ALERTS_PATH + "/{alert_id}/comments")
def comment(
    request: Request, alert_id: RowId, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("comment", "version")
    try:
        actions.comment(
            services.database, alert_id, form["comment"], principal=principal, at=services.clock()
        )
    except InvalidInput as error:
        form_input = FormInput(comment=form["comment"], comment_error=str(error))
        return _render(request, principal, services, alert_id, form_input, 422)
    return see_other(request, f"{ALERTS_PATH}/{alert_id}", Notice("done", "Comment added."))


@router.post(ALERTS_PATH + "/{alert_id}/guide/{step_key}")
def set_step_done(
    request: Request,
    alert_id: RowId,
    step_key: str,
    principal: Analyst,
    services: ServicesDep,
    form: FormDep,
) -> Response:
    form.allow_fields("part", "done")
    part = parse_guide_part(form["part"])
    step = _find_step(services, alert_id, str(part), step_key)
    actions.set_step_done(
        services.database,
        alert_id,
        str(part),
        step_key,
        done=_read_yes_no(form),
        step_title=step_title(step.markdown),
        principal=principal,
        at=services.clock(),
    )
    return see_other(request, f"{ALERTS_PATH}/{alert_id}?guide={part}#guide")


def _read_yes_no(form: Form) -> bool:
    if form["done"] not in ("yes", "no"):
        raise InvalidInput({"done": "Must be yes or no."})
    return form["done"] == "yes"


def _find_step(services: Services, alert_id: int, part_name: str, step_key: str) -> GuideStep:
    with services.database.read() as session:
        alert = alerts.get(session, alert_id)
    rule = services.find_rule(alert.rule_id) if alert else None
    for part in rule.guide.parts if rule else ():
        for step in part.steps:
            if part.name == part_name and step.key == step_key:
                return step
    raise NotFound("The guide of this alert has no such step.")


@router.get("/matches/{match_id}/event.json")
def raw_event(match_id: RowId, principal: Analyst, services: ServicesDep) -> Response:
    """Return the event of a match exactly as the agent sent it."""
    with services.database.read() as session:
        match = matches.get(session, match_id)
    if match is None:
        raise NotFound(f"There is no match {match_id}.")
    return Response(
        match.event,
        media_type="application/json",
        headers={"Content-Disposition": f'inline; filename="match-{match_id}.json"'},
    )
