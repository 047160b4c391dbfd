"""Functions that yield the messages of the findings of SSH clients and tunnels.

Sources: ssh(1) and ssh_config(5). Labels and risks are in client_findings.py.
"""

import re
from collections.abc import Callable

from app.domain.ssh import hosts
from app.domain.ssh.finding_rule import FindingMessages
from app.domain.ssh.model import Forward, ForwardKind
from app.domain.ssh.parse_state import ParseState


def forwards(
    kind: ForwardKind, describe: Callable[[Forward], str]
) -> Callable[[ParseState], FindingMessages]:
    def find_messages(state: ParseState) -> FindingMessages:
        for forward in state.forwards:
            if forward.kind is kind:
                yield describe(forward), forward.arg_indexes

    return find_messages


def listen_address(listen: str | None) -> str:
    """Describe a listening address: `8080` as "port 8080", `/run/x.sock` as "the socket /run/x.sock"."""
    text = listen or ""
    if text == "0":
        return "a port chosen by the server"
    if text.isdigit():
        return f"port {text}"
    return f"the socket {text}" if "/" in text else text


def target_location(target: str | None, *, local: str, end: str) -> str:
    """Describe where the target of a forward is. Messages show this text after the target.

    `end` is the end of the connection that connects to the target, such as "this container". For a socket or
    a loopback address, the text is `local`, such as "in this container". For `db:80`, it is "through this
    container", because this container resolves the name `db`.
    """
    text = target or ""
    is_local = "/" in text or text.startswith(("localhost:", "127.", "[::1]:"))
    return local if is_local else f"through {end}"


def setting(
    keyword: str, message_by_value: dict[str, str]
) -> Callable[[ParseState], FindingMessages]:
    """Return a function that yields the message for the value of `keyword`.

    The function yields nothing if the command line does not set `keyword`. `message_by_value` maps values to
    messages. Its key `*` has the message for all values that are not listed. In a message, `{}` is replaced
    by the value. If the message is empty, the function yields nothing.
    """

    def find_messages(state: ParseState) -> FindingMessages:
        setting = state.settings.get(keyword)
        if setting is not None:
            message = message_by_value.get(setting.value.lower(), message_by_value.get("*", ""))
            if message:
                yield message.replace("{}", setting.value), setting.arg_indexes

    return find_messages


def jump_hosts(state: ParseState) -> FindingMessages:
    if state.jump_hosts:
        route = ", then ".join(
            hosts.join_host_port(hop.host, hop.port) if hop.port else hop.host
            for hop in state.jump_hosts
        )
        yield (
            f"Connects through the jump host {route}: check it for a session from this container.",
            state.settings["proxyjump"].arg_indexes,
        )


def local_command(state: ParseState) -> FindingMessages:
    command = state.settings.get("localcommand")
    permitted = state.settings.get("permitlocalcommand")
    if permitted is None or permitted.value != "yes":
        return
    if command is None:
        yield (
            "Lets ssh run local commands in this container (PermitLocalCommand). The user enters a local"
            " command with ~C, or the configuration sets it with LocalCommand.",
            permitted.arg_indexes,
        )
    elif command.value.lower() != "none":
        arg_indexes = tuple(sorted({*command.arg_indexes, *permitted.arg_indexes}))
        yield f"Runs a command in this container after connecting: {command.value}", arg_indexes


# A shell as a command of its own, without `-c` and a command string, and without a script.
_INTERACTIVE_SHELL = re.compile(
    r"""(?:^|[\s;&|(/'"`=])(?:ba|da|z|k|a|c|tc|fi)?sh(?=$|[\s;&|)<>'"`])(?!\s+(?:-\w*c(?:\s|$)|(?!\d*[<>])[^\s;&|()<>#-]))"""
)


def local_shell(state: ParseState) -> FindingMessages:
    """Yield a message for each setting whose command starts an interactive shell in the container."""
    permitted = state.settings.get("permitlocalcommand")
    for keyword in ("proxycommand", "localcommand", "knownhostscommand"):
        command = state.settings.get(keyword)
        if command is None or not _INTERACTIVE_SHELL.search(command.value):
            continue
        if keyword == "localcommand" and (permitted is None or permitted.value != "yes"):
            continue
        yield (
            f"Starts a shell in this container, not on the remote host: {command.value}",
            command.arg_indexes,
        )


