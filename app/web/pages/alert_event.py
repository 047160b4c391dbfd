"""The event of an alert as its page shows it: command line, findings, lineage, place."""

from collections.abc import Sequence

from app.domain import ssh
from app.domain.event import Event, Process, event_from_ecs
from app.domain.text import shortened, visible
from app.formats import read
from app.store.tables import Alert, Match
from app.web import urls
from app.web.pages.alert_context import Fact, FindingView, ProcessView, TokenView
from app.web.pages.alerts import PATH, tone


def event_of(match: Match) -> Event:
    """The event of a stored match; it could be read when it was stored."""
    return event_from_ecs(read(match.event))


def tokens(event: Event | None) -> tuple[TokenView, ...]:
    if event is None:
        return ()
    words = event.process.args or (event.process.command_line,)
    return tuple(
        TokenView(
            shortened(token.text, WORD_SHOWN),
            str(token.kind),
            shortened(" ".join(token.reasons), TITLE_SHOWN),
        )
        for token in ssh.tokens(words[: _words_shown(words)], event.ssh)
    )


# Arguments, characters of one, and characters of all: an event may hold megabytes, of which every
# hidden character takes a hundred on the page.
WORDS_SHOWN = 500
WORD_SHOWN = 2_000
LINE_SHOWN = 20_000
TITLE_SHOWN = 500
FINDINGS_SHOWN = 50
FACT_SHOWN = 1_000
LABELS_SHOWN = 20


def _words_shown(words: Sequence[str]) -> int:
    room = LINE_SHOWN
    for number, word in enumerate(words[:WORDS_SHOWN]):
        room -= min(len(word), WORD_SHOWN)
        if room < 0:
            return number
    return min(len(words), WORDS_SHOWN)


def command_note(event: Event | None) -> str:
    if event is None:
        return "The event of this alert is no longer stored."
    if more := len(event.process.args) - _words_shown(event.process.args):
        return f"{more:,} further arguments are in the raw event."
    if event.process.working_directory:
        return f"in {shortened(event.process.working_directory, FACT_SHOWN)}"
    return ""


def findings(event: Event | None) -> tuple[FindingView, ...]:
    if event is None or event.ssh is None:
        return ()
    words = ssh.tokens(event.process.args, event.ssh)
    told = sorted(event.ssh.findings, key=lambda finding: -finding.risk)
    views = [
        FindingView(
            sentence=found.sentence,
            tone=tone(found.risk),
            because=shortened(
                " ".join(words[i].text for i in found.arg_indexes if i < len(words)), 300
            ),
        )
        for found in told[:FINDINGS_SHOWN]
    ]
    if more := len(told[FINDINGS_SHOWN:]):
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
            name=shortened(process.command_line, 200) or process.name or "unnamed",
            note=shortened(
                ", ".join(filter(None, (_pid(process), process.user_name, note))), FACT_SHOWN
            ),
            depth=depth,
            current=process is event.process,
        )
        for depth, (process, note) in enumerate(line)
    )


def _pid(process: Process) -> str | None:
    return f"pid {process.pid}" if process.pid is not None else None


def facts(alert: Alert, event: Event | None) -> tuple[Fact, ...]:
    if event is None:
        return ()
    use = event.ssh

    def same(**wanted: str | None) -> str | None:
        return urls.href(PATH, {"status": "all"}, **wanted) if all(wanted.values()) else None

    facts = [
        ("Container id", event.container_id, True, same(container_id=alert.container_id)),
        ("Container", event.container_name, False, same(container=alert.container)),
        ("Image", event.image, False, same(image=alert.image)),
        ("Image digest", next(iter(event.image_digests), None), True, None),
        ("Namespace", event.namespace, False, same(namespace=alert.namespace)),
        ("Pod", event.pod, False, None),
        ("Host", event.host_name, False, same(host=alert.host)),
        ("User", _user(event), False, same(user=alert.user_name)),
        ("Destination", _destination(event), False, same(destination=alert.destination)),
        ("SSH role", str(use.role) if use else None, False, same(role=alert.ssh_role)),
        ("Executable", event.process.executable, True, None),
        ("SHA-256", event.process.sha256, True, None),
        ("Source address", event.source_ip, True, None),
        ("Terminal", _terminal(event), False, None),
    ]
    found = [
        Fact(label, shortened(value, FACT_SHOWN), mono, link)
        for label, value, mono, link in facts
        if value
    ]
    labels = sorted(event.labels.items())
    found += (
        Fact(f"Label {visible(shortened(key, 100))}", shortened(value, FACT_SHOWN))
        for key, value in labels[:LABELS_SHOWN]
    )
    if more := len(labels[LABELS_SHOWN:]):
        found.append(Fact("More labels", f"{more:,} further ones are in the raw event"))
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
