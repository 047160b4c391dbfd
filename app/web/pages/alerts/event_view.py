"""The event of an alert as its page shows it: command line, findings, lineage, place."""

from collections.abc import Sequence

from app.domain import ssh
from app.domain.event import Event, Process
from app.domain.text import escape_invisible, truncate_with_count
from app.store.tables import Alert
from app.web import urls
from app.web.pages.alerts.alert_context import EventDetail, FindingView, ProcessView, TokenView
from app.web.pages.alerts.routes import finding_tone
from app.web.paths import ALERTS_PATH


def tokens(event: Event | None) -> tuple[TokenView, ...]:
    if event is None:
        return ()
    words = event.process.args or (event.process.command_line,)
    return tuple(
        TokenView(
            truncate_with_count(token.text, ARGUMENT_LENGTH_LIMIT),
            str(token.kind),
            truncate_with_count(" ".join(token.messages), TITLE_LENGTH_LIMIT),
        )
        for token in ssh.highlight_arguments(words[: _arguments_within_limits(words)], event.ssh)
    )


# Arguments, characters of one, and characters of all: an event may hold megabytes, of which every
# hidden character takes a hundred on the page.
ARGUMENTS_LIMIT = 500
ARGUMENT_LENGTH_LIMIT = 2_000
COMMAND_LINE_LENGTH_LIMIT = 20_000
TITLE_LENGTH_LIMIT = 500
FINDINGS_LIMIT = 50
DETAIL_LENGTH_LIMIT = 1_000
LABELS_LIMIT = 20


def _arguments_within_limits(words: Sequence[str]) -> int:
    room = COMMAND_LINE_LENGTH_LIMIT
    for number, word in enumerate(words[:ARGUMENTS_LIMIT]):
        room -= min(len(word), ARGUMENT_LENGTH_LIMIT)
        if room < 0:
            return number
    return min(len(words), ARGUMENTS_LIMIT)


def command_note(event: Event | None) -> str:
    if event is None:
        return "The event of this alert is no longer stored."
    if more := len(event.process.args) - _arguments_within_limits(event.process.args):
        return f"{more:,} further arguments are in the raw event."
    if event.process.working_directory:
        return f"in {truncate_with_count(event.process.working_directory, DETAIL_LENGTH_LIMIT)}"
    return ""


def findings(event: Event | None) -> tuple[FindingView, ...]:
    if event is None or event.ssh is None:
        return ()
    words = ssh.highlight_arguments(event.process.args, event.ssh)
    told = sorted(event.ssh.findings, key=lambda finding: -finding.risk)
    views = [
        FindingView(
            sentence=found.message,
            tone=finding_tone(found.risk),
            arguments=truncate_with_count(
                " ".join(words[i].text for i in found.arg_indexes if i < len(words)), 300
            ),
        )
        for found in told[:FINDINGS_LIMIT]
    ]
    if more := len(told[FINDINGS_LIMIT:]):
        views.append(FindingView(f"{more:,} further findings, none of more weight.", "plain", ""))
    return tuple(views)


def lineage(event: Event | None) -> tuple[ProcessView, ...]:
    if event is None:
        return ()
    line: list[tuple[Process, str]] = []
    leader, parent = event.entry_leader, event.parent
    if leader is not None:
        kind = f"entry: {event.entry_type}" if event.entry_type else "entry leader"
        line.append((leader, kind))
    if parent is not None and not (leader and parent.pid == leader.pid and parent.pid):
        line.append((parent, "parent"))
    line.append((event.process, ""))
    return tuple(
        ProcessView(
            name=truncate_with_count(process.command_line, 200) or process.name or "unnamed",
            note=truncate_with_count(
                ", ".join(filter(None, (_pid(process), process.user_name, note))),
                DETAIL_LENGTH_LIMIT,
            ),
            depth=depth,
            is_alert_process=process is event.process,
        )
        for depth, (process, note) in enumerate(line)
    )


def _pid(process: Process) -> str | None:
    return f"pid {process.pid}" if process.pid is not None else None


def event_details(alert: Alert, event: Event | None) -> tuple[EventDetail, ...]:
    if event is None:
        return ()
    invocation = event.ssh

    def related_alerts_href(**wanted: str | None) -> str | None:
        return urls.href(ALERTS_PATH, {"status": "all"}, **wanted) if all(wanted.values()) else None

    event_details = [
        (
            "Container id",
            event.container_id,
            True,
            related_alerts_href(container_id=alert.container_id),
        ),
        ("Container", event.container_name, False, related_alerts_href(container=alert.container)),
        ("Image", event.image, False, related_alerts_href(image=alert.image)),
        ("Image digest", next(iter(event.image_digests), None), True, None),
        ("Namespace", event.namespace, False, related_alerts_href(namespace=alert.namespace)),
        ("Pod", event.pod, False, None),
        ("Host", event.host_name, False, related_alerts_href(host=alert.host)),
        ("User", _user(event), False, related_alerts_href(user=alert.user_name)),
        (
            "Destination",
            _destination(event),
            False,
            related_alerts_href(destination=alert.destination),
        ),
        (
            "SSH role",
            str(invocation.role) if invocation else None,
            False,
            related_alerts_href(role=alert.ssh_role),
        ),
        ("Executable", event.process.executable, True, None),
        ("SHA-256", event.process.sha256, True, None),
        ("Source address", event.source_ip, True, None),
        ("Terminal", _terminal(event), False, None),
    ]
    found = [
        EventDetail(label, truncate_with_count(value, DETAIL_LENGTH_LIMIT), mono, link)
        for label, value, mono, link in event_details
        if value
    ]
    labels = sorted(event.labels.items())
    found += (
        EventDetail(
            f"Label {escape_invisible(truncate_with_count(key, 100))}",
            truncate_with_count(value, DETAIL_LENGTH_LIMIT),
        )
        for key, value in labels[:LABELS_LIMIT]
    )
    if more := len(labels[LABELS_LIMIT:]):
        found.append(EventDetail("More labels", f"{more:,} further ones are in the raw event"))
    return tuple(found)


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
    return "interactive" if event.interactive else "none: nobody typed this at a prompt"
