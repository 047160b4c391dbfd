"""Arguments and process titles of sshd and its children, after sshd(8) and sshd_config(5)."""

import re
from collections.abc import Sequence

from app.domain.ssh import values
from app.domain.ssh.getopt import MISSING, UNKNOWN, Getopt, Option
from app.domain.ssh.reading import Reading, Setting, split_line
from app.domain.ssh.use import SshRole

_FLAGS = "46DdeGiqRrTtVQ"
_VALUED = "bCcEfghkoup"
_TITLE = re.compile(r"(?:[^\s:]*/)?sshd(?:-session|-auth)?:(?: +|$)", re.ASCII)
_LISTENER = "[listener]"
_ON_A_TERMINAL = re.compile(r"(?P<user>.+)@(?P<where>[^@\s]+)\s*", re.DOTALL)
_BEING_SET_UP = re.compile(r"(?P<user>.*?)\s*\[(?P<stage>[a-z -]+)\]\s*", re.DOTALL)


def read_daemon(program: str, args: Sequence[str], start: int = 1) -> Reading:
    """Read sshd, sshd-session or sshd-auth from its arguments or from the title it set itself."""
    title = _TITLE.match(args[0]) if args and start == 1 else None
    if title is not None:
        return _from_title(program, args, title.end())
    return _from_arguments(program, args, start, None)


def _from_title(program: str, args: Sequence[str], start: int) -> Reading:
    """Titles are set with setproctitle(3): `sshd: erp@pts/0`, `sshd: erp [priv]`, and a listener's
    own command line followed by `[listener]`."""
    words, owners = _words(args, start)
    if _LISTENER in words or (words and words[0].startswith("/")):
        end = words.index(_LISTENER) if _LISTENER in words else len(words)
        return _from_arguments(program, words[:end], 1, owners[:end])
    reading = Reading(program, role=SshRole.INBOUND_SESSION)
    at = tuple(sorted(set(owners))) or (0,)
    text = " ".join(words)
    found = _ON_A_TERMINAL.fullmatch(text)
    stage = _BEING_SET_UP.fullmatch(text)
    where = "unknown place"
    user: str | None = None
    if stage is not None:
        user, where = stage["user"].strip() or None, f"[{stage['stage']}]"
    elif found is not None:
        user, where = found["user"].strip(), found["where"]
    elif text:
        user = text
    # Before it knows the account, sshd writes `unknown`.
    if user is not None and user != "unknown":
        reading.assign("user", user, at)
    reading.inbound = Setting(where, at)
    return reading


def _words(args: Sequence[str], start: int) -> tuple[list[str], list[int]]:
    words: list[str] = []
    owners: list[int] = []
    for index, arg in enumerate(args):
        for word in (arg[start:] if index == 0 else arg).split():
            words.append(word)
            owners.append(index)
    return words, owners


def _from_arguments(
    program: str, args: Sequence[str], start: int, owners: Sequence[int] | None
) -> Reading:
    session = program in ("sshd-session", "sshd-auth")
    reading = Reading(program, role=SshRole.INBOUND_SESSION if session else SshRole.DAEMON)
    getopt = Getopt(args, start, flags=_FLAGS, valued=_VALUED, owners=owners)
    for option in getopt:
        _apply(reading, option)
        if option.letter == "V":
            break
    if reading.no_op is not None:
        reading.role = SshRole.NO_OP
    elif session or "inetd" in reading.settings or "reexec" in reading.settings:
        reading.role = SshRole.INBOUND_SESSION
        setting = reading.settings.get("inetd") or reading.settings.get("reexec")
        reading.inbound = Setting(
            "one connection", setting.indexes if setting else ((start - 1,) if args else ())
        )
    if getopt.position < len(args) and reading.no_op is None:
        place = getopt.position
        at = (place,) if owners is None else (owners[place],)
        reading.refuse("sshd takes no words after its options", at)
    return reading


_KEYWORD_OF_LETTER = {
    "4": ("addressfamily", "inet"),
    "6": ("addressfamily", "inet6"),
    "i": ("inetd", "yes"),
    "R": ("reexec", "yes"),
    "q": ("loglevel", "quiet"),
    "b": ("serverkeybits", None),
    "c": ("hostcertificate", None),
    "C": ("connectiontest", None),
    "g": ("logingracetime", None),
    "h": ("hostkey", None),
    "u": ("namelength", None),
}


def _apply(reading: Reading, option: Option) -> None:
    letter, value, at = option.letter, option.value or "", option.indexes
    if letter == UNKNOWN:
        reading.refuse(f"there is no option -{value}", at)
    elif letter == MISSING:
        reading.refuse(f"-{value} has no value", at)
    elif letter in "tTGV":
        reading.no_op = Setting(f"-{letter}", at)
    elif letter == "p":
        _add_port(reading, value, at)
    elif letter == "f":
        reading.config_file = Setting(value, at)
    elif letter == "E":
        reading.log_file = Setting(value, at)
    elif letter == "d":
        reading.debug = Setting(value, at)
    elif letter == "D":
        reading.foreground = Setting(value, at)
    elif letter == "o":
        _apply_line(reading, value, at)
    elif letter in _KEYWORD_OF_LETTER:
        keyword, fixed = _KEYWORD_OF_LETTER[letter]
        _add(reading, keyword, value if fixed is None else fixed, at)


def _apply_line(reading: Reading, text: str, at: tuple[int, ...]) -> None:
    line = split_line(text)
    if line is None:
        return
    if isinstance(line, str):
        reading.refuse(line, at)
    elif line.keyword == "port":
        _add_port(reading, line.words[0] if line.words else "", at)
    else:
        _add(reading, line.keyword, " ".join(line.words), at)


# sshd_config(5): these may be given more than once; for all others the first value stays.
_REPEATABLE = frozenset({"hostkey", "listenaddress", "acceptenv", "subsystem", "hostcertificate"})


def _add(reading: Reading, keyword: str, value: str, at: tuple[int, ...]) -> None:
    earlier = reading.settings.get(keyword)
    if earlier is None:
        reading.settings[keyword] = Setting(value, at)
    elif keyword in _REPEATABLE:
        reading.lists.setdefault(keyword, []).append(Setting(value, at))


def _add_port(reading: Reading, text: str, at: tuple[int, ...]) -> None:
    port = values.used_port(text)
    if port is None:
        reading.refuse(f"{text or 'an empty word'} is no port", at)
        return
    reading.ports.append(Setting(str(port), at))
    reading.first("port", str(port), at)
