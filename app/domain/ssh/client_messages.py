"""What is said about a client or a tunnel, each with the arguments it comes from.

ssh(1) and ssh_config(5) are the sources. Labels and risks are left to client_findings.
"""

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
    """`8080` as `port 8080`, a path as a socket, anything else as it is."""
    text = listen or ""
    if text == "0":
        return "a port that the server chooses"
    if text.isdigit():
        return f"port {text}"
    return f"the socket {text}" if "/" in text else text


def setting(
    keyword: str, message_by_value: dict[str, str]
) -> Callable[[ParseState], FindingMessages]:
    """One sentence for each value of a keyword; `{}` becomes the value, key `*` is any other."""

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
            f"Goes through {route} before the destination: look for a session from here there too.",
            state.settings["proxyjump"].arg_indexes,
        )


def local_command(state: ParseState) -> FindingMessages:
    command = state.settings.get("localcommand")
    permitted = state.settings.get("permitlocalcommand")
    if permitted is None or permitted.value != "yes":
        return
    if command is None:
        yield (
            "Allows commands on this side (PermitLocalCommand): typed after ~! or set in the"
            " configuration, they run in this container.",
            permitted.arg_indexes,
        )
    elif command.value.lower() != "none":
        arg_indexes = tuple(sorted({*command.arg_indexes, *permitted.arg_indexes}))
        yield f"Runs in this container once it is connected: {command.value}", arg_indexes


def provider_libraries(state: ParseState) -> FindingMessages:
    for keyword in ("pkcs11provider", "securitykeyprovider"):
        setting = state.settings.get(keyword)
        if setting is not None and setting.value.lower() not in ("", "none", "internal"):
            yield (
                f"Loads the library {setting.value} into itself: its code runs in this container.",
                setting.arg_indexes,
            )


def helper_programs(state: ParseState) -> FindingMessages:
    xauth = state.settings.get("xauthlocation")
    for helper in [*state.helper_programs, *([xauth] if xauth else [])]:
        yield f"Runs {helper.value} in place of the usual helper program.", helper.arg_indexes


def disguised_destination(state: ParseState) -> FindingMessages:
    host_name, host = state.settings.get("hostname"), state.host
    if host is None:
        return
    address = hosts.normalize_host(host.value)
    if host_name is None and ":" not in address and address != hosts.ascii_lower(host.value):
        yield (
            f"Writes the address {address} as {host.value}, which few people do.",
            host.arg_indexes,
        )
    elif host_name is not None:
        real = hosts.expand_host_name(host_name.value, host.value)
        if real.lower() != host.value.lower():
            arg_indexes = tuple(sorted({*host_name.arg_indexes, *host.arg_indexes}))
            yield f"Says {host.value} on the line but connects to {real}.", arg_indexes


def known_hosts_discarded(state: ParseState) -> FindingMessages:
    setting = state.settings.get("userknownhostsfile")
    if setting is not None and set(setting.value.lower().split()) <= {"/dev/null", "none"}:
        yield (
            "Forgets every host key it is shown, so that a changed server goes unnoticed and no"
            " trace of the destination stays in known_hosts.",
            setting.arg_indexes,
        )


def identity_files(state: ParseState) -> FindingMessages:
    for identity in state.identity_files:
        yield (
            f"Logs in with the key {identity.value}: find out whose it is and whether it belongs"
            " in this container.",
            identity.arg_indexes,
        )


def config_file(state: ParseState) -> FindingMessages:
    if state.config_file is not None and state.config_file.value.lower() != "none":
        yield (
            f"Takes its settings from {state.config_file.value}: read that file, it can add"
            " forwards and commands that are not on this line.",
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
        yield f"Hands its request to a connection that is open already{socket}.", arg_indexes
    elif master is not None and master.value != "no":
        yield (
            f"Keeps a socket{socket} through which any process of this user can use the"
            " connection without logging in.",
            arg_indexes,
        )
    elif path is not None:
        yield f"Uses a connection that is open already{socket}, if there is one.", arg_indexes


def log_file(state: ParseState) -> FindingMessages:
    if state.log_file is not None:
        yield (
            f"Writes its messages to {state.log_file.value}, not to the container's log.",
            state.log_file.arg_indexes,
        )


def background(state: ParseState) -> FindingMessages:
    if state.background is not None:
        yield (
            "Goes on in the background, after the command that started it has ended.",
            state.background.arg_indexes,
        )


def no_command(state: ParseState) -> FindingMessages:
    if state.no_command is not None and not any(
        forward.kind is ForwardKind.STDIO for forward in state.forwards
    ):
        yield (
            "Runs no command on the far side: the connection itself is the purpose.",
            state.no_command.arg_indexes,
        )


def auto_reconnect(state: ParseState) -> FindingMessages:
    if state.auto_reconnect:
        yield (
            "autossh opens the connection again whenever it breaks: stop autossh, not only ssh.",
            state.program_indexes,
        )


def remote_command(state: ParseState) -> FindingMessages:
    config_command = state.settings.get("remotecommand")
    if state.get_value("sessiontype") == "subsystem":
        if state.remote_command:
            yield f"Asks for the subsystem {state.remote_command[0]}.", state.remote_command_indexes
    elif state.remote_command:
        yield (
            f"Runs on the far side: {' '.join(state.remote_command)}",
            state.remote_command_indexes,
        )
    elif config_command is not None and config_command.value.lower() != "none":
        yield f"Runs on the far side: {config_command.value}", config_command.arg_indexes
