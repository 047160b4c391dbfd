"""The one line an alert is known by; the sentences below it are left to findings."""

from app.domain.ssh import hosts
from app.domain.ssh.model import FindingKind, ForwardKind, SshInvocation, SshRole
from app.domain.ssh.shown import truncate_message

_TUNNEL_PHRASES = (
    (ForwardKind.REMOTE_DYNAMIC, "Reverse SOCKS proxy out of"),
    (ForwardKind.REMOTE, "Reverse tunnel out of"),
    (ForwardKind.TUN, "Network tunnel out of"),
    (ForwardKind.DYNAMIC, "SOCKS proxy opened from"),
    (ForwardKind.LOCAL, "Tunnel opened from"),
    (ForwardKind.STDIO, "Stepping stone opened from"),
)
_NO_OP_PHRASES = {
    "-V": "version check only",
    "-G": "configuration check only",
    "-Q": "list of algorithms only",
    "-t": "configuration check only",
    "-T": "configuration check only",
}


def build_headline(invocation: SshInvocation, *, container: str | None) -> str:
    """What happened, in one line, such as `Reverse tunnel out of checkout-7d9f to 203.0.113.9:443`.

    `container` is its name as people know it; None where the agent sent none. The line holds text
    from the arguments: escape it before showing it.
    """
    return truncate_message(_headline_text(invocation, container or "a container"))


def _headline_text(invocation: SshInvocation, place: str) -> str:
    if invocation.role is SshRole.NO_OP:
        option = invocation.no_op_option or ""
        what = _NO_OP_PHRASES.get(option, "nothing connected")
        return f"{what}: {invocation.program} {option}".rstrip()
    if invocation.role is SshRole.DAEMON:
        return f"{invocation.program} started inside {place}" + (
            f", port {invocation.port}" if invocation.port else ""
        )
    if invocation.role is SshRole.INBOUND_SESSION:
        who = f" for {invocation.user}" if invocation.user else ""
        program = "sshd" if invocation.program.startswith("sshd") else invocation.program
        return f"{program} session{who} in {place}"
    far = f" to {_destination_and_port(invocation)}" if invocation.destination else ""
    kinds = {forward.kind for forward in invocation.forwards}
    for kind, words in _TUNNEL_PHRASES:
        if kind in kinds:
            return f"{words} {place}{far}"
    if invocation.role is SshRole.PERSISTENT_TUNNEL:
        return f"{invocation.program} keeps a connection open from {place}{far}"
    refused = ", probably refused" if invocation.has_finding(FindingKind.INVALID_ARGUMENTS) else ""
    if not far:
        doing = f"without a destination{refused}" if refused else "started"
        return f"{invocation.program} {doing} in {place}"
    who = f" as {invocation.user}" if invocation.user else ""
    return f"{invocation.program}{far}{who}{refused}"


def _destination_and_port(invocation: SshInvocation) -> str:
    host = invocation.destination or ""
    return hosts.join_host_port(host, invocation.port) if invocation.port else host
