"""Writing an exclusion, from nothing, from an alert, or over an earlier version."""

from datetime import timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import exclusions as actions
from app.domain.alert import Status
from app.domain.errors import Conflict, InvalidInput, NotFound
from app.domain.exclusion import (
    FIELDS,
    Operator,
    find_field,
)
from app.domain.principal import Principal, Role
from app.domain.text import escape_invisible, has_invisible
from app.store import exclusions
from app.store.exclusions import ExclusionHistory, State
from app.web import urls
from app.web.access import Analyst
from app.web.forms import FormDep
from app.web.page_frame import Notice, SelectOption
from app.web.page_response import render_page, see_other
from app.web.pages.exclusions.form_context import ConditionRow, ExclusionFormPage
from app.web.pages.exclusions.form_source import (
    FormSource,
    changes_since,
    covers_alert_event,
    initial_conditions,
    load_form_source,
    suggestions,
)
from app.web.pages.exclusions.forms import ConditionInput, FormInput, format_last_day, read_form
from app.web.paths import EXCLUSIONS_PATH
from app.web.services import Services, ServicesDep
from app.web.urls import RowId

router = APIRouter()
DEFAULT_DAYS = 30
# What a new exclusion from an alert starts with, as far as the event has it: where, as whom, where to.
DEFAULT_FIELDS = (
    "container.image.name",
    "orchestrator.namespace",
    "user.name",
    "process.name",
    "ssh.destination",
)


@router.get(EXCLUSIONS_PATH + "/new")
def new(request: Request, principal: Analyst, services: ServicesDep) -> Response:
    query = request.query_params
    asked = query.get("alert", "")
    if asked and urls.parse_row_id(asked) is None:
        raise NotFound("There is no such alert.")
    source = load_form_source(services, urls.parse_row_id(asked), None)
    fields = query.get("fields", "").replace(",", " ").split() or list(DEFAULT_FIELDS)
    longest = services.settings.exclusion_max_duration
    end = services.clock() + min(timedelta(days=DEFAULT_DAYS), longest)
    form_input = FormInput(
        rows=initial_conditions(source, fields),
        rule_id=source.alert.rule_id if source.alert else "",
        reason="",
        owner=principal.name,
        ends_at=end.date().isoformat(),
        close_alert=True,
    )
    return _render_form(request, principal, services, source, form_input)


@router.get(EXCLUSIONS_PATH + "/{exclusion_id}/edit")
def edit(
    request: Request, exclusion_id: RowId, principal: Analyst, services: ServicesDep
) -> Response:
    source = load_form_source(services, None, exclusion_id)
    history = _require_editable(source, services)
    version = history.newest
    form_input = FormInput(
        rows=tuple(
            ConditionInput(c.field, str(c.operator), "\n".join(c.values))
            for c in exclusions.conditions_of(version)
        ),
        rule_id=history.record.rule_id,
        reason=version.reason,
        owner=version.owner,
        ends_at=format_last_day(version.ends_at),
        close_alert=False,
    )
    return _render_form(
        request, principal, services, source, form_input, base_version=version.version
    )


def _require_editable(source: FormSource, services: Services) -> ExclusionHistory:
    if source.history is None:
        raise NotFound("There is no such exclusion.")
    if source.history.state(services.clock()) is State.ENDED:
        raise Conflict("This exclusion has ended; write a new one instead.")
    return source.history


@router.post(EXCLUSIONS_PATH)
def create(request: Request, principal: Analyst, services: ServicesDep, form: FormDep) -> Response:
    form_input = read_form(form)
    source = load_form_source(services, form.get_int("alert"), None)
    if not form["submit"] and (form["add"] or form["remove"]):
        return _render_form(request, principal, services, source, form_input)
    try:
        wanted = _validate(services, form_input, source)
        proposal = actions.propose(
            services.database,
            wanted,
            close_alert=form_input.close_alert,
            principal=principal,
            at=services.clock(),
        )
    except InvalidInput as error:
        return _render_form(request, principal, services, source, form_input, errors=error.fields)
    href = f"{EXCLUSIONS_PATH}/{proposal.exclusion.record.id}"
    return see_other(request, href, _proposal_notice(services, proposal))


def _validate(
    services: Services, form_input: FormInput, source: FormSource
) -> actions.ValidExclusion:
    return actions.validate(
        form_input.as_draft(source.alert),
        at=services.clock(),
        longest=services.settings.exclusion_max_duration,
        rule_ids=[rule.id for rule in services.rules.rules],
    )


def _proposal_notice(services: Services, proposal: actions.Proposal) -> Notice:
    if proposal.exclusion.state(services.clock()) is not State.LIVE:
        return Notice("done", "Proposed. It hides nothing until an admin approves it.")
    text = "Live: matches that it covers are listed here and raise no alert."
    if proposal.closed_alert is not None:
        text += f" Alert #{proposal.closed_alert} was closed as a false positive."
    return Notice("done", text)


