"""Writing an exclusion, from nothing, from an alert, or over an earlier version."""

from datetime import timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import exclusions as actions
from app.domain.alert import Status
from app.domain.errors import Conflict, Invalid, NotFound
from app.domain.exclusion import (
    FIELDS,
    Operator,
    field_named,
)
from app.domain.roles import Principal, Role
from app.domain.text import hides, visible
from app.store import exclusions
from app.store.exclusions import State, Whole
from app.web import urls
from app.web.access import Analyst
from app.web.forms import Posted
from app.web.pages.exclusion_form_context import ConditionRow, ExclusionFormPage
from app.web.pages.exclusion_origin import (
    Origin,
    changes,
    covers,
    first_rows,
    origin_of,
    suggestions,
)
from app.web.pages.exclusion_typed import Row, Typed, day_of, typed_into
from app.web.pages.exclusions import PATH
from app.web.respond import page, see_other
from app.web.services import Parts, Services
from app.web.shell import Notice, Option
from app.web.urls import RowId

router = APIRouter()
USUAL_DAYS = 30
# What a new exclusion from an alert starts with, as far as the event has it: where, as whom, where to.
USUAL_FIELDS = (
    "container.image.name",
    "orchestrator.namespace",
    "user.name",
    "process.name",
    "ssh.destination",
)


@router.get(PATH + "/new")
def new(request: Request, who: Analyst, services: Parts) -> Response:
    query = request.query_params
    asked = query.get("alert", "")
    if asked and urls.number(asked) is None:
        raise NotFound("There is no such alert.")
    origin = origin_of(services, urls.number(asked), None)
    fields = query.get("fields", "").replace(",", " ").split() or list(USUAL_FIELDS)
    longest = services.settings.exclusion_longest
    end = services.clock() + min(timedelta(days=USUAL_DAYS), longest)
    typed = Typed(
        rows=first_rows(origin, fields),
        rule_id=origin.alert.rule_id if origin.alert else "",
        reason="",
        owner=who.name,
        ends_at=end.date().isoformat(),
        close_alert=True,
    )
    return _form(request, who, services, origin, typed)


@router.get(PATH + "/{exclusion_id}/edit")
def edit(request: Request, exclusion_id: RowId, who: Analyst, services: Parts) -> Response:
    origin = origin_of(services, None, exclusion_id)
    whole = _editable(origin, services)
    version = whole.newest
    typed = Typed(
        rows=tuple(
            Row(c.field, str(c.operator), "\n".join(c.values))
            for c in exclusions.conditions_of(version)
        ),
        rule_id=whole.record.rule_id,
        reason=version.reason,
        owner=version.owner,
        ends_at=day_of(version.ends_at),
        close_alert=False,
    )
    return _form(request, who, services, origin, typed, base_version=version.version)


def _editable(origin: Origin, services: Services) -> Whole:
    if origin.whole is None:
        raise NotFound("There is no such exclusion.")
    if origin.whole.state(services.clock()) is State.ENDED:
        raise Conflict("This exclusion has ended; write a new one instead.")
    return origin.whole


@router.post(PATH)
def create(request: Request, who: Analyst, services: Parts, form: Posted) -> Response:
    typed = typed_into(form)
    origin = origin_of(services, form.number("alert"), None)
    if not form["submit"] and (form["add"] or form["remove"]):
        return _form(request, who, services, origin, typed)
    try:
        wanted = _checked(services, typed, origin)
        proposal = actions.propose(
            services.database,
            wanted,
            close_alert=typed.close_alert,
            who=who,
            at=services.clock(),
        )
    except Invalid as error:
        return _form(request, who, services, origin, typed, problems=error.fields)
    href = f"{PATH}/{proposal.exclusion.record.id}"
    return see_other(request, href, _proposal_notice(services, proposal))


def _checked(services: Services, typed: Typed, origin: Origin) -> actions.Checked:
    return actions.checked(
        typed.draft(origin.alert),
        at=services.clock(),
        longest=services.settings.exclusion_longest,
        rule_ids=[rule.id for rule in services.rules.rules],
    )


def _proposal_notice(services: Services, proposal: actions.Proposal) -> Notice:
    if proposal.exclusion.state(services.clock()) is not State.LIVE:
        return Notice("done", "Proposed. It hides nothing until an admin approves it.")
    text = "Live: matches that it covers are listed here and raise no alert."
    if proposal.closed_alert is not None:
        text += f" Alert #{proposal.closed_alert} was closed as a false positive."
    return Notice("done", text)


