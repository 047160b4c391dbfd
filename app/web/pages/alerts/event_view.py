"""Views of an alert's event: command line, findings, process lineage and details."""

from collections.abc import Sequence

from app.domain import ssh
from app.domain.event import Event, Process
from app.domain.text import escape_invisible, truncate_with_count
from app.store.tables import Alert
from app.web import urls
from app.web.pages.alerts.alert_context import EventDetail, FindingView, ProcessView, TokenView
from app.web.paths import ALERTS_PATH

# Limits for the parts of an event that the page shows; lengths are in characters. The limits are necessary
# because an event can contain megabytes, and the page needs about a hundred characters of HTML to show one
# invisible character.
ARGUMENTS_LIMIT = 500
ARGUMENT_LENGTH_LIMIT = 2_000
COMMAND_LINE_LENGTH_LIMIT = 20_000
TITLE_LENGTH_LIMIT = 500
FINDINGS_LIMIT = 50
FINDING_ARGUMENTS_LENGTH_LIMIT = 300
PROCESS_NAME_LENGTH_LIMIT = 200
DETAIL_LENGTH_LIMIT = 1_000
LABELS_LIMIT = 20
LABEL_LENGTH_LIMIT = 100


def tokens(event: Event | None) -> tuple[TokenView, ...]:
    """Return the arguments of the command line with their highlighting."""
    if event is None:
        return ()
    args = event.process.args or (event.process.command_line,)
    return tuple(
        TokenView(
            truncate_with_count(token.text, ARGUMENT_LENGTH_LIMIT),
            str(token.kind),
            truncate_with_count(" ".join(token.messages), TITLE_LENGTH_LIMIT),
        )
        for token in ssh.highlight_arguments(args[: _arguments_within_limits(args)], event.ssh)
    )


def _arguments_within_limits(args: Sequence[str]) -> int:
    remaining = COMMAND_LINE_LENGTH_LIMIT
    for index, argument in enumerate(args[:ARGUMENTS_LIMIT]):
        remaining -= min(len(argument), ARGUMENT_LENGTH_LIMIT)
        if remaining < 0:
            return index
    return min(len(args), ARGUMENTS_LIMIT)


def command_note(event: Event | None) -> str:
    """Return the note below the command line: the number of omitted arguments, or the working directory."""
    if event is None:
        return "The event of this alert is no longer stored."
    if more := len(event.process.args) - _arguments_within_limits(event.process.args):
        return f"{more:,} more arguments are in the raw event."
    if directory := event.process.working_directory:
        return f"Working directory: {truncate_with_count(directory, DETAIL_LENGTH_LIMIT)}"
    return ""


def finding_tone(risk: int) -> str:
    """Return the tone of a finding that adds `risk` points to the priority."""
    if risk >= 10:
        return "danger"
    return "warning" if risk > 0 else "plain"


def findings(event: Event | None) -> tuple[FindingView, ...]:
    """Return the findings about the SSH command line, highest risk first."""
    if event is None or event.ssh is None:
        return ()
    args = ssh.highlight_arguments(event.process.args, event.ssh)
    by_risk = sorted(event.ssh.findings, key=lambda finding: -finding.risk)
    views = [
        FindingView(
            sentence=finding.message,
            tone=finding_tone(finding.risk),
            arguments=truncate_with_count(
                " ".join(args[i].text for i in finding.arg_indexes if i < len(args)),
                FINDING_ARGUMENTS_LENGTH_LIMIT,
            ),
        )
        for finding in by_risk[:FINDINGS_LIMIT]
    ]
    if more := len(by_risk[FINDINGS_LIMIT:]):
        views.append(FindingView(f"{more:,} more findings of equal or lower risk.", "plain", ""))
    return tuple(views)


