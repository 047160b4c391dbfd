"""Writing an exclusion, from nothing, from an alert, or over an earlier version."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.actions import alerts as alert_actions
from app.actions import exclusions as actions
from app.actions.exclusions import Draft
from app.domain.alert import Move, Status, Verdict
from app.domain.errors import Conflict, DeckwatchError, Invalid, NotFound
from app.domain.event import Event
from app.domain.exclusion import (
    FIELDS,
    LABEL_PREFIX,
    Exclusion,
    Operator,
    checked_conditions,
    field_named,
)
from app.domain.roles import Principal, Role
from app.store import alerts, exclusions, matches
from app.store.exclusions import State, Whole
from app.store.tables import Alert, ExclusionVersion
from app.web.access import Analyst
from app.web.forms import Form, Posted
from app.web.pages.alert_case import event_of
from app.web.pages.exclusions import PATH
from app.web.respond import page, see_other
from app.web.services import Parts, Services
from app.web.shell import Notice, Option

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


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """Inputs field-N, operator-N and values-N (one value a line). The button `remove` has value N."""

    number: int
    fields: tuple[Option, ...]
    operators: tuple[Option, ...]
    values: str
    problem: str | None
    caution: str | None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A value of the alert not yet in a condition: the button `add` has `value` and adds it."""

    field: str
    label: str
    shown: str
    value: str
    caution: str | None


@dataclass(frozen=True, slots=True)
class ExclusionFormPage:
    """Block `form`. It posts to `action` with csrf, `alert`, `base_version`, rule, reason, owner, ends_at
    (a date), the condition rows and `close_alert` (yes). Buttons: submit (save), add (a suggestion's
    value, or "blank"), remove (a row's number); add and remove save nothing and come back with the form.
    """

    heading: str
    action: str
    cancel_href: str
    submit_label: str
    approval_note: str
    alert: int | None
    alert_href: str | None
    base_version: int | None
    rules: tuple[Option, ...]
    rule_locked: bool
    rows: tuple[ConditionRow, ...]
    suggestions: tuple[Suggestion, ...]
    conditions_problem: str | None
    reason: str
    reason_problem: str | None
    owner: str
    owner_problem: str | None
    ends_at: str
    ends_at_problem: str | None
    ends_at_max: str
    ends_at_min: str
    rule_problem: str | None
    can_close_alert: bool
    close_alert: bool
    covers_alert: bool | None  # whether it would cover the alert it was made from; None without one
    conflict: str | None
    changed: tuple[tuple[str, str], ...]  # (what, now) since the person opened the form
    now: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """One condition as typed."""

    field: str
    operator: str
    values: str

    def as_draft(self) -> tuple[str, str, Sequence[str]]:
        """One value a line; spaces around it are a slip of the hand, those inside are meant."""
        return self.field, self.operator, [line.strip() for line in self.values.splitlines()]


@dataclass(frozen=True, slots=True)
class Typed:
    """The whole form as typed."""

    rows: tuple[Row, ...]
    rule_id: str
    reason: str
    owner: str
    ends_at: str
    close_alert: bool

    def draft(self, alert: Alert | None) -> Draft:
        return Draft(
            rule_id=self.rule_id,
            conditions=[row.as_draft() for row in self.rows],
            reason=self.reason,
            owner=self.owner,
            ends_at=end_of_day(self.ends_at),
            from_alert_id=alert.id if alert else None,
        )


