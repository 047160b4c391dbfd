"""Parser of the arguments and process titles of sshd and its child processes; sshd(8), sshd_config(5)."""

import re
from collections.abc import Sequence

from app.domain.ssh import value_parsers
from app.domain.ssh.getopt import MISSING_VALUE, UNKNOWN_OPTION, Getopt, Option
from app.domain.ssh.model import SshRole
from app.domain.ssh.parse_state import ArgumentValue, ParseState, parse_config_line

_FLAGS = "46DdeGiqRrTtVQ"
_VALUE_OPTIONS = "bCcEfghkoup"
_PROCESS_TITLE = re.compile(r"(?:[^\s:]*/)?sshd(?:-session|-auth)?:(?: +|$)", re.ASCII)
_LISTENER_MARKER = "[listener]"
_SESSION_TITLE = re.compile(r"(?P<user>.+)@(?P<where>[^@\s]+)\s*", re.DOTALL)
_STAGE_TITLE = re.compile(r"(?P<user>.*?)\s*\[(?P<stage>[a-z -]+)\]\s*", re.DOTALL)


def parse_server(program: str, args: Sequence[str], start: int = 1) -> ParseState:
    """Parse the arguments or the process title of sshd, sshd-session or sshd-auth."""
    title = _PROCESS_TITLE.match(args[0]) if args and start == 1 else None
    if title is not None:
        return _parse_title(program, args, title.end())
    return _parse_arguments(program, args, start, None)


def _parse_title(program: str, args: Sequence[str], start: int) -> ParseState:
    """Parse a process title that sshd has set with setproctitle(3).

    Examples are `sshd: erp@pts/0`, `sshd: erp [priv]` and, for a listening sshd,
    `sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups`.
    """
    words, word_arg_indexes = _split_title_words(args, start)
    if _LISTENER_MARKER in words or (words and words[0].startswith("/")):
        end = words.index(_LISTENER_MARKER) if _LISTENER_MARKER in words else len(words)
        return _parse_arguments(program, words[:end], 1, word_arg_indexes[:end])
    state = ParseState(program, role=SshRole.INBOUND_SESSION)
    arg_indexes = tuple(sorted(set(word_arg_indexes))) or (0,)
    text = " ".join(words)
    session_title = _SESSION_TITLE.fullmatch(text)
    stage = _STAGE_TITLE.fullmatch(text)
    where = "unknown place"
    user: str | None = None
    if stage is not None:
        user, where = stage["user"].strip() or None, f"[{stage['stage']}]"
    elif session_title is not None:
        user, where = session_title["user"].strip(), session_title["where"]
    elif text:
        user = text
    # Before sshd knows a valid user name, the title contains `unknown` instead of a user name.
    if user is not None and user != "unknown":
        state.set_value("user", user, arg_indexes)
    state.inbound_session = ArgumentValue(where, arg_indexes)
    return state


def _split_title_words(args: Sequence[str], start: int) -> tuple[list[str], list[int]]:
    words: list[str] = []
    word_arg_indexes: list[int] = []
    for index, arg in enumerate(args):
        for word in (arg[start:] if index == 0 else arg).split():
            words.append(word)
            word_arg_indexes.append(index)
    return words, word_arg_indexes


def _parse_arguments(
    program: str, args: Sequence[str], start: int, word_arg_indexes: Sequence[int] | None
) -> ParseState:
    session = program in ("sshd-session", "sshd-auth")
    state = ParseState(program, role=SshRole.INBOUND_SESSION if session else SshRole.DAEMON)
    getopt = Getopt(
        args, start, flags=_FLAGS, value_options=_VALUE_OPTIONS, word_arg_indexes=word_arg_indexes
    )
    for option in getopt:
        _apply_option(state, option)
        if option.letter == "V":
            break
    if state.no_op_option is not None:
        state.role = SshRole.NO_OP
    elif session or "inetd" in state.settings or "reexec" in state.settings:
        state.role = SshRole.INBOUND_SESSION
        setting = state.settings.get("inetd") or state.settings.get("reexec")
        state.inbound_session = ArgumentValue(
            "one connection", setting.arg_indexes if setting else ((start - 1,) if args else ())
        )
    if getopt.position < len(args) and state.no_op_option is None:
        place = getopt.position
        arg_indexes = (place,) if word_arg_indexes is None else (word_arg_indexes[place],)
        state.record_error("sshd accepts no arguments after its options", arg_indexes)
    return state


_OPTION_KEYWORDS = {
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


def _apply_option(state: ParseState, option: Option) -> None:
    letter, value, arg_indexes = option.letter, option.value or "", option.arg_indexes
    if letter == UNKNOWN_OPTION:
        state.record_error(f"unknown option -{value}", arg_indexes)
    elif letter == MISSING_VALUE:
        state.record_error(f"-{value} has no value", arg_indexes)
    elif letter in "tTGV":
        state.no_op_option = ArgumentValue(f"-{letter}", arg_indexes)
    elif letter == "p":
        _add_port(state, value, arg_indexes)
    elif letter == "f":
        state.config_file = ArgumentValue(value, arg_indexes)
    elif letter == "E":
        state.log_file = ArgumentValue(value, arg_indexes)
    elif letter == "d":
        state.debug = ArgumentValue(value, arg_indexes)
    elif letter == "D":
        state.foreground = ArgumentValue(value, arg_indexes)
    elif letter == "o":
        _apply_config_line(state, value, arg_indexes)
    elif letter in _OPTION_KEYWORDS:
        keyword, fixed = _OPTION_KEYWORDS[letter]
        _add_setting(state, keyword, value if fixed is None else fixed, arg_indexes)


def _apply_config_line(state: ParseState, text: str, arg_indexes: tuple[int, ...]) -> None:
    line = parse_config_line(text)
    if line is None:
        return
    if isinstance(line, str):
        state.record_error(line, arg_indexes)
    elif line.keyword == "port":
        _add_port(state, line.words[0] if line.words else "", arg_indexes)
    else:
        _add_setting(state, line.keyword, " ".join(line.words), arg_indexes)


# Keywords that may be repeated (sshd_config(5)). For any other keyword, the first value wins.
_REPEATABLE_KEYWORDS = frozenset(
    {"hostkey", "listenaddress", "acceptenv", "subsystem", "hostcertificate"}
)


def _add_setting(state: ParseState, keyword: str, value: str, arg_indexes: tuple[int, ...]) -> None:
    earlier = state.settings.get(keyword)
    if earlier is None:
        state.settings[keyword] = ArgumentValue(value, arg_indexes)
    elif keyword in _REPEATABLE_KEYWORDS:
        state.repeated_settings.setdefault(keyword, []).append(ArgumentValue(value, arg_indexes))


def _add_port(state: ParseState, text: str, arg_indexes: tuple[int, ...]) -> None:
    port = value_parsers.parse_nonzero_port(text)
    if port is None:
        state.record_error(f"invalid port {text!r}", arg_indexes)
        return
    state.ports.append(ArgumentValue(str(port), arg_indexes))
    state.set_if_unset("port", str(port), arg_indexes)