@router.post(PATH + "/{exclusion_id}/edit")
def save(
    request: Request, exclusion_id: RowId, who: Analyst, services: Parts, form: Posted
) -> Response:
    typed = typed_into(form)
    origin = origin_of(services, None, exclusion_id)
    _editable(origin, services)
    base = form.number("base_version")
    if not form["submit"] and (form["add"] or form["remove"]):
        return _form(request, who, services, origin, typed, base_version=base)
    try:
        wanted = _checked(services, typed, origin)
        whole = actions.edit(
            services.database,
            exclusion_id,
            wanted,
            base_version=base,
            who=who,
            at=services.clock(),
        )
    except Invalid as error:
        problems = error.fields
        return _form(request, who, services, origin, typed, base_version=base, problems=problems)
    except Conflict as error:
        return _form(request, who, services, origin, typed, base_version=base, conflict=str(error))
    live = whole.waiting is None
    told = f"Version {whole.record.newest_version} " + (
        "is live." if live else "waits for an admin; until then the one before stays in force."
    )
    return see_other(request, f"{PATH}/{exclusion_id}", Notice("done", told))


def _form(
    request: Request,
    who: Principal,
    services: Services,
    origin: Origin,
    typed: Typed,
    *,
    base_version: int | None = None,
    problems: dict[str, str] | None = None,
    conflict: str | None = None,
) -> Response:
    refused, problems = bool(problems), problems or {}
    alert, whole = origin.alert, origin.whole
    now = services.clock()
    admin = who.may(Role.ADMIN)
    changed: tuple[tuple[str, str], ...] = ()
    if conflict and whole is not None:
        changed = changes(whole, base_version)
        # Saving again, now knowing what changed, is meant.
        base_version = whole.record.newest_version
    rule_id = whole.record.rule_id if whole else alert.rule_id if alert else None
    if rule_id is not None and services.rule(rule_id) is None:
        problems = problems | {"rule": "It is not loaded any more, so no event can match it."}
    context = ExclusionFormPage(
        heading=f"Edit exclusion {whole.record.id}" if whole else "New exclusion",
        action=f"{PATH}/{whole.record.id}/edit" if whole else PATH,
        cancel_href=_back(origin),
        submit_label="Save and make live" if admin else "Propose",
        approval_note=""
        if admin
        else "An admin approves it before it hides anything; you may keep working meanwhile.",
        alert=alert.id if alert and whole is None else None,
        alert_href=f"/alerts/{alert.id}" if alert else None,
        base_version=base_version,
        rules=tuple(
            Option(rule.id, rule.name, rule.id == typed.rule_id) for rule in services.rules.rules
        ),
        rule_locked=rule_id is not None,
        rows=tuple(_row(number, row, problems) for number, row in enumerate(typed.rows)),
        suggestions=suggestions(origin.event, typed),
        conditions_problem=problems.get("conditions"),
        reason=typed.reason,
        reason_problem=problems.get("reason"),
        owner=typed.owner,
        owner_problem=problems.get("owner"),
        ends_at=typed.ends_at,
        ends_at_problem=problems.get("ends_at"),
        ends_at_max=(now + services.settings.exclusion_longest).date().isoformat(),
        ends_at_min=now.date().isoformat(),
        rule_problem=problems.get("rule"),
        can_close_alert=bool(admin and alert and not whole and alert.status != Status.CLOSED),
        close_alert=typed.close_alert,
        covers_alert=covers(origin, typed),
        conflict=conflict,
        changed=changed,
        now=now,
    )
    status = 409 if conflict else 422 if refused else 200
    template = "pages/exclusion_form.html"
    return page(request, who, template, context, title=context.heading, status=status)


def _back(origin: Origin) -> str:
    if origin.whole is not None:
        return f"{PATH}/{origin.whole.record.id}"
    return f"/alerts/{origin.alert.id}" if origin.alert else PATH


def _row(number: int, row: Row, problems: dict[str, str]) -> ConditionRow:
    known = field_named(row.field)
    names = {name: field.label for name, field in FIELDS.items()}
    if row.field not in names and row.field:
        names[row.field] = known.label if known else visible(row.field)
    return ConditionRow(
        number=number,
        fields=tuple(Option(name, label, name == row.field) for name, label in names.items()),
        operators=tuple(Option(str(o), str(o), o == row.operator) for o in Operator),
        values=row.values,
        problem=problems.get(f"conditions.{number}"),
        caution=known.caution if known else None,
        unseen=tuple(line for line in row.values.split("\n") if hides(line)),
    )
