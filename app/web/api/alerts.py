"""API for alerts: search, read and change them."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from app.actions import alerts as actions
from app.domain.alert import AlertAction, Status, Verdict
from app.domain.errors import InvalidInput, NotFound
from app.domain.severity import Severity
from app.domain.ssh import SshRole
from app.store import alerts, matches, users
from app.store.alerts import Cursor, Sort
from app.store.database import Session
from app.store.tables import Alert
from app.web import urls
from app.web.access import Analyst
from app.web.alert_query import EXACT_FILTERS, read_filter
from app.web.api.fields import StorableText
from app.web.api.openapi import AUTH_STATUSES, JSON_BODY_STATUSES, problem_responses
from app.web.api.parameters import NO_REPEATED_PARAMETERS
from app.web.api.process_models import ProcessOut, SshOut, event_fields
from app.web.services import ServicesDep
from app.web.stored_event import parse_match_event
from app.web.urls import RowId

router = APIRouter(tags=["alerts"], responses=problem_responses(*AUTH_STATUSES))
PATH = "/api/v1/alerts"
MAX_PAGE_SIZE = 200
_KNOWN_PARAMETERS = frozenset(
    {
        *EXACT_FILTERS,
        "status",
        "q",
        "severity",
        "verdict",
        "role",
        "assignee",
        "sort",
        "cursor",
        "limit",
    }
)


class PriorityPart(BaseModel):
    why: str
    points: int


class AlertOut(BaseModel):
    """An alert. Text such as `headline` comes from events, so an attacker may have written it."""

    id: int
    status: Status
    version: int = Field(
        description="Send it with a change, so that a concurrent change is not overwritten."
    )
    rule_id: str
    rule_name: str
    severity: str
    priority: int
    priority_parts: list[PriorityPart]
    headline: str
    command_line: str = Field(description="Passwords are masked.")
    host: str | None
    container_id: str | None
    container: str | None
    image: str | None
    namespace: str | None
    pod: str | None
    user: str | None
    process_name: str | None
    destination: str | None
    role: str | None
    first_seen: datetime = Field(
        description="Time when the first match was received, by the server's clock."
    )
    last_seen: datetime
    match_count: int
    assignee: str | None
    verdict: str | None
    reason: str | None
    closed_at: datetime | None
    closed_by: str | None
    previous: int | None = Field(description="Id of the previous alert with the same fingerprint.")


class AlertPageOut(BaseModel):
    alerts: list[AlertOut]
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last page.")


class ActivityOut(BaseModel):
    at: datetime
    actor: str
    kind: str
    before: str | None
    after: str | None
    comment: str | None


class MatchOut(BaseModel):
    id: int
    event_id: str
    received_at: datetime
    occurred_at: datetime | None = Field(description="Time by the agent's clock.")
    event_href: str


class WholeAlertOut(AlertOut):
    matches: list[MatchOut] = Field(description="The newest 20 matches.")
    activity: list[ActivityOut] = Field(description="Newest first.")
    ssh: SshOut | None = Field(
        description="The SSH command line of the match that the alert shows, or null."
    )
    parent: ProcessOut | None = Field(description="The parent process of this match, or null.")


class AlertChange(BaseModel):
    """A change of an alert. The status `closed` requires a verdict and a reason."""

    model_config = ConfigDict(extra="forbid")

    status: Status | None = None
    verdict: StorableText | None = None
    reason: StorableText | None = None
    assignee: StorableText | None = Field(
        default=None, description="Name of a user, or an empty text to unassign the alert."
    )
    version: int | None = Field(
        default=None,
        description="Version that the change is based on. If it is not the current version, the response "
        "is 409.",
    )


def _alert_fields(alert: Alert, names: dict[int, str]) -> dict[str, object]:
    fields = {name: getattr(alert, name, None) for name in AlertOut.model_fields}
    return fields | {
        "user": alert.user_name,
        "role": alert.ssh_role,
        "assignee": names.get(alert.assignee_id or 0),
        "previous": alert.previous_id,
    }


def _enum_query(*kinds: str) -> Any:
    """Return a query parameter that the OpenAPI document describes as an enum.

    FastAPI does not validate the value; `read_filter` does.
    """
    return Query(json_schema_extra={"enum": ["", *map(str, kinds)]})


@router.get(
    PATH,
    summary="Search alerts",
    responses=problem_responses(422),
    dependencies=[NO_REPEATED_PARAMETERS],
)
def search_alerts(
    request: Request,
    principal: Analyst,
    services: ServicesDep,
    status: Annotated[str, _enum_query(*Status, "all")] = "open",
    q: Annotated[str, Query(description="Words that must all occur in the alert.")] = "",
    severity: Annotated[str, _enum_query(*Severity)] = "",
    verdict: Annotated[str, _enum_query(*Verdict)] = "",
    role: Annotated[str, _enum_query(*SshRole)] = "",
    assignee: Annotated[
        str, Query(description="Name of a user, or `nobody` for unassigned alerts.")
    ] = "",
    rule: str = "",
    host: str = "",
    container: str = "",
    container_id: str = "",
    image: str = "",
    namespace: str = "",
    user: str = "",
    destination: str = "",
    sort: Annotated[str, _enum_query(*Sort)] = "time",
    cursor: Annotated[str, Query(description="`next_cursor` of the previous page.")] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = 50,
) -> AlertPageOut:
    """Return one page of alerts. By default, it contains open alerts, sorted by `last_seen`, newest first."""
    unknown = sorted(set(request.query_params) - _KNOWN_PARAMETERS)
    if unknown:
        raise InvalidInput({unknown[0]: f"Unknown parameter “{unknown[0]}”."})
    with services.database.read() as session:
        alert_filter, problem = read_filter(dict(request.query_params), session, principal)
        if problem:
            raise InvalidInput({"filter": problem})
        matching = alerts.search(session, alert_filter, limit + 1)
        rows = matching[:limit]
        names = users.names_by_id(session, (alert.assignee_id for alert in rows))
    next_cursor = None
    if len(matching) > limit:
        last = rows[-1]
        next_cursor = urls.encode_cursor(
            Cursor(alerts.sort_key(last, alert_filter.sort), last.id or 0)
        )
    alerts_out = [AlertOut.model_validate(_alert_fields(alert, names)) for alert in rows]
    return AlertPageOut(alerts=alerts_out, next_cursor=next_cursor)


def _get_or_404(session: Session, alert_id: int) -> Alert:
    alert = alerts.get(session, alert_id)
    if alert is None:
        raise NotFound(f"There is no alert {alert_id}.")
    return alert


@router.get(PATH + "/{alert_id}", summary="Get an alert", responses=problem_responses(404))
def get_alert(alert_id: RowId, principal: Analyst, services: ServicesDep) -> WholeAlertOut:
    """Return an alert with its newest matches and its complete activity log."""
    with services.database.read() as session:
        alert = _get_or_404(session, alert_id)
        newest = matches.list_by_alert(session, alert_id, before=None, limit=20)
        activity = alerts.list_activity(session, alert_id)
        names = users.names_by_id(session, [alert.assignee_id])
        displayed = matches.displayed_match(session, alert)
    return WholeAlertOut.model_validate(
        _alert_fields(alert, names)
        | event_fields(parse_match_event(displayed) if displayed else None)
        | {
            "matches": [
                MatchOut(
                    id=match.id or 0,
                    event_id=match.event_id,
                    received_at=match.received_at,
                    occurred_at=match.occurred_at,
                    event_href=f"/api/v1/matches/{match.id}/event",
                )
                for match in newest
            ],
            "activity": [
                {name: getattr(row, name) for name in ActivityOut.model_fields} for row in activity
            ],
        }
    )


_ACTION_BY_TARGET_STATUS = {
    Status.OPEN: AlertAction.REOPEN,
    Status.ACKNOWLEDGED: AlertAction.ACKNOWLEDGE,
    Status.CLOSED: AlertAction.CLOSE,
}


@router.patch(
    PATH + "/{alert_id}",
    summary="Change an alert",
    responses=problem_responses(*JSON_BODY_STATUSES, 404, 409),
)
def change_alert(
    alert_id: RowId, change: AlertChange, principal: Analyst, services: ServicesDep
) -> WholeAlertOut:
    """Change the status, the assignee or both. If one of the changes fails, the alert stays unchanged."""
    with services.database.read() as session:
        _get_or_404(session, alert_id)
    if change.status is None and "assignee" not in change.model_fields_set:
        raise InvalidInput({"status": "Send a status or an assignee."})
    changes: list[actions.StatusChange | actions.Assignment] = []
    if "assignee" in change.model_fields_set:
        changes.append(actions.Assignment(change.assignee))
    if change.status is not None:
        action = _ACTION_BY_TARGET_STATUS[change.status]
        changes.append(actions.StatusChange(action, change.verdict, change.reason))
    actions.change(
        services.database,
        alert_id,
        changes,
        principal=principal,
        at=services.clock(),
        version=change.version,
    )
    return get_alert(alert_id, principal, services)
