"""SSH's relatives, read as far as role, destination and way in: scp, sftp, dropbear, dbclient.

Their manuals: scp(1), sftp(1), dbclient(1), dropbear(8). Notations are left to values, `-o` lines
of scp and sftp to settings.
"""

from collections.abc import Callable, Sequence

from app.domain.ssh import hosts, values
from app.domain.ssh.getopt import MISSING, UNKNOWN, Getopt, Option
from app.domain.ssh.reading import Reading, Setting, words_after
from app.domain.ssh.settings import add_forward, apply_line, set_jumps, set_port
from app.domain.ssh.use import ForwardKind, Hop, SshRole

_Handlers = dict[str, Callable[[Reading, Option], None]]


def read_copy(program: str, args: Sequence[str], start: int = 1) -> Reading:
    """scp and sftp: ssh's options where they share a letter, `[user@]host:path` for a place."""
    reading = Reading(program)
    flags, valued = _COPY_LETTERS[program]
    getopt = Getopt(args, start, flags=flags, valued=valued)
    for option in getopt:
        _apply(_COPY, reading, option)
        if program == "scp" and option.letter in "tf":
            # The far side of a copy: an sshd started it for whoever logged in.
            reading.role = SshRole.INBOUND_SESSION
            reading.inbound = Setting("copy", option.indexes)
        elif program == "scp" and option.letter in "S":
            reading.helpers.append(Setting(option.value or "", option.indexes))
        elif option.letter == "P":
            set_port(reading, option.value or "", option.indexes)
        elif program == "sftp" and option.letter in "SD":
            reading.helpers.append(Setting(option.value or "", option.indexes))
    if reading.inbound is None:
        for index in range(getopt.position, len(args)):
            if _copy_place(reading, args[index], index, bare=program == "sftp"):
                break
    return reading


def read_dbclient(program: str, args: Sequence[str], start: int = 1) -> Reading:
    """Dropbear's client: `[user@]host[/port]`, hops before it divided by commas."""
    reading = Reading(program)
    getopt = Getopt(args, start, flags=_DB_FLAGS, valued=_DB_VALUED)
    for option in getopt:
        _apply(_DBCLIENT, reading, option)
        if option.letter == "V":
            reading.role = SshRole.NO_OP
            return reading
    place = getopt.position
    if place >= len(args):
        reading.refuse("no destination is named", ())
        return reading
    *before, last = [_dropbear_hop(word) for word in args[place].split(",")]
    reading.jumps = tuple(before)
    if before:
        reading.assign("proxyjump", args[place], (place,))
    reading.host = Setting(last.host, (place,))
    if last.user is not None:
        reading.assign("user", last.user, (place,))
    if last.port is not None:
        reading.assign("port", str(last.port), (place,))
    # dbclient goes on reading options after the host, as ssh does.
    rest = Getopt(args, place + 1, flags=_DB_FLAGS, valued=_DB_VALUED)
    for option in rest:
        _apply(_DBCLIENT, reading, option)
    reading.remote_command, reading.remote_indexes = words_after(args, rest.position)
    if (reading.no_command or reading.background) and any(
        forward.kind is not ForwardKind.STDIO for forward in reading.forwards
    ):
        reading.role = SshRole.PERSISTENT_TUNNEL
    return reading


def read_dropbear(program: str, args: Sequence[str], start: int = 1) -> Reading:
    """Dropbear's server; `-p` is `[address:]port`."""
    reading = Reading(program, role=SshRole.DAEMON)
    for option in Getopt(args, start, flags="REFBmwsgtjkaizxVeQvq", valued="brpPWKIGcDTlA"):
        _apply(_DROPBEAR, reading, option)
        if option.letter == "V":
            reading.role = SshRole.NO_OP
            break
    if reading.inbound is not None and reading.role is SshRole.DAEMON:
        reading.role = SshRole.INBOUND_SESSION
    return reading


def _apply(handlers: _Handlers, reading: Reading, option: Option) -> None:
    handler = handlers.get(option.letter)
    if handler is not None:
        handler(reading, option)


