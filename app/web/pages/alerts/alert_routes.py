"""One alert: reading it, moving it, assigning it, commenting, ticking its guide, its raw events."""

from collections.abc import Callable

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
from app.web.pages.alerts.alert_context import CloseForm
from app.web.pages.alerts.alert_page import FormInput, build_alert_page
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
    title = f"#{alert_id} {context.headline}"
    return render_page(request, principal, "pages/alert.html", context, title=title, status=status)


@router.post(ALERTS_PATH + "/{alert_id}/status")
def change_status(
    request: Request, alert_id: RowId, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("move", "version", "verdict", "reason")
    requested_move = next((move for move in AlertAction if move == form["move"]), None)
    if requested_move is None:
        raise InvalidInput({"move": "Say what to do: " + ", ".join(AlertAction) + "."})
    form_input = CloseForm(form["verdict"], form["reason"])
    closing = requested_move is AlertAction.CLOSE

    def run() -> Alert:
        return actions.change(
            services.database,
            alert_id,
            [actions.StatusChange(requested_move, form["verdict"], form["reason"])],
            principal=principal,
            at=services.clock(),
            version=form.get_int("version"),
        )

    try:
        alert = run()
    except InvalidInput as error:
        errors = tuple(error.fields.items())
        rejected_input = FormInput(
            CloseForm(form_input.verdict, form_input.reason, errors), close_form_open=closing
        )
        return _render(request, principal, services, alert_id, rejected_input, 422)
    except Conflict as error:
        rejected_input = FormInput(form_input, close_form_open=closing, conflict=str(error))
        return _render(request, principal, services, alert_id, rejected_input, 409)
    return _status_changed(request, services, alert, requested_move)


_STATUS_NOTICES = {
    AlertAction.ACKNOWLEDGE: "Acknowledged.",
    AlertAction.CLOSE: "Closed.",
    AlertAction.REOPEN: "Reopened.",
}


def _status_changed(
    request: Request, services: Services, alert: Alert, requested_move: AlertAction
) -> Response:
    here = f"{ALERTS_PATH}/{alert.id}"
    undo = {"move": str(AlertAction.REOPEN), "version": str(alert.version)}
    undoable = requested_move is not AlertAction.REOPEN
    return see_other(
        request,
        here,
        Notice(
            "done",
            _STATUS_NOTICES[requested_move],
            undo_action=f"{here}/status" if undoable else None,
            undo_fields=undo if undoable else {},
        ),
    )


@router.post(ALERTS_PATH + "/{alert_id}/assignee")
def assign(
    request: Request, alert_id: RowId, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form.allow_fields("assignee", "version")
    name = form["assignee"]

    def run() -> None:
        actions.change(
            services.database,
            alert_id,
            [actions.Assignment(name or None)],
            principal=principal,
            at=services.clock(),
            version=form.get_int("version"),
        )

    done = Notice("done", f"Assigned to {name}." if name else "Assigned to nobody.")
    return _redirect_or_conflict(request, principal, services, alert_id, run, done)


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
        rejected_input = FormInput(comment=form["comment"], comment_error=str(error))
        return _render(request, principal, services, alert_id, rejected_input, 422)
    return see_other(request, f"{ALERTS_PATH}/{alert_id}", Notice("done", "Comment added."))


def _redirect_or_conflict(
    request: Request,
    principal: Principal,
    services: Services,
    alert_id: int,
    run: Callable[[], None],
    done: Notice,
) -> Response:
    try:
        run()
    except (Conflict, InvalidInput) as error:
        status = 409 if isinstance(error, Conflict) else 422
        return _render(
            request, principal, services, alert_id, FormInput(conflict=str(error)), status
        )
    return see_other(request, f"{ALERTS_PATH}/{alert_id}", done)


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
        raise InvalidInput({"done": "Say yes or no."})
    return form["done"] == "yes"


def _find_step(services: Services, alert_id: int, part: str, step_key: str) -> GuideStep:
    with services.database.read() as session:
        alert = alerts.get(session, alert_id)
    rule = services.find_rule(alert.rule_id) if alert else None
    for one in rule.guide.parts if rule else ():
        for step in one.steps:
            if one.name == part and step.key == step_key:
                return step
    raise NotFound("This step is not in the alert's guide, or not any more.")


@router.get("/matches/{match_id}/event.json")
def raw_event(match_id: RowId, principal: Analyst, services: ServicesDep) -> Response:
    """The event as its agent wrote it, byte for byte, to look at or to keep."""
    with services.database.read() as session:
        match = matches.get(session, match_id)
    if match is None:
        raise NotFound(f"There is no match {match_id}.")
    return Response(
        match.event,
        media_type="application/json",
        headers={"Content-Disposition": f'inline; filename="match-{match_id}.json"'},
    )