def lineage(event: Event | None) -> tuple[ProcessView, ...]:
    """Return the processes of the event's lineage: the entry leader, the parent and the process itself."""
    if event is None:
        return ()
    processes: list[tuple[Process, str]] = []
    leader, parent = event.entry_leader, event.parent
    if leader is not None:
        kind = f"entry leader of type {event.entry_type}" if event.entry_type else "entry leader"
        processes.append((leader, kind))
    if parent is not None and not (leader and parent.pid == leader.pid and parent.pid):
        processes.append((parent, "parent"))
    processes.append((event.process, ""))
    return tuple(
        ProcessView(
            name=truncate_with_count(process.command_line, PROCESS_NAME_LENGTH_LIMIT)
            or process.name
            or "unnamed",
            note=truncate_with_count(
                ", ".join(filter(None, (_pid(process), process.user_name, note))),
                DETAIL_LENGTH_LIMIT,
            ),
            depth=depth,
            is_alert_process=process is event.process,
        )
        for depth, (process, note) in enumerate(processes)
    )


def _pid(process: Process) -> str | None:
    return f"pid {process.pid}" if process.pid is not None else None


def event_details(alert: Alert, event: Event | None) -> tuple[EventDetail, ...]:
    """Return the values of the event that the page shows nowhere else, and then the container labels."""
    if event is None:
        return ()

    def related_alerts_href(**exact_filter: str | None) -> str | None:
        if not all(exact_filter.values()):
            return None
        return urls.href(ALERTS_PATH, {"status": "all"}, **exact_filter)

    role = event.ssh.role.label if event.ssh else None
    image_digest = next(iter(event.image_digests), None)
    container_id_href = related_alerts_href(container_id=alert.container_id)
    container_href = related_alerts_href(container=alert.container)
    destination_href = related_alerts_href(destination=alert.destination)
    values: list[tuple[str, str | None, bool, str | None]] = [
        ("Container ID", event.container_id, True, container_id_href),
        ("Container", event.container_name, False, container_href),
        ("Image", event.image, False, related_alerts_href(image=alert.image)),
        ("Image digest", image_digest, True, None),
        ("Namespace", event.namespace, False, related_alerts_href(namespace=alert.namespace)),
        ("Pod", event.pod, False, None),
        ("Host", event.host_name, False, related_alerts_href(host=alert.host)),
        ("User", _user(event), False, related_alerts_href(user=alert.user_name)),
        ("Destination", _destination(event), False, destination_href),
        ("SSH role", role, False, related_alerts_href(role=alert.ssh_role)),
        ("Executable", event.process.executable, True, None),
        ("SHA-256", event.process.sha256, True, None),
        ("Source address", event.source_ip, True, None),
        ("Terminal", _terminal(event), False, None),
    ]
    details = [
        EventDetail(label, truncate_with_count(value, DETAIL_LENGTH_LIMIT), monospace, href)
        for label, value, monospace, href in values
        if value
    ]
    labels = sorted(event.labels.items())
    details += (
        EventDetail(
            f"Label {escape_invisible(truncate_with_count(key, LABEL_LENGTH_LIMIT))}",
            truncate_with_count(value, DETAIL_LENGTH_LIMIT),
        )
        for key, value in labels[:LABELS_LIMIT]
    )
    if more := len(labels[LABELS_LIMIT:]):
        details.append(EventDetail("More labels", f"{more:,} more labels are in the raw event."))
    return tuple(details)


def _user(event: Event) -> str | None:
    if event.user_name and event.user_id:
        return f"{event.user_name} ({event.user_id})"
    return event.user_name or event.user_id


def _destination(event: Event) -> str | None:
    if event.ssh is None or event.ssh.destination is None:
        return None
    user = f"{event.ssh.user}@" if event.ssh.user else ""
    port = f" port {event.ssh.port}" if event.ssh.port else ""
    return f"{user}{event.ssh.destination}{port}"


def _terminal(event: Event) -> str | None:
    if event.interactive is None:
        return None
    return "interactive" if event.interactive else "not interactive"