def end_of_day(text: str) -> datetime | None:
    """The last moment of a day written 2027-02-22, in UTC; None when that is no day."""
    try:
        day = date.fromisoformat(text)
        return datetime.combine(day, time(), UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        return None


def day_of(end: datetime) -> str:
    """The day that `end_of_day` would read for this end."""
    return (end - timedelta(microseconds=1)).date().isoformat()


@dataclass(frozen=True, slots=True)
class Origin:
    """What the form is about: the alert it comes from with its event, or the exclusion it edits."""

    alert: Alert | None = None
    event: Event | None = None
    whole: Whole | None = None


def _origin(services: Services, alert_id: int | None, exclusion_id: int | None) -> Origin:
    with services.database.read() as session:
        whole = exclusions.get(session, exclusion_id) if exclusion_id is not None else None
        if exclusion_id is not None and whole is None:
            raise NotFound(f"There is no exclusion {exclusion_id}.")
        if whole is not None:
            alert_id = whole.record.from_alert_id
        alert = alerts.get(session, alert_id) if alert_id is not None else None
        if alert_id is not None and alert is None:
            raise NotFound(f"There is no alert {alert_id}.")
        shown = matches.shown(session, alert) if alert else None
    return Origin(alert, event_of(shown) if shown else None, whole)


def _known_values(event: Event, name: str) -> list[tuple[str, str]]:
    """(field, value) of `name` in the event; `container.labels.*` stands for each of its labels."""
    if name == LABEL_PREFIX + "*":
        return [(LABEL_PREFIX + key, value) for key, value in sorted(event.labels.items()) if value]
    field = field_named(name)
    found = next((value for value in field.read(event) if value), None) if field else None
    return [(name, found)] if found else []


def _first_rows(origin: Origin, wanted: Sequence[str]) -> tuple[Row, ...]:
    if origin.event is None:
        return (Row("container.image.name", str(Operator.IS), ""),)
    found = [pair for name in wanted for pair in _known_values(origin.event, name)[:1]]
    return tuple(Row(name, str(Operator.IS), value) for name, value in found)


@router.get(PATH + "/new")
def new(request: Request, who: Analyst, services: Parts) -> Response:
    query = request.query_params
    asked = query.get("alert", "")
    if asked and not (asked.isascii() and asked.isdigit() and len(asked) < 19):
        raise NotFound("There is no such alert.")
    origin = _origin(services, int(asked) if asked else None, None)
    fields = query.get("fields", "").replace(",", " ").split() or list(USUAL_FIELDS)
    longest = services.settings.exclusion_longest
    end = services.clock() + min(timedelta(days=USUAL_DAYS), longest)
    typed = Typed(
        rows=_first_rows(origin, fields),
        rule_id=origin.alert.rule_id if origin.alert else "",
        reason="",
        owner=who.name,
        ends_at=end.date().isoformat(),
        close_alert=True,
    )
    return _form(request, who, services, origin, typed)


@router.get(PATH + "/{exclusion_id}/edit")
def edit(request: Request, exclusion_id: int, who: Analyst, services: Parts) -> Response:
    origin = _origin(services, None, exclusion_id)
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


def _typed(form: Form) -> Typed:
    form.only(
        *("alert", "base_version", "rule", "reason", "owner", "ends_at", "close_alert"),
        *("submit", "add", "remove"),
        starting=("field-", "operator-", "values-"),
    )
    numbers = [name.removeprefix("field-") for name, _ in form.pairs if name.startswith("field-")]
    rows = [
        Row(form[f"field-{n}"], form[f"operator-{n}"], form[f"values-{n}"])
        for n in numbers
        if n != form["remove"]
    ]
    if form["add"]:
        rows.append(_added(form["add"]))
    return Typed(
        rows=tuple(rows),
        rule_id=form["rule"],
        reason=form["reason"],
        owner=form["owner"],
        ends_at=form["ends_at"],
        close_alert=form["close_alert"] == "yes",
    )


def _added(text: str) -> Row:
    """The row that a button adds: an empty one, or a suggestion's field and value."""
    try:
        field, value = json.loads(text)
        return Row(str(field), str(Operator.IS), str(value))
    except (ValueError, TypeError, RecursionError):
        return Row("container.image.name", str(Operator.IS), "")


@router.post(PATH)
def create(request: Request, who: Analyst, services: Parts, form: Posted) -> Response:
    typed = _typed(form)
    origin = _origin(services, form.number("alert"), None)
    if not form["submit"] and (form["add"] or form["remove"]):
        return _form(request, who, services, origin, typed)
    try:
        wanted = _checked(services, typed, origin)
        whole = actions.propose(services.database, wanted, who=who, at=services.clock())
    except Invalid as error:
        return _form(request, who, services, origin, typed, problems=error.fields)
    told = _after(services, whole, origin, typed, who)
    return see_other(request, f"{PATH}/{whole.record.id}", told)


def _checked(services: Services, typed: Typed, origin: Origin) -> actions.Checked:
    return actions.checked(
        typed.draft(origin.alert),
        at=services.clock(),
        longest=services.settings.exclusion_longest,
        rule_ids=[rule.id for rule in services.rules.rules],
    )


def _after(
    services: Services, whole: Whole, origin: Origin, typed: Typed, who: Principal
) -> Notice:
    if whole.state(services.clock()) is not State.LIVE:
        return Notice("done", "Proposed: an admin can approve it. Until then it hides nothing.")
    told = "Live: such matches are kept here and raise no alert."
    if typed.close_alert and origin.alert and origin.alert.status != Status.CLOSED:
        try:
            alert_actions.move(
                services.database,
                origin.alert.id or 0,
                Move.CLOSE,
                who=who,
                at=services.clock(),
                version=None,
                verdict=Verdict.FALSE_POSITIVE,
                reason=f"Covered by exclusion {whole.record.id}: {typed.reason.strip()}",
            )
        except DeckwatchError as error:
            return Notice("warning", f"{told} The alert was not closed: {error}")
        services.live.changed()
        told += f" Alert #{origin.alert.id} was closed as a false positive."
    return Notice("done", told)


@router.post(PATH + "/{exclusion_id}/edit")
def save(
    request: Request, exclusion_id: int, who: Analyst, services: Parts, form: Posted
) -> Response:
    typed = _typed(form)
    origin = _origin(services, None, exclusion_id)
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
    problems = problems or {}
    alert, whole = origin.alert, origin.whole
    now = services.clock()
    admin = who.may(Role.ADMIN)
    changed: tuple[tuple[str, str], ...] = ()
    if conflict and whole is not None:
        changed = _changes(whole, base_version)
        # Saving again, now knowing what changed, is meant.
        base_version = whole.record.newest_version
    locked = alert is not None or whole is not None
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
        rule_locked=locked,
        rows=tuple(_row(number, row, problems) for number, row in enumerate(typed.rows)),
        suggestions=_suggestions(origin.event, typed),
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
        covers_alert=_covers(origin, typed),
        conflict=conflict,
        changed=changed,
        now=now,
    )
    status = 409 if conflict else 422 if problems else 200
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
        names[row.field] = known.label if known else row.field
    return ConditionRow(
        number=number,
        fields=tuple(Option(name, label, name == row.field) for name, label in names.items()),
        operators=tuple(Option(str(o), str(o), o == row.operator) for o in Operator),
        values=row.values,
        problem=problems.get(f"conditions.{number}"),
        caution=known.caution if known else None,
    )


