"""One alert: reading it, moving it, assigning it, commenting, ticking its guide, its raw events."""

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import alerts as actions
from app.domain.alert import Move
from app.domain.errors import Conflict, Invalid, NotFound
from app.domain.guide import Step
from app.domain.roles import Principal
from app.store import alerts, matches
from app.store.tables import Alert
from app.web.access import Analyst
from app.web.forms import Form, Posted
from app.web.pages.alert_case import Typed, case
from app.web.pages.alert_context import ClosingForm
from app.web.pages.alerts import PATH
from app.web.pages.guide import part_named, title_of
from app.web.respond import page, see_other
from app.web.services import Parts, Services
from app.web.shell import Notice
from app.web.urls import RowId

router = APIRouter()


@router.get(PATH + "/{alert_id}")
def show(request: Request, alert_id: RowId, who: Analyst, services: Parts) -> Response:
    return _page(request, who, services, alert_id, Typed())


def _page(
    request: Request,
    who: Principal,
    services: Services,
    alert_id: int,
    typed: Typed,
    status: int = 200,
) -> Response:
    with services.database.read() as session:
        alert = alerts.get(session, alert_id)
        if alert is None:
            raise NotFound(f"There is no alert {alert_id}.")
        context = case(session, services, alert, request.query_params, typed)
    title = f"#{alert_id} {context.headline}"
    return page(request, who, "pages/alert.html", context, title=title, status=status)


@router.post(PATH + "/{alert_id}/status")
def change_status(
    request: Request, alert_id: RowId, who: Analyst, services: Parts, form: Posted
) -> Response:
    form.only("move", "version", "verdict", "reason")
    wanted = next((move for move in Move if move == form["move"]), None)
    if wanted is None:
        raise Invalid({"move": "Say what to do: " + ", ".join(Move) + "."})
    typed = ClosingForm(form["verdict"], form["reason"])
    closing = wanted is Move.CLOSE

    def act() -> Alert:
        return actions.change(
            services.database,
            alert_id,
            [actions.StatusChange(wanted, form["verdict"], form["reason"])],
            who=who,
            at=services.clock(),
            version=form.number("version"),
        )

    try:
        alert = act()
    except Invalid as error:
        problems = tuple(error.fields.items())
        refused = Typed(ClosingForm(typed.verdict, typed.reason, problems), closing_open=closing)
        return _page(request, who, services, alert_id, refused, 422)
    except Conflict as error:
        refused = Typed(typed, closing_open=closing, conflict=str(error))
        return _page(request, who, services, alert_id, refused, 409)
    return _moved(request, services, alert, wanted)


_DONE = {Move.ACKNOWLEDGE: "Acknowledged.", Move.CLOSE: "Closed.", Move.REOPEN: "Reopened."}


def _moved(request: Request, services: Services, alert: Alert, wanted: Move) -> Response:
    here = f"{PATH}/{alert.id}"
    undo = {"move": str(Move.REOPEN), "version": str(alert.version)}
    undoable = wanted is not Move.REOPEN
    return see_other(
        request,
        here,
        Notice(
            "done",
            _DONE[wanted],
            undo_action=f"{here}/status" if undoable else None,
            undo_fields=undo if undoable else {},
        ),
    )


@router.post(PATH + "/{alert_id}/assignee")
def assign(
    request: Request, alert_id: RowId, who: Analyst, services: Parts, form: Posted
) -> Response:
    form.only("assignee", "version")
    name = form["assignee"]

    def act() -> None:
        actions.change(
            services.database,
            alert_id,
            [actions.Assignment(name or None)],
            who=who,
            at=services.clock(),
            version=form.number("version"),
        )

    done = Notice("done", f"Assigned to {name}." if name else "Assigned to nobody.")
    return _or_conflict(request, who, services, alert_id, act, done)


@router.post(PATH + "/{alert_id}/comments")
def comment(
    request: Request, alert_id: RowId, who: Analyst, services: Parts, form: Posted
) -> Response:
    form.only("comment", "version")
    try:
        actions.comment(services.database, alert_id, form["comment"], who=who, at=services.clock())
    except Invalid as error:
        refused = Typed(comment=form["comment"], comment_problem=str(error))
        return _page(request, who, services, alert_id, refused, 422)
    return see_other(request, f"{PATH}/{alert_id}", Notice("done", "Comment added."))


def _or_conflict(
    request: Request,
    who: Principal,
    services: Services,
    alert_id: int,
    act: Callable[[], None],
    done: Notice,
) -> Response:
    try:
        act()
    except (Conflict, Invalid) as error:
        status = 409 if isinstance(error, Conflict) else 422
        return _page(request, who, services, alert_id, Typed(conflict=str(error)), status)
    return see_other(request, f"{PATH}/{alert_id}", done)


@router.post(PATH + "/{alert_id}/guide/{step_key}")
def tick(
    request: Request,
    alert_id: RowId,
    step_key: str,
    who: Analyst,
    services: Parts,
    form: Posted,
) -> Response:
    form.only("part", "done")
    part = part_named(form["part"])
    step = _step(services, alert_id, str(part), step_key)
    actions.tick(
        services.database,
        alert_id,
        str(part),
        step_key,
        done=_yes(form),
        step_title=title_of(step.markdown),
        who=who,
        at=services.clock(),
    )
    return see_other(request, f"{PATH}/{alert_id}?guide={part}#guide")


def _yes(form: Form) -> bool:
    if form["done"] not in ("yes", "no"):
        raise Invalid({"done": "Say yes or no."})
    return form["done"] == "yes"


def _step(services: Services, alert_id: int, part: str, step_key: str) -> Step:
    with services.database.read() as session:
        alert = alerts.get(session, alert_id)
    rule = services.rule(alert.rule_id) if alert else None
    for one in rule.guide.parts if rule else ():
        for step in one.steps:
            if one.name == part and step.key == step_key:
                return step
    raise NotFound("This step is not in the alert's guide, or not any more.")


@router.get("/matches/{match_id}/event.json")
def raw_event(match_id: RowId, who: Analyst, services: Parts) -> Response:
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
