"""Parser of the arguments of ssh and autossh. Options have the same precedence as in ssh(1).

The module is long because autossh, ssh and their options are parsed into the same state.
"""

import re
from collections.abc import Callable, Sequence

from app.domain.ssh import value_parsers
from app.domain.ssh.getopt import MISSING_VALUE, UNKNOWN_OPTION, Getopt, Option
from app.domain.ssh.model import ForwardKind, SshRole
from app.domain.ssh.options import apply_config_line, apply_forward, apply_jump_hosts, apply_port
from app.domain.ssh.parse_state import ArgIndexes, ArgumentValue, ParseState, remaining_args

_FLAGS = "1246AaCfGgKkMNnqsTtVvXxYy"
# OpenSSH 9.4 added `-P tag`. In earlier releases, -P was a flag without effect.
_VALUE_OPTIONS = "BbcDEeFIiJLlmOoPpQRSWw"
_NO_OP_CONTROL_COMMANDS = frozenset({"check", "exit", "stop", "cancel"})
_CONTROL_COMMANDS = _NO_OP_CONTROL_COMMANDS | {"forward", "proxy"}

# Option letters that set keywords. Unlike `-o`, these letters replace an earlier value.
_FLAG_SETTINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "4": (("addressfamily", "inet"),),
    "6": (("addressfamily", "inet6"),),
    "a": (("forwardagent", "no"),),
    "C": (("compression", "yes"),),
    "f": (("forkafterauthentication", "yes"), ("stdinnull", "yes")),
    "g": (("gatewayports", "yes"),),
    "n": (("stdinnull", "yes"),),
    "q": (("loglevel", "quiet"),),
    "T": (("requesttty", "no"),),
    "X": (("forwardx11", "yes"),),
    "x": (("forwardx11", "no"),),
    "Y": (("forwardx11", "yes"), ("forwardx11trusted", "yes")),
}
_VALUE_OPTION_KEYWORDS = {
    "B": "bindinterface",
    "b": "bindaddress",
    "c": "ciphers",
    "e": "escapechar",
    "I": "pkcs11provider",
    "m": "macs",
    "P": "tag",
    "S": "controlpath",
}
_HOST_AND_PORT = re.compile(r".*:[0-9]+", re.DOTALL | re.ASCII)


def parse_client(program: str, args: Sequence[str], start: int = 1) -> ParseState:
    """Parse the arguments of ssh or autossh; `start` is the index after the program's name."""
    state = ParseState(program)
    autossh = program == "autossh"
    position, flags, value_options = start, _FLAGS, _VALUE_OPTIONS
    if autossh:
        # autossh(1): -M is an option of autossh and takes a value. autossh handles -f and -V itself and
        # passes all other options to ssh.
        flags, value_options = flags.replace("M", ""), value_options + "M"
        state.auto_reconnect = True
    host_seen = False
    while True:
        getopt = Getopt(args, position, flags=flags, value_options=value_options)
        for option in getopt:
            _HANDLERS.get(option.letter, _apply_setting)(state, option)
            if state.no_op_option is not None and option.letter in "VQ":
                return _finish(state, args)  # ssh exits at -V and -Q
        position = getopt.position
        if host_seen or position >= len(args):
            break
        _apply_destination(state, args[position], position)
        host_seen = True
        position += 1
        if getopt.ended_by_double_dash:
            break
    state.remote_command, state.remote_command_indexes = remaining_args(args, position)
    return _finish(state, args)


def _apply_destination(state: ParseState, word: str, position: int) -> None:
    arg_indexes = (position,)
    if word.startswith("ssh://"):
        host_spec = value_parsers.parse_uri(word)
        if host_spec is None:
            state.record_error("malformed ssh:// URI", arg_indexes)
            return
        state.host = ArgumentValue(host_spec.host, arg_indexes)
        if host_spec.user is not None:
            state.set_if_unset("user", host_spec.user, arg_indexes)
        if host_spec.port is not None:
            state.set_if_unset("port", str(host_spec.port), arg_indexes)
        return
    user, sign, host = word.rpartition("@")
    if sign and not user:
        state.record_error("empty user before @", arg_indexes)
    elif sign:
        state.set_if_unset("user", user, arg_indexes)
    state.host = ArgumentValue(host, arg_indexes)
    if value_parsers.is_invalid_host(host):
        state.record_error("invalid characters in the host name", arg_indexes)


