"""Arguments of ssh and autossh, read in the order and with the precedence of ssh(1).

`-o` lines are left to settings, small notations to values, sentences to findings.
"""

import re
from collections.abc import Callable, Sequence

from app.domain.ssh import values
from app.domain.ssh.getopt import MISSING, UNKNOWN, Getopt, Option
from app.domain.ssh.reading import Indexes, Reading, Setting, words_after
from app.domain.ssh.settings import add_forward, apply_line, set_jumps, set_port
from app.domain.ssh.use import ForwardKind, SshRole

_FLAGS = "1246AaCfGgKkMNnqsTtVvXxYy"
# `-P tag` came with 9.4; before, -P was a flag that did nothing and nobody gave.
_VALUED = "BbcDEeFIiJLlmOoPpQRSWw"
_HARMLESS_CONTROL = frozenset({"check", "exit", "stop", "cancel"})
_CONTROL = _HARMLESS_CONTROL | {"forward", "proxy"}

# Letters that say what a keyword says. They overrule what stood before, where `-o` does not.
_KEYWORD_OF_FLAG: dict[str, tuple[tuple[str, str], ...]] = {
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
_KEYWORD_OF_VALUE = {
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


def read_client(program: str, args: Sequence[str], start: int = 1) -> Reading:
    """Read ssh's arguments; `start` is the word after the program's own name."""
    reading = Reading(program)
    autossh = program == "autossh"
    place, flags, valued = start, _FLAGS, _VALUED
    if autossh:
        # autossh(1): -M is its own, with a value; it takes out -f and -V and hands on the rest.
        flags, valued = flags.replace("M", ""), valued + "M"
        reading.restarts = True
    host_seen = False
    while True:
        getopt = Getopt(args, place, flags=flags, valued=valued)
        for option in getopt:
            _HANDLERS.get(option.letter, _setting_of_letter)(reading, option)
            if reading.no_op is not None and option.letter in "VQ":
                return _finished(reading, args)  # ssh leaves at once, whatever follows
        place = getopt.position
        if host_seen or place >= len(args):
            break
        _destination(reading, args[place], place)
        host_seen = True
        place += 1
        if getopt.terminated:
            break
    reading.remote_command, reading.remote_indexes = words_after(args, place)
    return _finished(reading, args)


def _destination(reading: Reading, word: str, place: int) -> None:
    at = (place,)
    if word.startswith("ssh://"):
        found = values.uri(word)
        if found is None:
            reading.refuse("the ssh:// address is malformed", at)
            return
        reading.host = Setting(found.host, at)
        if found.user is not None:
            reading.first("user", found.user, at)
        if found.port is not None:
            reading.first("port", str(found.port), at)
        return
    user, sign, host = word.rpartition("@")
    if sign and not user:
        reading.refuse("the user before @ is empty", at)
    elif sign:
        reading.first("user", user, at)
    reading.host = Setting(host, at)
    if values.bad_host(host):
        reading.refuse("the host has characters that no host name has", at)


def _setting_of_letter(reading: Reading, option: Option) -> None:
    for keyword, value in _KEYWORD_OF_FLAG.get(option.letter, ()):
        reading.assign(keyword, value, option.indexes)
    if option.letter in _KEYWORD_OF_VALUE:
        reading.assign(_KEYWORD_OF_VALUE[option.letter], option.value or "", option.indexes)


def _agent(reading: Reading, option: Option) -> None:
    if reading.value("forwardagent") in (None, "no"):  # a socket named earlier stays the one used
        reading.assign("forwardagent", "yes", option.indexes)


def _jump(reading: Reading, option: Option) -> None:
    if "proxyjump" in reading.settings:
        reading.refuse("-J is given twice", option.indexes)
    elif "proxycommand" in reading.settings:
        reading.refuse("-J and a proxy command exclude each other", option.indexes)
    set_jumps(reading, option.value or "", option.indexes)


def _tun(reading: Reading, option: Option) -> None:
    device = option.value or ""
    if values.tun(device) is None:
        reading.refuse(f"{device} is no tun device", option.indexes)
        return
    reading.first("tunnel", "point-to-point", option.indexes)
    reading.assign("tunneldevice", device, option.indexes)


def _stdio(reading: Reading, option: Option) -> None:
    spec = values.forward(option.value or "", dynamic=True, remote=False)
    if spec is None or spec.target is not None:
        reading.refuse(f"{option.value} is no address for -W", option.indexes)
        return
    reading.assign("requesttty", "no", option.indexes)
    reading.assign("sessiontype", "none", option.indexes)
    if not _HOST_AND_PORT.fullmatch(spec.listen):
        return  # a port alone is taken for an address, and then forgotten
    if any(forward.kind is ForwardKind.STDIO for forward in reading.forwards):
        reading.refuse("-W is given twice", option.indexes)
        return
    reading.add_forward(ForwardKind.STDIO, None, spec.listen, option.indexes)


def _session(kind: str) -> Callable[[Reading, Option], None]:
    def handle(reading: Reading, option: Option) -> None:
        if reading.value("sessiontype") not in (None, kind):
            reading.refuse("-N and -s exclude each other", option.indexes)
        reading.assign("sessiontype", kind, option.indexes)
        if kind == "none":
            reading.assign("requesttty", "no", option.indexes)

    return handle


def _twice(keyword: str, once: str, again: str) -> Callable[[Reading, Option], None]:
    def handle(reading: Reading, option: Option) -> None:
        value = again if reading.value(keyword) == once else once
        reading.assign(keyword, value, option.indexes)

    return handle


def _control(reading: Reading, option: Option) -> None:
    command = option.value or ""
    if command not in _CONTROL:
        reading.refuse(f"-O knows no {command}", option.indexes)
    reading.assign("controlcommand", command, option.indexes)
    if command in _HARMLESS_CONTROL:
        reading.no_op = Setting(f"-O {command}", option.indexes)


def _no_op(reading: Reading, option: Option) -> None:
    reading.no_op = Setting(f"-{option.letter}", option.indexes)


def _monitor(reading: Reading, option: Option) -> None:
    """autossh's `-M port[:echo]`; ssh's own -M has no value."""
    if option.value is None:
        _twice("controlmaster", "yes", "ask")(reading, option)
    else:
        reading.assign("monitorport", option.value, option.indexes)


def _unknown(reading: Reading, option: Option) -> None:
    reading.refuse(f"there is no option -{option.value}", option.indexes)


def _missing(reading: Reading, option: Option) -> None:
    reading.refuse(f"-{option.value} has no value", option.indexes)


def _forward(kind: ForwardKind) -> Callable[[Reading, Option], None]:
    return lambda reading, option: add_forward(reading, kind, option.value or "", option.indexes)


def _config_file(reading: Reading, option: Option) -> None:
    reading.config_file = Setting(option.value or "", option.indexes)


def _log_file(reading: Reading, option: Option) -> None:
    reading.log_file = Setting(option.value or "", option.indexes)


_HANDLERS: dict[str, Callable[[Reading, Option], None]] = {
    UNKNOWN: _unknown,
    MISSING: _missing,
    "1": lambda reading, option: reading.refuse("protocol 1 is gone", option.indexes),
    "A": _agent,
    "D": _forward(ForwardKind.DYNAMIC),
    "E": _log_file,
    "F": _config_file,
    "G": _no_op,
    "i": lambda reading, option: reading.identities.append(
        Setting(option.value or "", option.indexes)
    ),
    "J": _jump,
    "L": _forward(ForwardKind.LOCAL),
    "l": lambda reading, option: reading.first("user", option.value or "", option.indexes),
    "M": _monitor,
    "N": _session("none"),
    "O": _control,
    "o": lambda reading, option: apply_line(reading, option.value or "", option.indexes),
    "p": lambda reading, option: (
        None
        if "port" in reading.settings
        else set_port(reading, option.value or "", option.indexes)
    ),
    "Q": _no_op,
    "R": _forward(ForwardKind.REMOTE),
    "s": _session("subsystem"),
    "t": _twice("requesttty", "yes", "force"),
    "V": _no_op,
    "W": _stdio,
    "w": _tun,
}


def _finished(reading: Reading, args: Sequence[str]) -> Reading:
    """What only the whole line tells: cleared forwards, the real host, the role."""
    _clear_forwards(reading)
    settings = reading.settings
    session = settings.get("sessiontype")
    if session is not None and session.value == "none":
        reading.no_command = session
    fork = settings.get("forkafterauthentication")
    if fork is not None and fork.value == "yes":
        reading.background = fork
    named = (reading.value("remotecommand") or "none").lower() != "none"
    if args and (reading.no_op is None or reading.no_op.value == "-G"):
        _check(reading, bool(reading.remote_command), named)
    if reading.no_op is not None:
        reading.role = SshRole.NO_OP
    elif reading.restarts or (
        (reading.no_command or reading.background)
        and any(forward.kind is not ForwardKind.STDIO for forward in reading.forwards)
    ):
        reading.role = SshRole.PERSISTENT_TUNNEL
    return reading


def _clear_forwards(reading: Reading) -> None:
    """ClearAllForwardings, which -W implies, takes every forward but the one of -W."""
    stdio = any(forward.kind is ForwardKind.STDIO for forward in reading.forwards)
    if (reading.value("clearallforwardings") or ("yes" if stdio else "no")) == "yes":
        reading.forwards = [f for f in reading.forwards if f.kind is ForwardKind.STDIO]
        return
    tunnel = reading.settings.get("tunnel")
    if tunnel is not None and tunnel.value != "no":
        device = reading.settings.get("tunneldevice")
        local, remote = values.tun(device.value if device else "any") or ("any", "any")
        at: Indexes = tuple(sorted({*tunnel.indexes, *(device.indexes if device else ())}))
        reading.add_forward(ForwardKind.TUN, local, remote, at)


def _check(reading: Reading, command: bool, named_command: bool) -> None:
    """The refusals that ssh makes once it has read everything."""
    if reading.host is None:
        reading.refuse("no destination is named", ())
        return
    user = reading.settings.get("user")
    if user is not None and values.bad_user(user.value):
        reading.refuse("the user has characters that no user name has", user.indexes)
    if command and named_command:
        reading.refuse("there is a command and a RemoteCommand", reading.remote_indexes)
    session = reading.settings.get("sessiontype")
    if session is not None and session.value == "subsystem" and not command and not named_command:
        reading.refuse("-s names no subsystem", session.indexes)
    fork = reading.background
    # autossh keeps -f for itself, so ssh never sees it.
    if fork and not (command or named_command or reading.no_command or reading.restarts):
        reading.refuse("-f has no command and no -N", fork.indexes)
