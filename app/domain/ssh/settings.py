"""What `-o` means to ssh: one ssh_config(5) line at a time, applied to a Reading."""

from app.domain.ssh import values
from app.domain.ssh.reading import Indexes, Line, Reading, Setting, split_line
from app.domain.ssh.use import ForwardKind

_SWITCH = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
# Closed sets of values, spelt as OpenSSH prints them; an unlisted value makes it stop.
_CHOICES: dict[str, dict[str, str]] = {
    "clearallforwardings": _SWITCH,
    "forkafterauthentication": _SWITCH,
    "forwardx11": _SWITCH,
    "forwardx11trusted": _SWITCH,
    "gatewayports": _SWITCH,
    "permitlocalcommand": _SWITCH,
    "stdinnull": _SWITCH,
    "batchmode": _SWITCH,
    "sessiontype": {"none": "none", "subsystem": "subsystem", "default": "default"},
    "stricthostkeychecking": {
        **_SWITCH,
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
    "requesttty": {**_SWITCH, "force": "force", "auto": "auto"},
    "controlmaster": {**_SWITCH, "auto": "auto", "ask": "ask", "autoask": "autoask"},
}
_SINGLE = frozenset({"user", "hostname", "controlpath", "pkcs11provider", "forwardagent"})
_COMMANDS = frozenset({"localcommand", "remotecommand", "knownhostscommand", "proxycommand"})
_ALIASES = {"smartcarddevice": "pkcs11provider", "identityfile2": "identityfile"}
_NOT_ON_A_LINE = frozenset({"host", "match", "include"})
_FORWARDS = {
    "localforward": ForwardKind.LOCAL,
    "remoteforward": ForwardKind.REMOTE,
    "dynamicforward": ForwardKind.DYNAMIC,
}


def apply_line(reading: Reading, text: str, indexes: Indexes) -> None:
    """Apply `-o text` as ssh would: the first value of a keyword stays, lists grow."""
    line = split_line(text)
    if line is None:
        return
    if isinstance(line, str):
        reading.refuse(line, indexes)
        return
    keyword = _ALIASES.get(line.keyword, line.keyword)
    words = line.words
    if not (keyword.isascii() and keyword.isalnum()):
        reading.refuse(f"there is no setting {keyword}", indexes)
    elif keyword in _COMMANDS:
        # A jump host and a proxy command exclude each other; the first one named stays. Before 10.3 a
        # jump host that was none kept a proxy command away too.
        if not (keyword == "proxycommand" and reading.jumps):
            reading.first(keyword, line.rest, indexes)
    elif keyword == "proxyjump":
        set_jumps(reading, line.rest, indexes)
    elif keyword in _NOT_ON_A_LINE:
        reading.refuse(f"{keyword} cannot be given with -o", indexes)
    elif not words or not words[0]:
        reading.refuse(f"{keyword} has no value", indexes)
    elif keyword in _FORWARDS:
        _forward_line(reading, line, indexes)
    elif keyword == "identityfile":
        _only_word(reading, line, indexes)
        if words[0].lower() != "none":
            reading.identities.append(Setting(words[0], indexes))
    elif keyword == "port":
        _only_word(reading, line, indexes)
        set_port(reading, words[0], indexes)
    elif keyword == "tunneldevice":
        _tunnel_device(reading, words[0], indexes)
    elif keyword in _CHOICES:
        _only_word(reading, line, indexes)
        choice = _CHOICES[keyword].get(words[0].lower())
        if choice is None:
            reading.refuse(f"{keyword} cannot be {words[0]}", indexes)
        else:
            reading.first(keyword, choice, indexes)
    else:
        value = " ".join(words)
        if keyword in _SINGLE:
            _only_word(reading, line, indexes)
            value = words[0]
        if keyword == "forwardagent":  # yes, no, or the path of another agent's socket
            value = _SWITCH.get(value.lower(), value)
            if value not in _SWITCH and reading.value(keyword) == "yes":
                reading.assign(keyword, value, indexes)  # an earlier yes named no socket yet
        reading.first(keyword, value, indexes)


def set_port(reading: Reading, text: str, indexes: Indexes) -> None:
    """A port of `-p` or Port; the first stays."""
    port = values.used_port(text)
    if port is None:
        reading.refuse(f"{text or 'an empty word'} is no port", indexes)
    else:
        reading.first("port", str(port), indexes)


def set_jumps(reading: Reading, text: str, indexes: Indexes) -> None:
    """A list of `-J` or ProxyJump; it counts only before any other and any proxy command."""
    hops = values.hops(text)
    if hops is None:
        reading.refuse(f"{text or 'an empty word'} is no list of jump hosts", indexes)
    elif any(values.bad_host(hop.host) or values.bad_user(hop.user or "") for hop in hops):
        reading.refuse("a jump host has characters that no name has", indexes)
    elif "proxyjump" not in reading.settings and "proxycommand" not in reading.settings:
        reading.assign("proxyjump", text, indexes)
        reading.jumps = hops


def add_forward(reading: Reading, kind: ForwardKind, text: str, indexes: Indexes) -> None:
    """Add a forward of `-L`, `-R`, `-D` or their keywords, unless its text is malformed."""
    remote = kind is ForwardKind.REMOTE
    spec = None
    if kind is not ForwardKind.DYNAMIC:
        spec = values.forward(text, dynamic=False, remote=remote)
    if spec is None and kind is not ForwardKind.LOCAL:
        spec = values.forward(text, dynamic=True, remote=remote)
    if spec is None:
        reading.refuse(f"{text or 'an empty word'} is no {kind} forward", indexes)
        return
    if spec.target is None:
        kind = ForwardKind.REMOTE_DYNAMIC if remote else ForwardKind.DYNAMIC
    elif kind is ForwardKind.DYNAMIC:  # -D with a socket as target is in truth a local forward
        kind = ForwardKind.LOCAL
    reading.add_forward(kind, spec.listen, spec.target, indexes)


def _forward_line(reading: Reading, line: Line, indexes: Indexes) -> None:
    """`RemoteForward listen target`: two words on a line where a letter has one with a colon."""
    kind = _FORWARDS[line.keyword]
    taken = 1 if kind is ForwardKind.DYNAMIC else 2
    if len(line.words) > taken:
        reading.refuse(f"{line.keyword} has words too many", indexes)
    words = line.words[:taken]
    if len(words) == 2:
        text = ":".join(words)
        if values.forward(text, dynamic=False, remote=kind is ForwardKind.REMOTE) is None:
            reading.refuse(f"{text} is no {kind} forward", indexes)
            return
        add_forward(reading, kind, text, indexes)
    elif kind is ForwardKind.LOCAL:
        reading.refuse("localforward has no target", indexes)
    elif kind is ForwardKind.REMOTE:
        spec = values.forward(words[0], dynamic=True, remote=True)
        if spec is None:
            reading.refuse(f"{words[0]} is no remote forward", indexes)
        else:
            reading.add_forward(ForwardKind.REMOTE_DYNAMIC, spec.listen, spec.target, indexes)
    else:
        add_forward(reading, kind, words[0], indexes)


def _tunnel_device(reading: Reading, text: str, indexes: Indexes) -> None:
    if values.tun(text) is None:
        reading.refuse(f"{text} is no tun device", indexes)
    else:
        reading.first("tunneldevice", text, indexes)


def _only_word(reading: Reading, line: Line, indexes: Indexes) -> None:
    if len(line.words) > 1:
        reading.refuse(f"{line.keyword} has words too many", indexes)