def _copy_place(reading: Reading, word: str, index: int, *, bare: bool) -> bool:
    """Take `word` as the far place if it is one; scp's local names have no colon before a slash."""
    at = (index,)
    for scheme in ("scp", "sftp"):
        if word.startswith(f"{scheme}://"):
            found = values.uri(word, scheme)
            if found is None:
                reading.refuse(f"the {scheme}:// address is malformed", at)
                return True
            return _take(reading, found, at)
    login, at_sign, rest = word.rpartition("@") if not word.startswith("[") else ("", "", word)
    colon = rest.find("]:") + 1 if rest.startswith("[") else rest.find(":")
    slash = rest.find("/")
    if colon > 0 and (slash == -1 or colon < slash):
        rest = rest[:colon]
    elif not bare:
        return False
    return _take(reading, Hop(hosts.without_brackets(rest), login if at_sign else None, None), at)


def _take(reading: Reading, place: Hop, at: tuple[int, ...]) -> bool:
    reading.host = Setting(place.host, at)
    if place.user is not None:
        reading.first("user", place.user, at)
    if place.port is not None:
        reading.first("port", str(place.port), at)
    return True


def _dropbear_hop(word: str) -> Hop:
    user, _, rest = word.rpartition("@")
    host, _, port = rest.partition("/") if "/" in rest else rest.partition("^")
    return Hop(hosts.without_brackets(host), user or None, values.used_port(port))


def _keyword(keyword: str, fixed: str | None = None) -> Callable[[Reading, Option], None]:
    def handle(reading: Reading, option: Option) -> None:
        value = fixed if fixed is not None else option.value or ""
        reading.assign(keyword, value, option.indexes)

    return handle


def _forward(kind: ForwardKind) -> Callable[[Reading, Option], None]:
    return lambda reading, option: add_forward(reading, kind, option.value or "", option.indexes)


def _stdio(reading: Reading, option: Option) -> None:
    reading.add_forward(ForwardKind.STDIO, None, option.value, option.indexes)


def _identity(reading: Reading, option: Option) -> None:
    reading.identities.append(Setting(option.value or "", option.indexes))


def _background(reading: Reading, option: Option) -> None:
    reading.background = Setting("yes", option.indexes)


def _no_command(reading: Reading, option: Option) -> None:
    reading.no_command = Setting("yes", option.indexes)


def _no_op(reading: Reading, option: Option) -> None:
    reading.no_op = Setting(f"-{option.letter}", option.indexes)


def _config(reading: Reading, option: Option) -> None:
    reading.config_file = Setting(option.value or "", option.indexes)


def _inetd(reading: Reading, option: Option) -> None:
    reading.assign("inetd", "yes", option.indexes)
    reading.inbound = Setting("one connection", option.indexes)


def _dropbear_port(reading: Reading, option: Option) -> None:
    text = (option.value or "").rpartition(":")[2]
    set_port(reading, text, option.indexes)
    if values.used_port(text):
        reading.ports.append(Setting(str(values.used_port(text)), option.indexes))


_COPY_LETTERS = {
    "scp": ("12346ABCTdfOpqRrstv", "DFJMPScilXo"),
    "sftp": ("1246AafhNpqrvC", "cDilosSbBFJPRX"),
}
_COPY: _Handlers = {
    UNKNOWN: lambda reading, option: reading.refuse(
        f"there is no option -{option.value}", option.indexes
    ),
    MISSING: lambda reading, option: reading.refuse(
        f"-{option.value} has no value", option.indexes
    ),
    "A": _keyword("forwardagent", "yes"),
    "F": _config,
    "i": _identity,
    "J": lambda reading, option: set_jumps(reading, option.value or "", option.indexes),
    "o": lambda reading, option: apply_line(reading, option.value or "", option.indexes),
}
_DB_FLAGS = "hTtNfyAgsVvnzq"
_DB_VALUED = "plioLRWKIBJcmbDFeS"
_DBCLIENT: _Handlers = {
    "A": _keyword("forwardagent", "yes"),
    "B": _stdio,
    "f": _background,
    "g": _keyword("gatewayports", "yes"),
    "i": _identity,
    "J": _keyword("proxycommand"),
    "L": _forward(ForwardKind.LOCAL),
    "l": _keyword("user"),
    "N": _no_command,
    "p": lambda reading, option: set_port(reading, option.value or "", option.indexes),
    "R": _forward(ForwardKind.REMOTE),
    "V": _no_op,
    "y": _keyword("stricthostkeychecking", "no"),
}
_DROPBEAR: _Handlers = {
    "c": _keyword("forcecommand"),
    "D": _keyword("authorizedkeysfile"),
    "F": lambda reading, option: setattr(reading, "foreground", Setting("", option.indexes)),
    "i": _inetd,
    "p": _dropbear_port,
    "r": _keyword("hostkey"),
    "V": _no_op,
}