def _apply_setting(state: ParseState, option: Option) -> None:
    for keyword, value in _FLAG_SETTINGS.get(option.letter, ()):
        state.set_value(keyword, value, option.arg_indexes)
    if option.letter in _VALUE_OPTION_KEYWORDS:
        state.set_value(
            _VALUE_OPTION_KEYWORDS[option.letter], option.value or "", option.arg_indexes
        )


def _apply_agent_forwarding(state: ParseState, option: Option) -> None:
    # -A does not replace the socket path of an earlier `-o ForwardAgent=/run/agent.sock`.
    if state.get_value("forwardagent") in (None, "no"):
        state.set_value("forwardagent", "yes", option.arg_indexes)


def _apply_jump_option(state: ParseState, option: Option) -> None:
    if "proxyjump" in state.settings:
        state.record_error("-J is given twice", option.arg_indexes)
    elif "proxycommand" in state.settings:
        state.record_error("-J and a proxy command exclude each other", option.arg_indexes)
    apply_jump_hosts(state, option.value or "", option.arg_indexes)


def _apply_tun(state: ParseState, option: Option) -> None:
    device = option.value or ""
    if value_parsers.parse_tun_devices(device) is None:
        state.record_error(f"invalid tun device {device!r}", option.arg_indexes)
        return
    state.set_if_unset("tunnel", "point-to-point", option.arg_indexes)
    state.set_value("tunneldevice", device, option.arg_indexes)


def _apply_stdio_forward(state: ParseState, option: Option) -> None:
    spec = value_parsers.parse_forward(option.value or "", dynamic=True, remote=False)
    if spec is None or spec.target is not None:
        state.record_error(f"invalid address {option.value!r} for -W", option.arg_indexes)
        return
    state.set_value("requesttty", "no", option.arg_indexes)
    state.set_value("sessiontype", "none", option.arg_indexes)
    if not _HOST_AND_PORT.fullmatch(spec.listen):
        # ssh accepts a value without a host (`-W 8080`), but opens no forward for this value.
        return
    if any(forward.kind is ForwardKind.STDIO for forward in state.forwards):
        state.record_error("-W is given twice", option.arg_indexes)
        return
    state.add_forward(ForwardKind.STDIO, None, spec.listen, option.arg_indexes)


def _session_type_handler(kind: str) -> Callable[[ParseState, Option], None]:
    def handle(state: ParseState, option: Option) -> None:
        if state.get_value("sessiontype") not in (None, kind):
            state.record_error("-N and -s exclude each other", option.arg_indexes)
        state.set_value("sessiontype", kind, option.arg_indexes)
        if kind == "none":
            state.set_value("requesttty", "no", option.arg_indexes)

    return handle


def _repeatable_flag_handler(
    keyword: str, once: str, again: str
) -> Callable[[ParseState, Option], None]:
    def handle(state: ParseState, option: Option) -> None:
        value = again if state.get_value(keyword) == once else once
        state.set_value(keyword, value, option.arg_indexes)

    return handle


def _apply_control_command(state: ParseState, option: Option) -> None:
    command = option.value or ""
    if command not in _CONTROL_COMMANDS:
        state.record_error(f"unknown command {command!r} for -O", option.arg_indexes)
    state.set_value("controlcommand", command, option.arg_indexes)
    if command in _NO_OP_CONTROL_COMMANDS:
        state.no_op_option = ArgumentValue(f"-O {command}", option.arg_indexes)


def _mark_no_op(state: ParseState, option: Option) -> None:
    state.no_op_option = ArgumentValue(f"-{option.letter}", option.arg_indexes)


def _apply_master_or_monitor_port(state: ParseState, option: Option) -> None:
    """Apply `-M`: in autossh, it sets the monitoring port (`-M port[:echo_port]`); in ssh, it is a flag."""
    if option.value is None:
        _repeatable_flag_handler("controlmaster", "yes", "ask")(state, option)
    else:
        state.set_value("monitorport", option.value, option.arg_indexes)


def _record_unknown_option(state: ParseState, option: Option) -> None:
    state.record_error(f"unknown option -{option.value}", option.arg_indexes)


def _record_missing_value(state: ParseState, option: Option) -> None:
    state.record_error(f"-{option.value} has no value", option.arg_indexes)


def _forward_handler(kind: ForwardKind) -> Callable[[ParseState, Option], None]:
    return lambda state, option: apply_forward(state, kind, option.value or "", option.arg_indexes)


def _set_config_file(state: ParseState, option: Option) -> None:
    state.config_file = ArgumentValue(option.value or "", option.arg_indexes)


def _set_log_file(state: ParseState, option: Option) -> None:
    state.log_file = ArgumentValue(option.value or "", option.arg_indexes)