def _suggestions(event: Event | None, typed: Typed) -> tuple[Suggestion, ...]:
    if event is None:
        return ()
    used = {row.field for row in typed.rows}
    offered = []
    for name in (*FIELDS, LABEL_PREFIX + "*"):
        for field, value in _known_values(event, name):
            known = field_named(field)
            if field in used or field == "process.args" or known is None:
                continue
            offered.append(
                Suggestion(
                    field=field,
                    label=known.label,
                    shown=value[:200],
                    value=json.dumps([field, value]),
                    caution=known.caution,
                )
            )
    return tuple(offered[:30])


def _covers(origin: Origin, typed: Typed) -> bool | None:
    """Whether these conditions hold for the alert's own event; None when that cannot be said."""
    if origin.event is None or origin.alert is None:
        return None
    try:
        conditions = checked_conditions([row.as_draft() for row in typed.rows])
    except Invalid:
        return None
    tried = Exclusion(0, 0, origin.alert.rule_id, conditions, datetime.max.replace(tzinfo=UTC))
    return tried.covers(
        origin.event, rule_id=origin.alert.rule_id, at=datetime.min.replace(tzinfo=UTC)
    )


def _changes(whole: Whole, base_version: int | None) -> tuple[tuple[str, str], ...]:
    """What is different now from the version that the person began with: (what, now)."""
    base = next((v for v in whole.versions if v.version == base_version), None)
    now = whole.newest
    told: list[tuple[str, Callable[[ExclusionVersion], str]]] = [
        ("Conditions", lambda v: actions.in_words(exclusions.conditions_of(v))),
        ("Reason", lambda v: v.reason),
        ("Owner", lambda v: v.owner),
        ("Ends", lambda v: day_of(v.ends_at)),
    ]
    return tuple(
        (what, read(now)) for what, read in told if base is None or read(base) != read(now)
    )
