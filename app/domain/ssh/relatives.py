"""Parsers of scp, sftp, dbclient and dropbear: role, destination and connection settings.

Sources: scp(1), sftp(1), dbclient(1), dropbear(8).
"""

from collections.abc import Callable, Sequence

from app.domain.ssh import hosts, value_parsers
from app.domain.ssh.getopt import MISSING_VALUE, UNKNOWN_OPTION, Getopt, Option
from app.domain.ssh.model import ForwardKind, HostSpec, SshRole
from app.domain.ssh.options import apply_config_line, apply_forward, apply_jump_hosts, apply_port
from app.domain.ssh.parse_state import ArgumentValue, ParseState, remaining_args

_Handlers = dict[str, Callable[[ParseState, Option], None]]


def parse_scp_or_sftp(program: str, args: Sequence[str], start: int = 1) -> ParseState:
    """Parse the arguments of scp or sftp. The first remote operand (`user@host:path`) sets the host."""
    state = ParseState(program)
    flags, value_options = _COPY_OPTION_LETTERS[program]
    getopt = Getopt(args, start, flags=flags, value_options=value_options)
    for option in getopt:
        _apply_option(_COPY_HANDLERS, state, option)
        if program == "scp" and option.letter in "tf":
            # With -t or -f, scp is the server side of a copy, which sshd starts.
            state.role = SshRole.INBOUND_SESSION
            state.inbound_session = ArgumentValue("copy", option.arg_indexes)
        elif program == "scp" and option.letter in "S":
            state.helper_programs.append(ArgumentValue(option.value or "", option.arg_indexes))
        elif option.letter == "P":
            apply_port(state, option.value or "", option.arg_indexes)
        elif program == "sftp" and option.letter in "SD":
            state.helper_programs.append(ArgumentValue(option.value or "", option.arg_indexes))
    if state.inbound_session is None:
        for index in range(getopt.position, len(args)):
            if _apply_copy_operand(state, args[index], index, allow_bare_host=program == "sftp"):
                break
    return state


def parse_dbclient(program: str, args: Sequence[str], start: int = 1) -> ParseState:
    """Parse the arguments of dbclient, the client of Dropbear.

    The first operand is a list of hosts, separated by commas. Each host has the form `[user@]host[/port]`.
    The last host is the destination, and the earlier hosts are jump hosts. In `jump/2222,erp@web`, `web` is
    the destination and `jump` is a jump host.
    """
    state = ParseState(program)
    getopt = Getopt(args, start, flags=_DBCLIENT_FLAGS, value_options=_DBCLIENT_VALUE_OPTIONS)
    for option in getopt:
        _apply_option(_DBCLIENT_HANDLERS, state, option)
        if option.letter == "V":
            state.role = SshRole.NO_OP
            return state
    position = getopt.position
    if position >= len(args):
        state.record_error("no destination", ())
        return state
    *before, last = [_parse_dropbear_host(word) for word in args[position].split(",")]
    state.jump_hosts = tuple(before)
    if before:
        state.set_value("proxyjump", args[position], (position,))
    state.host = ArgumentValue(last.host, (position,))
    if last.user is not None:
        state.set_value("user", last.user, (position,))
    if last.port is not None:
        state.set_value("port", str(last.port), (position,))
    # Like ssh, dbclient accepts options after the host.
    rest = Getopt(args, position + 1, flags=_DBCLIENT_FLAGS, value_options=_DBCLIENT_VALUE_OPTIONS)
    for option in rest:
        _apply_option(_DBCLIENT_HANDLERS, state, option)
    state.remote_command, state.remote_command_indexes = remaining_args(args, rest.position)
    if state.is_persistent_tunnel:
        state.role = SshRole.PERSISTENT_TUNNEL
    return state


def parse_dropbear(program: str, args: Sequence[str], start: int = 1) -> ParseState:
    """Parse the arguments of dropbear, the server of Dropbear. The value of `-p` is `[address:]port`."""
    state = ParseState(program, role=SshRole.DAEMON)
    for option in Getopt(args, start, flags="REFBmwsgtjkaizxVeQvq", value_options="brpPWKIGcDTlA"):
        _apply_option(_DROPBEAR_HANDLERS, state, option)
        if option.letter == "V":
            state.role = SshRole.NO_OP
            break
    if state.inbound_session is not None and state.role is SshRole.DAEMON:
        state.role = SshRole.INBOUND_SESSION
    return state


def _apply_option(handlers: _Handlers, state: ParseState, option: Option) -> None:
    handler = handlers.get(option.letter)
    if handler is not None:
        handler(state, option)


def _apply_copy_operand(state: ParseState, word: str, index: int, *, allow_bare_host: bool) -> bool:
    """Set the host from `word` and return True, or return False if `word` is a local file.

    - A URI such as `scp://web/data` is a remote file.
    - A word with a colon before its first slash, such as `web:/data`, is a remote file.
    - If `word` is not a remote file, `allow_bare_host` decides. If `allow_bare_host` is true, `word` is a
      host, as in `sftp web`. If `allow_bare_host` is false, `word` is a local file.
    """
    arg_indexes = (index,)
    for scheme in ("scp", "sftp"):
        if word.startswith(f"{scheme}://"):
            host_spec = value_parsers.parse_uri(word, scheme)
            if host_spec is None:
                state.record_error(f"malformed {scheme}:// URI", arg_indexes)
                return True
            return _apply_host_spec(state, host_spec, arg_indexes)
    login, at_sign, rest = word.rpartition("@") if not word.startswith("[") else ("", "", word)
    colon = rest.find("]:") + 1 if rest.startswith("[") else rest.find(":")
    slash = rest.find("/")
    if colon > 0 and (slash == -1 or colon < slash):
        rest = rest[:colon]
    elif not allow_bare_host:
        return False
    return _apply_host_spec(
        state, HostSpec(hosts.strip_brackets(rest), login if at_sign else None, None), arg_indexes
    )