def provider_libraries(state: ParseState) -> FindingMessages:
    for keyword in ("pkcs11provider", "securitykeyprovider"):
        setting = state.settings.get(keyword)
        if setting is not None and setting.value.lower() not in ("", "none", "internal"):
            yield (
                f"Loads the library {setting.value}, whose code runs in this container.",
                setting.arg_indexes,
            )


def helper_programs(state: ParseState) -> FindingMessages:
    xauth = state.settings.get("xauthlocation")
    for helper in [*state.helper_programs, *([xauth] if xauth else [])]:
        yield f"Runs {helper.value} instead of the default helper program.", helper.arg_indexes


def disguised_destination(state: ParseState) -> FindingMessages:
    host_name, host = state.settings.get("hostname"), state.host
    if host is None:
        return
    address = hosts.normalize_host(host.value)
    if host_name is None and ":" not in address and address != hosts.ascii_lower(host.value):
        yield (
            f"Writes the address {address} in the unusual form {host.value}.",
            host.arg_indexes,
        )
    elif host_name is not None:
        real = hosts.expand_host_name(host_name.value, host.value)
        if real.lower() != host.value.lower():
            arg_indexes = tuple(sorted({*host_name.arg_indexes, *host.arg_indexes}))
            yield f"Names {host.value} as the destination but connects to {real}.", arg_indexes


def known_hosts_discarded(state: ParseState) -> FindingMessages:
    setting = state.settings.get("userknownhostsfile")
    if setting is not None and set(setting.value.lower().split()) <= {"/dev/null", "none"}:
        yield (
            "Discards host keys, so that a changed host key is not detected and known_hosts does not"
            " record the destination.",
            setting.arg_indexes,
        )


def identity_files(state: ParseState) -> FindingMessages:
    for identity in state.identity_files:
        yield (
            f"Uses the key {identity.value}: check who owns it and whether it is allowed in this"
            " container.",
            identity.arg_indexes,
        )


def config_file(state: ParseState) -> FindingMessages:
    if state.config_file is not None and state.config_file.value.lower() != "none":
        yield (
            f"Reads its configuration from {state.config_file.value}: check that file, which can add"
            " forwards and commands.",
            state.config_file.arg_indexes,
        )


def connection_sharing(state: ParseState) -> FindingMessages:
    master = state.settings.get("controlmaster")
    path = state.settings.get("controlpath")
    if path is not None and path.value.lower() == "none":
        return
    command = state.settings.get("controlcommand")
    arg_indexes = tuple(
        sorted({i for s in (master, path, command) if s is not None for i in s.arg_indexes})
    )
    socket = f" at {path.value}" if path else ""
    if command is not None:
        yield f"Sends a command to an existing shared connection{socket}.", arg_indexes
    elif master is not None and master.value != "no":
        yield (
            f"Opens a control socket{socket} through which other processes of this user can use the"
            " connection without authentication.",
            arg_indexes,
        )
    elif path is not None:
        yield f"Uses an existing shared connection{socket} if there is one.", arg_indexes


def log_file(state: ParseState) -> FindingMessages:
    if state.log_file is not None:
        yield (
            f"Writes its log to {state.log_file.value} instead of the container's log.",
            state.log_file.arg_indexes,
        )


def background(state: ParseState) -> FindingMessages:
    if state.background is not None:
        yield (
            "Keeps running in the background.",
            state.background.arg_indexes,
        )


def no_command(state: ParseState) -> FindingMessages:
    if state.no_command is not None and not any(
        forward.kind is ForwardKind.STDIO for forward in state.forwards
    ):
        yield (
            "Runs no remote command: the connection is used only for forwarding.",
            state.no_command.arg_indexes,
        )


def auto_reconnect(state: ParseState) -> FindingMessages:
    if state.auto_reconnect:
        yield (
            "autossh reconnects when the connection breaks: stop autossh, not only ssh.",
            state.program_indexes,
        )


def remote_command(state: ParseState) -> FindingMessages:
    config_command = state.settings.get("remotecommand")
    if state.get_value("sessiontype") == "subsystem":
        if state.remote_command:
            yield f"Requests the subsystem {state.remote_command[0]}.", state.remote_command_indexes
    elif state.remote_command:
        yield (
            f"Runs a command on the remote host: {' '.join(state.remote_command)}",
            state.remote_command_indexes,
        )
    elif config_command is not None and config_command.value.lower() != "none":
        yield (
            f"Runs a command on the remote host: {config_command.value}",
            config_command.arg_indexes,
        )
