"""Routes of the exclusion form.

A user creates an exclusion or edits an exclusion with this form. The user can open the form from an alert.
"""

from datetime import timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import exclusion_draft
from app.actions import exclusions as actions
from app.domain.alert import Status
from app.domain.errors import Conflict, InvalidInput, NotFound
from app.domain.exclusion import FIELDS, Operator, find_field
from app.domain.principal import Principal, Role
from app.domain.text import escape_invisible, has_invisible
from app.store import exclusions
from app.store.exclusions import ExclusionHistory, State
from app.web import urls
from app.web.access import Analyst
from app.web.components import SelectOption
from app.web.forms import Form, FormDep
from app.web.page_frame import Notice
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
DEFAULT_DURATION = timedelta(days=30)
# Fields of the first conditions when a user opens the form from an alert. If the event of the alert has a
# value for a field in this list, the form contains a condition on this field.
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
    alert_id = urls.parse_row_id(query.get("alert", ""))
    if query.get("alert") and alert_id is None:
        raise NotFound("There is no such alert.")
    source = load_form_source(services, alert_id, None)
    fields = query.get("fields", "").replace(",", " ").split() or list(DEFAULT_FIELDS)
    end = services.clock() + min(DEFAULT_DURATION, services.settings.exclusion_max_duration)
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
        raise Conflict("This exclusion has ended. Create a new one instead.")
    return source.history


@router.post(EXCLUSIONS_PATH)
def create(request: Request, principal: Analyst, services: ServicesDep, form: FormDep) -> Response:
    form_input = read_form(form)
    source = load_form_source(services, form.get_int("alert"), None)
    if _changes_conditions(form):
        return _render_form(request, principal, services, source, form_input)
    try:
        proposal = actions.propose(
            services.database,
            _validate(services, form_input, source),
            close_alert=form_input.close_alert,
            principal=principal,
            at=services.clock(),
        )
    except InvalidInput as error:
        return _render_form(request, principal, services, source, form_input, errors=error.fields)
    href = f"{EXCLUSIONS_PATH}/{proposal.exclusion.record.id}"
    return see_other(request, href, _proposal_notice(services, proposal))


def _changes_conditions(form: Form) -> bool:
    """Return whether the user pressed a button `add` or `remove`, and not the button `submit`."""
    return not form["submit"] and bool(form["add"] or form["remove"])


def _validate(
    services: Services, form_input: FormInput, source: FormSource
) -> exclusion_draft.ValidExclusion:
    return exclusion_draft.validate(
        form_input.as_draft(source.alert),
        at=services.clock(),
        longest=services.settings.exclusion_max_duration,
        rule_ids=[rule.id for rule in services.rules.rules],
    )


def _proposal_notice(services: Services, proposal: actions.Proposal) -> Notice:
    if proposal.exclusion.state(services.clock()) is not State.LIVE:
        return Notice("done", "Proposed. The exclusion takes effect after an admin approves it.")
    text = "The exclusion is live. The matches that it suppresses are listed here."
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
    if _changes_conditions(form):
        return _render_form(request, principal, services, source, form_input, base_version=base)
    try:
        history = actions.edit(
            services.database,
            exclusion_id,
            _validate(services, form_input, source),
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
    text = f"Version {history.record.newest_version} " + (
        "waits for approval. The live version stays in force until then."
        if history.waiting
        else "is live."
    )
    return see_other(request, f"{EXCLUSIONS_PATH}/{exclusion_id}", Notice("done", text))


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
    status = 409 if conflict else 422 if errors else 200
    errors = errors or {}
    alert, history = source.alert, source.history
    now = services.clock()
    is_admin = principal.has_role(Role.ADMIN)
    changed_fields: tuple[tuple[str, str], ...] = ()
    if conflict and history is not None:
        changed_fields = changes_since(history, base_version)
        # The response shows the newer version to the user, so the next attempt may overwrite it.
        base_version = history.record.newest_version
    rule_id = history.record.rule_id if history else alert.rule_id if alert else None
    if rule_id is not None and services.find_rule(rule_id) is None:
        errors = errors | {"rule": "This rule is no longer loaded, so no event can match it."}
    context = ExclusionFormPage(
        form=form_input,
        errors=errors,
        alert=alert,
        history=history,
        base_version=base_version,
        is_admin=is_admin,
        rule_options=tuple(
            SelectOption(rule.id, rule.name, rule.id == form_input.rule_id)
            for rule in services.rules.rules
        ),
        is_rule_fixed=rule_id is not None,
        rows=tuple(
            _condition_row(row, errors.get(f"conditions.{number}"))
            for number, row in enumerate(form_input.rows)
        ),
        suggestions=suggestions(source.event, form_input),
        first_day=now.date(),
        last_day=(now + services.settings.exclusion_max_duration).date(),
        can_close_alert=bool(is_admin and alert and not history and alert.status != Status.CLOSED),
        covers_alert=covers_alert_event(source, form_input),
        conflict=conflict,
        changed_fields=changed_fields,
    )
    template = "pages/exclusion_form.html"
    title = f"Edit exclusion {history.record.id}" if history else "New exclusion"
    return render_page(request, principal, template, context, title=title, status=status)


def _condition_row(row: ConditionInput, error: str | None) -> ConditionRow:
    field = find_field(row.field)
    labels = {name: field.label for name, field in FIELDS.items()}
    if row.field not in labels and row.field:
        labels[row.field] = field.label if field else escape_invisible(row.field)
    return ConditionRow(
        fields=tuple(
            SelectOption(name, label, name == row.field) for name, label in labels.items()
        ),
        operators=tuple(SelectOption(str(o), str(o), o == row.operator) for o in Operator),
        values=row.values,
        error=error,
        caution=field.warning if field else None,
        obscured_values=tuple(line for line in row.values.split("\n") if has_invisible(line)),
    )
