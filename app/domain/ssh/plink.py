"""Parser of plink, the command-line client of PuTTY. Source: plink(1)."""

from collections.abc import Callable, Mapping, Sequence

from app.domain.ssh import hosts
from app.domain.ssh.model import ForwardKind, SshRole
from app.domain.ssh.options import apply_forward, apply_port
from app.domain.ssh.parse_state import ArgIndexes, ArgumentValue, ParseState, remaining_args

_Handler = Callable[[ParseState, str, ArgIndexes], None]


def parse_plink(program: str, args: Sequence[str], start: int = 1) -> ParseState:
    """Parse the arguments of plink: `[options] [user@]host [command]`.

    Options have one dash and may also follow the host. The second argument that is not an option begins the
    command.
    """
    state = ParseState(program)
    index = start
    while index < len(args):
        word = args[index]
        if not word.startswith("-"):
            if state.host is not None:
                state.remote_command, state.remote_command_indexes = remaining_args(args, index)
                break
            user, at_sign, host = word.rpartition("@")
            state.host = ArgumentValue(hosts.strip_brackets(host), (index,))
            if at_sign:
                state.set_if_unset("user", user, (index,))
        elif word in ("-V", "-pgpfp"):
            state.role = SshRole.NO_OP
            state.no_op_option = ArgumentValue(word, (index,))
            return state
        elif word in _FLAG_SETTINGS:
            keyword, value = _FLAG_SETTINGS[word]
            state.set_value(keyword, value, (index,))
        elif word == "-N":
            state.no_command = ArgumentValue("yes", (index,))
        elif word in _VALUE_OPTIONS:
            if index + 1 >= len(args):
                state.record_error(f"{word} has no value", (index,))
                return state
            _VALUE_OPTIONS[word](state, args[index + 1], (index, index + 1))
            index += 1
        elif word not in _OTHER_FLAGS:
            state.record_error(f"unknown option {word}", (index,))
        index += 1
    if state.host is None and "-load" not in args:
        state.record_error("no destination", ())
    if state.is_persistent_tunnel:
        state.role = SshRole.PERSISTENT_TUNNEL
    return state


def _forward(kind: ForwardKind) -> _Handler:
    return lambda state, value, indexes: apply_forward(state, kind, value, indexes)


def _set_port(state: ParseState, value: str, indexes: ArgIndexes) -> None:
    """Set the port; unlike in ssh, the last `-P` counts."""
    state.settings.pop("port", None)
    apply_port(state, value, indexes)


def _setting(keyword: str) -> _Handler:
    return lambda state, value, indexes: state.set_value(keyword, value, indexes)


def _ignore(_state: ParseState, _value: str, _indexes: ArgIndexes) -> None:
    pass


_FLAG_SETTINGS: Mapping[str, tuple[str, str]] = {
    "-A": ("forwardagent", "yes"),
    "-a": ("forwardagent", "no"),
    "-X": ("forwardx11", "yes"),
    "-x": ("forwardx11", "no"),
    "-batch": ("batchmode", "yes"),
}
_OTHER_FLAGS = frozenset(
    {"-ssh", "-ssh-connection", "-v", "-C", "-t", "-T", "-s", "-1", "-2", "-4", "-6", "-n"}
    | {"-agent", "-noagent", "-share", "-noshare", "-no-antispoof", "-no-sanitise-stderr"}
    | {"-no-sanitise-stdout", "-sanitise-stderr", "-sanitise-stdout", "-logoverwrite", "-logappend"}
    | {"-telnet", "-rlogin", "-raw", "-serial", "-shareexists", "-no-trivial-auth", "-nopageant"}
)
_VALUE_OPTIONS: Mapping[str, _Handler] = {
    "-P": _set_port,
    "-l": _setting("user"),
    "-i": lambda state, value, indexes: state.identity_files.append(ArgumentValue(value, indexes)),
    "-L": _forward(ForwardKind.LOCAL),
    "-R": _forward(ForwardKind.REMOTE),
    "-D": _forward(ForwardKind.DYNAMIC),
    "-nc": lambda state, value, indexes: state.add_forward(ForwardKind.STDIO, None, value, indexes),
    "-proxycmd": _setting("proxycommand"),
    # mask_passwords has replaced the password.
    "-pw": _ignore,
    "-pwfile": _ignore,
    "-load": _ignore,
    "-hostkey": _ignore,
    "-m": _ignore,
    "-cert": _ignore,
    "-sercfg": _ignore,
    "-sessionlog": _ignore,
    "-sshlog": _ignore,
    "-sshrawlog": _ignore,
}
