"""Alert filters in a query string, shared by the alert list and the API."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from app.domain.alert import Status, Verdict
from app.domain.errors import InvalidInput
from app.domain.principal import Principal
from app.domain.severity import Severity
from app.domain.ssh import SshRole
from app.domain.text import escape_unstorable
from app.store import users
from app.store.alerts import AlertFilter, Sort
from app.store.database import Session
from app.web import urls

# Names of query parameters that filter by an exact value. Each name maps to (column of the alert, label of
# the filter). `read_filter` also reads status, q, severity, verdict, role, assignee, sort and cursor.
EXACT_FILTERS: dict[str, tuple[str, str]] = {
    "rule": ("rule_id", "Rule"),
    "host": ("host", "Host"),
    "container": ("container", "Container"),
    "container_id": ("container_id", "Container ID"),
    "image": ("image", "Image"),
    "namespace": ("namespace", "Namespace"),
    "user": ("user_name", "User"),
    "destination": ("destination", "Destination"),
}
ANY_ASSIGNEE, NO_ASSIGNEE, CURRENT_USER = "", "nobody", "me"
MAX_SEARCH_LENGTH = 200

FilterValue = TypeVar("FilterValue", Status, Severity, Verdict, SshRole, Sort)


def read_filter(
    query: Mapping[str, str], session: Session, principal: Principal
) -> tuple[AlertFilter, str | None]:
    """Return the alert filter in a query string, and a message about invalid values.

    The message is None if all values are valid. The filter always contains the valid values.
    """
    problems: list[str] = []
    # `escape_unstorable` also escapes the values of events before they are stored. A user can therefore copy
    # a value from an event into a filter, and the filter finds the alert of this event.
    query = {name: escape_unstorable(value) for name, value in query.items()}

    def read_enum(name: str, values: Sequence[FilterValue]) -> FilterValue | None:
        text = query.get(name, "")
        value = next((value for value in values if value == text), None)
        if text and value is None:
            problems.append(f"Unknown {name} “{text}”. Use one of: " + ", ".join(values) + ".")
        return value

    status_text = query.get("status", Status.OPEN)
    status = None if status_text == "all" else read_enum("status", list(Status))
    if status is None and status_text in ("", "open"):
        status = Status.OPEN
    sort = read_enum("sort", list(Sort)) or Sort.TIME
    role = read_enum("role", list(SshRole))
    exact: dict[str, Any] = {
        column: query.get(name, "") for name, (column, _) in EXACT_FILTERS.items()
    }
    alert_filter = AlertFilter(
        status=status,
        q=query.get("q", "").strip()[:MAX_SEARCH_LENGTH],
        severity=read_enum("severity", list(Severity)),
        verdict=read_enum("verdict", list(Verdict)),
        ssh_role=str(role) if role else "",
        sort=sort,
        **exact,
    )
    assignee = query.get("assignee", ANY_ASSIGNEE)
    if assignee == NO_ASSIGNEE:
        alert_filter = replace(alert_filter, unassigned=True)
    elif assignee == CURRENT_USER and principal.user_id is not None:
        alert_filter = replace(alert_filter, assignee_id=principal.user_id)
    elif assignee:
        user = users.get_by_name(session, assignee)
        if user is None:
            problems.append(f"There is no user named “{assignee}”.")
        else:
            alert_filter = replace(alert_filter, assignee_id=user.id)
    if cursor := query.get("cursor", ""):
        try:
            after = urls.decode_cursor(cursor, key_is_time=sort is Sort.TIME)
            alert_filter = replace(alert_filter, after=after)
        except InvalidInput as error:
            problems.append(str(error))
    return alert_filter, " ".join(problems) or None