_HANDLERS: dict[str, Callable[[ParseState, Option], None]] = {
    UNKNOWN_OPTION: _record_unknown_option,
    MISSING_VALUE: _record_missing_value,
    "1": lambda state, option: state.record_error(
        "SSH protocol 1 is not supported", option.arg_indexes
    ),
    "A": _apply_agent_forwarding,
    "D": _forward_handler(ForwardKind.DYNAMIC),
    "E": _set_log_file,
    "F": _set_config_file,
    "G": _mark_no_op,
    "i": lambda state, option: state.identity_files.append(
        ArgumentValue(option.value or "", option.arg_indexes)
    ),
    "J": _apply_jump_option,
    "L": _forward_handler(ForwardKind.LOCAL),
    "l": lambda state, option: state.set_if_unset("user", option.value or "", option.arg_indexes),
    "M": _apply_master_or_monitor_port,
    "N": _session_type_handler("none"),
    "O": _apply_control_command,
    "o": lambda state, option: apply_config_line(state, option.value or "", option.arg_indexes),
    "p": lambda state, option: (
        None
        if "port" in state.settings
        else apply_port(state, option.value or "", option.arg_indexes)
    ),
    "Q": _mark_no_op,
    "R": _forward_handler(ForwardKind.REMOTE),
    "s": _session_type_handler("subsystem"),
    "t": _repeatable_flag_handler("requesttty", "yes", "force"),
    "V": _mark_no_op,
    "W": _apply_stdio_forward,
    "w": _apply_tun,
}


def _finish(state: ParseState, args: Sequence[str]) -> ParseState:
    """Complete the state after the last argument.

    This resolves the port forwards, checks for errors and sets the SshRole (client, persistent tunnel or
    no-op).
    """
    _resolve_forwards(state)
    settings = state.settings
    session = settings.get("sessiontype")
    if session is not None and session.value == "none":
        state.no_command = session
    fork = settings.get("forkafterauthentication")
    if fork is not None and fork.value == "yes":
        state.background = fork
    has_config_command = (state.get_value("remotecommand") or "none").lower() != "none"
    if args and (state.no_op_option is None or state.no_op_option.value == "-G"):
        _check_arguments(state, bool(state.remote_command), has_config_command)
    if state.no_op_option is not None:
        state.role = SshRole.NO_OP
    elif state.auto_reconnect or state.is_persistent_tunnel:
        state.role = SshRole.PERSISTENT_TUNNEL
    return state


def _resolve_forwards(state: ParseState) -> None:
    """Remove forwards if ClearAllForwardings is "yes". Otherwise, add the forward that Tunnel requests.

    ClearAllForwardings removes every forward except the stdio forward of -W. The default of
    ClearAllForwardings is "yes" with -W and "no" without -W.
    """
    stdio = any(forward.kind is ForwardKind.STDIO for forward in state.forwards)
    if (state.get_value("clearallforwardings") or ("yes" if stdio else "no")) == "yes":
        state.forwards = [f for f in state.forwards if f.kind is ForwardKind.STDIO]
        return
    tunnel = state.settings.get("tunnel")
    if tunnel is not None and tunnel.value != "no":
        device = state.settings.get("tunneldevice")
        local, remote = value_parsers.parse_tun_devices(device.value if device else "any") or (
            "any",
            "any",
        )
        arg_indexes: ArgIndexes = tuple(
            sorted({*tunnel.arg_indexes, *(device.arg_indexes if device else ())})
        )
        state.add_forward(ForwardKind.TUN, local, remote, arg_indexes)


def _check_arguments(state: ParseState, command: bool, has_config_command: bool) -> None:
    """Record the errors that ssh reports only after it has parsed all arguments."""
    if state.host is None:
        state.record_error("no destination", ())
        return
    user = state.settings.get("user")
    if user is not None and value_parsers.is_invalid_user(user.value):
        state.record_error("invalid characters in the user name", user.arg_indexes)
    if command and has_config_command:
        state.record_error("both a command and a RemoteCommand", state.remote_command_indexes)
    session = state.settings.get("sessiontype")
    if (
        session is not None
        and session.value == "subsystem"
        and not command
        and not has_config_command
    ):
        state.record_error("-s without a subsystem", session.arg_indexes)
    fork = state.background
    # autossh does not pass -f to ssh, so this error cannot occur with autossh.
    if fork and not (command or has_config_command or state.no_command or state.auto_reconnect):
        state.record_error("-f without a command or -N", fork.arg_indexes)
