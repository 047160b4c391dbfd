"""Headline of an alert: a one-line summary of an SSH invocation."""

from app.domain.ssh import hosts
from app.domain.ssh.model import FindingKind, ForwardKind, SshInvocation, SshRole
from app.domain.text import truncate_with_count

_MAX_LENGTH = 400
_MAX_ALIAS_LENGTH = 60

_TUNNEL_PHRASES = (
    (ForwardKind.REMOTE_DYNAMIC, "Reverse SOCKS proxy out of"),
    (ForwardKind.REMOTE, "Reverse tunnel out of"),
    (ForwardKind.TUN, "Network tunnel out of"),
    (ForwardKind.DYNAMIC, "SOCKS proxy opened from"),
    (ForwardKind.LOCAL, "Tunnel opened from"),
    (ForwardKind.STDIO, "Stdio forward opened from"),
)
_NO_OP_PHRASES = {
    "-V": "version check only",
    "-G": "configuration check only",
    "-Q": "algorithm list only",
    "-t": "configuration check only",
    "-T": "configuration check only",
}


def build_headline(invocation: SshInvocation, *, container: str | None) -> str:
    """Return one line such as `Reverse tunnel out of checkout-7d9f to 203.0.113.9:443`.

    `container` is the container's name, or None if the agent did not send it. The line contains untrusted
    text from the arguments: escape it before display.
    """
    return truncate_with_count(_headline_text(invocation, container or "a container"), _MAX_LENGTH)


def _headline_text(invocation: SshInvocation, place: str) -> str:
    if invocation.script is not None:
        if invocation.has_finding(FindingKind.DAEMON_STARTED):
            return f"a script starts the SSH server in {place}"
        return f"{invocation.script} in {place}"
    if invocation.has_finding(FindingKind.LOCAL_SHELL):
        return f"{_program_and_alias(invocation)} runs a local shell in {place}"
    if invocation.role is SshRole.NO_OP:
        option = invocation.no_op_option or ""
        phrase = _NO_OP_PHRASES.get(option, "no connection")
        return f"{phrase}: {_program_and_alias(invocation)} {option}".rstrip()
    program = _program_and_alias(invocation)
    if invocation.program == "ssh-keyscan":
        return f"{program} asks {_keyscan_targets(invocation)} for host keys from {place}"
    if invocation.role is SshRole.DAEMON:
        return f"{program} started inside {place}" + (
            f", port {invocation.port}" if invocation.port else ""
        )
    if invocation.role is SshRole.INBOUND_SESSION:
        user = f" for {invocation.user}" if invocation.user else ""
        server = "sshd" if invocation.program.startswith("sshd") else program
        return f"{server} session{user} in {place}"
    destination = f" to {_destination_and_port(invocation)}" if invocation.destination else ""
    kinds = {forward.kind for forward in invocation.forwards}
    for kind, phrase in _TUNNEL_PHRASES:
        if kind in kinds:
            renamed = f", {program}" if invocation.alias else ""
            return f"{phrase} {place}{destination}{renamed}"
    if invocation.role is SshRole.PERSISTENT_TUNNEL:
        return f"{program} keeps a connection open from {place}{destination}"
    invalid = ", invalid arguments" if invocation.has_finding(FindingKind.INVALID_ARGUMENTS) else ""
    if not destination:
        status = "without a destination" if invalid else "started"
        return f"{program} {status} in {place}{invalid}"
    user = f" as {invocation.user}" if invocation.user else ""
    return f"{program}{destination}{user}{invalid}"


def _program_and_alias(invocation: SshInvocation) -> str:
    """Return text such as `ssh` or, for a renamed program, `ssh under the name kworker`."""
    if invocation.alias is None:
        return invocation.program
    alias = truncate_with_count(invocation.alias, _MAX_ALIAS_LENGTH)
    return f"{invocation.program} under the name {alias}"


def _keyscan_targets(invocation: SshInvocation) -> str:
    """Return text such as `10.0.0.0/24 and 2 more targets`."""
    if invocation.destination is None:
        return f"the hosts in {invocation.target_file}" if invocation.target_file else "no host"
    more = len(invocation.more_targets)
    extra = f" and {more:,} more target{'s' if more > 1 else ''}" if more else ""
    return invocation.destination + extra


def _destination_and_port(invocation: SshInvocation) -> str:
    host = invocation.destination or ""
    return hosts.join_host_port(host, invocation.port) if invocation.port else host
