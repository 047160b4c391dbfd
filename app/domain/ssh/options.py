"""Functions that apply `-o` options (ssh_config(5)), ports, jump hosts and forwards to a ParseState."""

from app.domain.ssh import value_parsers
from app.domain.ssh.model import ForwardKind
from app.domain.ssh.parse_state import (
    ArgIndexes,
    ArgumentValue,
    ConfigLine,
    ParseState,
    parse_config_line,
)

_YES_NO = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
# Keywords with a fixed set of values. Each valid value maps to its canonical form. OpenSSH rejects all other
# values.
_ALLOWED_VALUES: dict[str, dict[str, str]] = {
    "clearallforwardings": _YES_NO,
    "forkafterauthentication": _YES_NO,
    "forwardx11": _YES_NO,
    "forwardx11trusted": _YES_NO,
    "gatewayports": _YES_NO,
    "permitlocalcommand": _YES_NO,
    "stdinnull": _YES_NO,
    "batchmode": _YES_NO,
    "sessiontype": {"none": "none", "subsystem": "subsystem", "default": "default"},
    "stricthostkeychecking": {
        **_YES_NO,
        "off": "no",
        "ask": "ask",
        "accept-new": "accept-new",
    },
    "tunnel": {
        "no": "no",
        "false": "no",
        "yes": "point-to-point",
        "true": "point-to-point",
        "point-to-point": "point-to-point",
        "ethernet": "ethernet",
    },
    "requesttty": {**_YES_NO, "force": "force", "auto": "auto"},
    "controlmaster": {**_YES_NO, "auto": "auto", "ask": "ask", "autoask": "autoask"},
}
_SINGLE_VALUE_KEYWORDS = frozenset(
    {"user", "hostname", "controlpath", "pkcs11provider", "forwardagent"}
)
_COMMAND_KEYWORDS = frozenset(
    {"localcommand", "remotecommand", "knownhostscommand", "proxycommand"}
)
_KEYWORD_ALIASES = {"smartcarddevice": "pkcs11provider", "identityfile2": "identityfile"}
_CONFIG_FILE_ONLY_KEYWORDS = frozenset({"host", "match", "include"})
_FORWARD_KEYWORDS = {
    "localforward": ForwardKind.LOCAL,
    "remoteforward": ForwardKind.REMOTE,
    "dynamicforward": ForwardKind.DYNAMIC,
}


def apply_config_line(state: ParseState, text: str, arg_indexes: ArgIndexes) -> None:
    """Apply `-o text` as ssh does.

    For most keywords the first value wins. Keywords such as LocalForward and IdentityFile collect all values.
    """
    line = parse_config_line(text)
    if line is None:
        return
    if isinstance(line, str):
        state.record_error(line, arg_indexes)
        return
    keyword = _KEYWORD_ALIASES.get(line.keyword, line.keyword)
    words = line.words
    if not (keyword.isascii() and keyword.isalnum()):
        state.record_error(f"unknown keyword {keyword!r}", arg_indexes)
    elif keyword in _COMMAND_KEYWORDS:
        # If ProxyJump and ProxyCommand are both set, only the first of the two has an effect. There is one
        # exception: after `ProxyJump=none`, ProxyCommand has an effect. OpenSSH 10.3 has this exception,
        # but earlier releases do not.
        if not (keyword == "proxycommand" and state.jump_hosts):
            state.set_if_unset(keyword, line.raw_value, arg_indexes)
    elif keyword == "proxyjump":
        apply_jump_hosts(state, line.raw_value, arg_indexes)
    elif keyword in _CONFIG_FILE_ONLY_KEYWORDS:
        state.record_error(f"{keyword} cannot be given with -o", arg_indexes)
    elif not words or not words[0]:
        state.record_error(f"no value for {keyword}", arg_indexes)
    elif keyword in _FORWARD_KEYWORDS:
        _apply_forward_line(state, line, arg_indexes)
    elif keyword == "identityfile":
        _check_single_word(state, line, arg_indexes)
        if words[0].lower() != "none":
            state.identity_files.append(ArgumentValue(words[0], arg_indexes))
    elif keyword == "port":
        _check_single_word(state, line, arg_indexes)
        apply_port(state, words[0], arg_indexes)
    elif keyword == "tunneldevice":
        _apply_tunnel_device(state, words[0], arg_indexes)
    elif keyword in _ALLOWED_VALUES:
        _check_single_word(state, line, arg_indexes)
        value = _ALLOWED_VALUES[keyword].get(words[0].lower())
        if value is None:
            state.record_error(f"invalid value {words[0]!r} for {keyword}", arg_indexes)
        else:
            state.set_if_unset(keyword, value, arg_indexes)
    else:
        value = " ".join(words)
        if keyword in _SINGLE_VALUE_KEYWORDS:
            _check_single_word(state, line, arg_indexes)
            value = words[0]
        if keyword == "forwardagent":  # the value is yes, no, or the path of an agent's socket
            value = _YES_NO.get(value.lower(), value)
            if value not in _YES_NO and state.get_value(keyword) == "yes":
                state.set_value(keyword, value, arg_indexes)  # a socket replaces an earlier "yes"
        state.set_if_unset(keyword, value, arg_indexes)


