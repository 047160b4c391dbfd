"""The one line an alert is known by; the sentences below it are left to findings."""

from app.domain.ssh import hosts
from app.domain.ssh.shown import shown
from app.domain.ssh.use import FindingKind, ForwardKind, SshRole, SshUse

_TUNNELS = (
    (ForwardKind.REMOTE_DYNAMIC, "Reverse SOCKS proxy out of"),
    (ForwardKind.REMOTE, "Reverse tunnel out of"),
    (ForwardKind.TUN, "Network tunnel out of"),
    (ForwardKind.DYNAMIC, "SOCKS proxy opened from"),
    (ForwardKind.LOCAL, "Tunnel opened from"),
    (ForwardKind.STDIO, "Stepping stone opened from"),
)
_NO_OP_WORDS = {
    "-V": "version check only",
    "-G": "configuration check only",
    "-Q": "list of algorithms only",
    "-t": "configuration check only",
    "-T": "configuration check only",
}


def headline(use: SshUse, *, container: str | None) -> str:
    """What happened, in one line, such as `Reverse tunnel out of checkout-7d9f to 203.0.113.9:443`.

    `container` is its name as people know it; None where the agent sent none. The line holds text
    from the arguments: escape it before showing it.
    """
    return shown(_line(use, container or "a container"))


def _line(use: SshUse, place: str) -> str:
    if use.role is SshRole.NO_OP:
        option = use.no_op or ""
        what = _NO_OP_WORDS.get(option, "nothing connected")
        return f"{what}: {use.program} {option}".rstrip()
    if use.role is SshRole.DAEMON:
        return f"{use.program} started inside {place}" + (f", port {use.port}" if use.port else "")
    if use.role is SshRole.INBOUND_SESSION:
        who = f" for {use.user}" if use.user else ""
        program = "sshd" if use.program.startswith("sshd") else use.program
        return f"{program} session{who} in {place}"
    far = f" to {_destination(use)}" if use.destination else ""
    kinds = {forward.kind for forward in use.forwards}
    for kind, words in _TUNNELS:
        if kind in kinds:
            return f"{words} {place}{far}"
    if use.role is SshRole.PERSISTENT_TUNNEL:
        return f"{use.program} keeps a connection open from {place}{far}"
    refused = ", probably refused" if use.has(FindingKind.REFUSED) else ""
    if not far:
        doing = f"without a destination{refused}" if refused else "started"
        return f"{use.program} {doing} in {place}"
    who = f" as {use.user}" if use.user else ""
    return f"{use.program}{far}{who}{refused}"


def _destination(use: SshUse) -> str:
    host = use.destination or ""
    return hosts.with_port(host, use.port) if use.port else host