@router.post(EXCLUSIONS_PATH + "/{exclusion_id}/edit")
def save(
    request: Request, exclusion_id: RowId, principal: Analyst, services: ServicesDep, form: FormDep
) -> Response:
    form_input = read_form(form)
    source = load_form_source(services, None, exclusion_id)
    _require_editable(source, services)
    base = form.get_int("base_version")
    if not form["submit"] and (form["add"] or form["remove"]):
        return _render_form(request, principal, services, source, form_input, base_version=base)
    try:
        wanted = _validate(services, form_input, source)
        history = actions.edit(
            services.database,
            exclusion_id,
            wanted,
            base_version=base,
            principal=principal,
            at=services.clock(),
        )
    except InvalidInput as error:
        errors = error.fields
        return _render_form(
            request, principal, services, source, form_input, base_version=base, errors=errors
        )
    except Conflict as error:
        return _render_form(
            request, principal, services, source, form_input, base_version=base, conflict=str(error)
        )
    live = history.waiting is None
    told = f"Version {history.record.newest_version} " + (
        "is live." if live else "waits for an admin; until then the one before stays in force."
    )
    return see_other(request, f"{EXCLUSIONS_PATH}/{exclusion_id}", Notice("done", told))


def _render_form(
    request: Request,
    principal: Principal,
    services: Services,
    source: FormSource,
    form_input: FormInput,
    *,
    base_version: int | None = None,
    errors: dict[str, str] | None = None,
    conflict: str | None = None,
) -> Response:
    refused, errors = bool(errors), errors or {}
    alert, history = source.alert, source.history
    now = services.clock()
    admin = principal.has_role(Role.ADMIN)
    changed: tuple[tuple[str, str], ...] = ()
    if conflict and history is not None:
        changed = changes_since(history, base_version)
        # Saving again, now knowing what changed, is meant.
        base_version = history.record.newest_version
    rule_id = history.record.rule_id if history else alert.rule_id if alert else None
    if rule_id is not None and services.find_rule(rule_id) is None:
        errors = errors | {"rule": "It is not loaded any more, so no event can match it."}
    context = ExclusionFormPage(
        heading=f"Edit exclusion {history.record.id}" if history else "New exclusion",
        action=f"{EXCLUSIONS_PATH}/{history.record.id}/edit" if history else EXCLUSIONS_PATH,
        cancel_href=_cancel_href(source),
        submit_label="Save and make live" if admin else "Propose",
        approval_note=""
        if admin
        else "An admin approves it before it hides anything; you may keep working meanwhile.",
        alert_id=alert.id if alert and history is None else None,
        alert_href=f"/alerts/{alert.id}" if alert else None,
        base_version=base_version,
        rule_options=tuple(
            SelectOption(rule.id, rule.name, rule.id == form_input.rule_id)
            for rule in services.rules.rules
        ),
        rule_locked=rule_id is not None,
        rows=tuple(
            _condition_row(number, row, errors) for number, row in enumerate(form_input.rows)
        ),
        suggestions=suggestions(source.event, form_input),
        conditions_error=errors.get("conditions"),
        reason=form_input.reason,
        reason_error=errors.get("reason"),
        owner=form_input.owner,
        owner_error=errors.get("owner"),
        ends_at=form_input.ends_at,
        ends_at_error=errors.get("ends_at"),
        ends_at_max=(now + services.settings.exclusion_max_duration).date().isoformat(),
        ends_at_min=now.date().isoformat(),
        rule_error=errors.get("rule"),
        can_close_alert=bool(admin and alert and not history and alert.status != Status.CLOSED),
        close_alert=form_input.close_alert,
        covers_alert=covers_alert_event(source, form_input),
        conflict=conflict,
        changed_fields=changed,
        now=now,
    )
    status = 409 if conflict else 422 if refused else 200
    template = "pages/exclusion_form.html"
    return render_page(request, principal, template, context, title=context.heading, status=status)


def _cancel_href(source: FormSource) -> str:
    if source.history is not None:
        return f"{EXCLUSIONS_PATH}/{source.history.record.id}"
    return f"/alerts/{source.alert.id}" if source.alert else EXCLUSIONS_PATH


def _condition_row(number: int, row: ConditionInput, errors: dict[str, str]) -> ConditionRow:
    known = find_field(row.field)
    names = {name: field.label for name, field in FIELDS.items()}
    if row.field not in names and row.field:
        names[row.field] = known.label if known else escape_invisible(row.field)
    return ConditionRow(
        number=number,
        fields=tuple(SelectOption(name, label, name == row.field) for name, label in names.items()),
        operators=tuple(SelectOption(str(o), str(o), o == row.operator) for o in Operator),
        values=row.values,
        error=errors.get(f"conditions.{number}"),
        caution=known.warning if known else None,
        obscured_values=tuple(line for line in row.values.split("\n") if has_invisible(line)),
    )