def apply_port(state: ParseState, text: str, arg_indexes: ArgIndexes) -> None:
    """Set the port from `-p` or `Port`, unless an earlier argument has set it."""
    port = value_parsers.parse_nonzero_port(text)
    if port is None:
        state.record_error(f"invalid port {text!r}", arg_indexes)
    else:
        state.set_if_unset("port", str(port), arg_indexes)


def apply_jump_hosts(state: ParseState, text: str, arg_indexes: ArgIndexes) -> None:
    """Set the jump hosts from `-J` or ProxyJump, unless jump hosts or a proxy command are already set."""
    jump_hosts = value_parsers.parse_jump_hosts(text)
    if jump_hosts is None:
        state.record_error(f"invalid list of jump hosts {text!r}", arg_indexes)
    elif any(
        value_parsers.is_invalid_host(jump.host) or value_parsers.is_invalid_user(jump.user or "")
        for jump in jump_hosts
    ):
        state.record_error("invalid characters in a jump host", arg_indexes)
    elif "proxyjump" not in state.settings and "proxycommand" not in state.settings:
        state.set_value("proxyjump", text, arg_indexes)
        state.jump_hosts = jump_hosts


def apply_forward(state: ParseState, kind: ForwardKind, text: str, arg_indexes: ArgIndexes) -> None:
    """Add the forward `text`, the value of `-L`, `-R`, `-D` or of a keyword such as LocalForward.

    If `text` is invalid, the function records an error and adds no forward.
    """
    remote = kind is ForwardKind.REMOTE
    spec = None
    if kind is not ForwardKind.DYNAMIC:
        spec = value_parsers.parse_forward(text, dynamic=False, remote=remote)
    if spec is None and kind is not ForwardKind.LOCAL:
        spec = value_parsers.parse_forward(text, dynamic=True, remote=remote)
    if spec is None:
        state.record_error(f"invalid {kind} forward {text!r}", arg_indexes)
        return
    if spec.target is None:
        kind = ForwardKind.REMOTE_DYNAMIC if remote else ForwardKind.DYNAMIC
    elif kind is ForwardKind.DYNAMIC:
        # ssh accepts a socket as target of -D (`-D 8080:/run/x.sock`) and then opens a local forward.
        kind = ForwardKind.LOCAL
    state.add_forward(kind, spec.listen, spec.target, arg_indexes)


def _apply_forward_line(state: ParseState, line: ConfigLine, arg_indexes: ArgIndexes) -> None:
    """Apply LocalForward, RemoteForward or DynamicForward.

    `LocalForward 8080 db:80` means the same as `-L 8080:db:80`. RemoteForward accepts this form too.
    `DynamicForward 1080` and `RemoteForward 1080` have no target and open a SOCKS proxy.
    """
    kind = _FORWARD_KEYWORDS[line.keyword]
    max_words = 1 if kind is ForwardKind.DYNAMIC else 2
    if len(line.words) > max_words:
        state.record_error(f"too many values for {line.keyword}", arg_indexes)
    words = line.words[:max_words]
    if len(words) == 2:
        text = ":".join(words)
        if (
            value_parsers.parse_forward(text, dynamic=False, remote=kind is ForwardKind.REMOTE)
            is None
        ):
            state.record_error(f"invalid {kind} forward {text!r}", arg_indexes)
            return
        apply_forward(state, kind, text, arg_indexes)
    elif kind is ForwardKind.LOCAL:
        state.record_error("localforward has no target", arg_indexes)
    elif kind is ForwardKind.REMOTE:
        spec = value_parsers.parse_forward(words[0], dynamic=True, remote=True)
        if spec is None:
            state.record_error(f"invalid remote forward {words[0]!r}", arg_indexes)
        else:
            state.add_forward(ForwardKind.REMOTE_DYNAMIC, spec.listen, spec.target, arg_indexes)
    else:
        apply_forward(state, kind, words[0], arg_indexes)


def _apply_tunnel_device(state: ParseState, text: str, arg_indexes: ArgIndexes) -> None:
    if value_parsers.parse_tun_devices(text) is None:
        state.record_error(f"invalid tun device {text!r}", arg_indexes)
    else:
        state.set_if_unset("tunneldevice", text, arg_indexes)


def _check_single_word(state: ParseState, line: ConfigLine, arg_indexes: ArgIndexes) -> None:
    if len(line.words) > 1:
        state.record_error(f"too many values for {line.keyword}", arg_indexes)