def _apply_host_spec(state: ParseState, host_spec: HostSpec, arg_indexes: tuple[int, ...]) -> bool:
    state.host = ArgumentValue(host_spec.host, arg_indexes)
    if host_spec.user is not None:
        state.set_if_unset("user", host_spec.user, arg_indexes)
    if host_spec.port is not None:
        state.set_if_unset("port", str(host_spec.port), arg_indexes)
    return True


def _parse_dropbear_host(word: str) -> HostSpec:
    user, _, rest = word.rpartition("@")
    host, _, port = rest.partition("/") if "/" in rest else rest.partition("^")
    return HostSpec(
        hosts.strip_brackets(host), user or None, value_parsers.parse_nonzero_port(port)
    )


def _setting_handler(
    keyword: str, fixed: str | None = None
) -> Callable[[ParseState, Option], None]:
    def handle(state: ParseState, option: Option) -> None:
        value = fixed if fixed is not None else option.value or ""
        state.set_value(keyword, value, option.arg_indexes)

    return handle


def _forward_handler(kind: ForwardKind) -> Callable[[ParseState, Option], None]:
    return lambda state, option: apply_forward(state, kind, option.value or "", option.arg_indexes)


def _add_stdio_forward(state: ParseState, option: Option) -> None:
    state.add_forward(ForwardKind.STDIO, None, option.value, option.arg_indexes)


def _add_identity_file(state: ParseState, option: Option) -> None:
    state.identity_files.append(ArgumentValue(option.value or "", option.arg_indexes))


def _set_background(state: ParseState, option: Option) -> None:
    state.background = ArgumentValue("yes", option.arg_indexes)


def _set_no_command(state: ParseState, option: Option) -> None:
    state.no_command = ArgumentValue("yes", option.arg_indexes)


def _mark_no_op(state: ParseState, option: Option) -> None:
    state.no_op_option = ArgumentValue(f"-{option.letter}", option.arg_indexes)


def _set_config_file(state: ParseState, option: Option) -> None:
    state.config_file = ArgumentValue(option.value or "", option.arg_indexes)


def _set_inetd(state: ParseState, option: Option) -> None:
    state.set_value("inetd", "yes", option.arg_indexes)
    state.inbound_session = ArgumentValue("one connection", option.arg_indexes)


def _apply_dropbear_port(state: ParseState, option: Option) -> None:
    text = (option.value or "").rpartition(":")[2]
    apply_port(state, text, option.arg_indexes)
    if value_parsers.parse_nonzero_port(text):
        state.ports.append(
            ArgumentValue(str(value_parsers.parse_nonzero_port(text)), option.arg_indexes)
        )


_COPY_OPTION_LETTERS = {
    "scp": ("12346ABCTdfOpqRrstv", "DFJMPScilXo"),
    "sftp": ("1246AafhNpqrvC", "cDilosSbBFJPRX"),
}
_COPY_HANDLERS: _Handlers = {
    UNKNOWN_OPTION: lambda state, option: state.record_error(
        f"unknown option -{option.value}", option.arg_indexes
    ),
    MISSING_VALUE: lambda state, option: state.record_error(
        f"-{option.value} has no value", option.arg_indexes
    ),
    "A": _setting_handler("forwardagent", "yes"),
    "F": _set_config_file,
    "i": _add_identity_file,
    "J": lambda state, option: apply_jump_hosts(state, option.value or "", option.arg_indexes),
    "o": lambda state, option: apply_config_line(state, option.value or "", option.arg_indexes),
}
_DBCLIENT_FLAGS = "hTtNfyAgsVvnzq"
_DBCLIENT_VALUE_OPTIONS = "plioLRWKIBJcmbDFeS"
_DBCLIENT_HANDLERS: _Handlers = {
    "A": _setting_handler("forwardagent", "yes"),
    "B": _add_stdio_forward,
    "f": _set_background,
    "g": _setting_handler("gatewayports", "yes"),
    "i": _add_identity_file,
    "J": _setting_handler("proxycommand"),
    "L": _forward_handler(ForwardKind.LOCAL),
    "l": _setting_handler("user"),
    "N": _set_no_command,
    "p": lambda state, option: apply_port(state, option.value or "", option.arg_indexes),
    "R": _forward_handler(ForwardKind.REMOTE),
    "V": _mark_no_op,
    "y": _setting_handler("stricthostkeychecking", "no"),
}
_DROPBEAR_HANDLERS: _Handlers = {
    "c": _setting_handler("forcecommand"),
    "D": _setting_handler("authorizedkeysfile"),
    "F": lambda state, option: setattr(state, "foreground", ArgumentValue("", option.arg_indexes)),
    "i": _set_inetd,
    "p": _apply_dropbear_port,
    "r": _setting_handler("hostkey"),
    "V": _mark_no_op,
}
