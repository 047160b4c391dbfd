"""What a reader has gathered so far, each piece with the arguments it came from.

Readers (client, daemon, relatives) fill it; findings and `SshInvocation` are made from it at the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.ssh.model import Forward, ForwardKind, HostSpec, SshRole

_WHITESPACE = " \t\r\n"
ArgIndexes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArgumentValue:
    """A value and the arguments that made it."""

    value: str
    arg_indexes: ArgIndexes


@dataclass(slots=True)
class ParseState:
    """One process being read.

    `settings` are keyed by keyword in lower case; `lists` holds the second and later values of
    keywords that may be repeated; `named` is the argument that is the program's own name.
    """

    program: str
    program_indexes: ArgIndexes = ()
    role: SshRole = SshRole.CLIENT
    settings: dict[str, ArgumentValue] = field(default_factory=dict)
    repeated_settings: dict[str, list[ArgumentValue]] = field(default_factory=dict)
    host: ArgumentValue | None = None
    jump_hosts: tuple[HostSpec, ...] = ()
    forwards: list[Forward] = field(default_factory=list)
    seen_forwards: set[tuple[ForwardKind, str | None, str | None]] = field(default_factory=set)
    identity_files: list[ArgumentValue] = field(default_factory=list)
    ports: list[ArgumentValue] = field(default_factory=list)
    remote_command: tuple[str, ...] = ()
    remote_command_indexes: ArgIndexes = ()
    config_file: ArgumentValue | None = None
    log_file: ArgumentValue | None = None
    background: ArgumentValue | None = None
    no_command: ArgumentValue | None = None
    debug: ArgumentValue | None = None
    foreground: ArgumentValue | None = None
    no_op_option: ArgumentValue | None = None
    auto_reconnect: bool = False
    inbound_session: ArgumentValue | None = None
    helper_programs: list[ArgumentValue] = field(default_factory=list)
    passwords: list[ArgumentValue] = field(default_factory=list)
    error: ArgumentValue | None = None

    def set_if_unset(self, keyword: str, value: str, arg_indexes: ArgIndexes) -> None:
        """Set it unless it is set: ssh_config(5), the first obtained value is used."""
        if keyword not in self.settings:
            self.settings[keyword] = ArgumentValue(value, arg_indexes)

    def set_value(self, keyword: str, value: str, arg_indexes: ArgIndexes) -> None:
        """Set it in any case, as most of ssh's letters do."""
        self.settings[keyword] = ArgumentValue(value, arg_indexes)

    def get_values(self, keyword: str) -> list[ArgumentValue]:
        """All values of a repeatable keyword, in order."""
        setting = self.settings.get(keyword)
        return [] if setting is None else [setting, *self.repeated_settings.get(keyword, ())]

    def get_value(self, keyword: str) -> str | None:
        """The value of a setting, None while it is not set."""
        setting = self.settings.get(keyword)
        return None if setting is None else setting.value

    def add_forward(
        self, kind: ForwardKind, listen: str | None, target: str | None, arg_indexes: ArgIndexes
    ) -> None:
        """Add a forward, unless the same one is there: OpenSSH opens it once, too."""
        if (kind, listen, target) not in self.seen_forwards:
            self.seen_forwards.add((kind, listen, target))
            self.forwards.append(Forward(kind, listen, target, arg_indexes))

    def record_error(self, reason: str, arg_indexes: ArgIndexes) -> None:
        """Note why OpenSSH would not have gone on: the first reason, since it ends there.

        Reading goes on all the same, in case another release thinks better of it.
        """
        if self.error is None:
            self.error = ArgumentValue(reason, arg_indexes)


@dataclass(frozen=True, slots=True)
class ConfigLine:
    """One `-o` line: keyword in lower case, its words, and the rest as it was typed."""

    keyword: str
    words: tuple[str, ...]
    raw_value: str


def parse_config_line(text: str) -> ConfigLine | str | None:
    """Cut `Key=value`, `Key value` or `Key "a b"` as ssh_config(5) says.

    None for a blank or a comment, a sentence part saying why for a line that OpenSSH refuses.
    """
    text = text.rstrip(_WHITESPACE + "\f") if len(text) > 1 else text
    keyword, rest = _split_keyword(text)
    if keyword == "":
        keyword, rest = _split_keyword(rest or "")
    if not keyword or keyword.startswith("#"):
        return None
    rest = (rest or "").lstrip(_WHITESPACE)
    if not rest:
        return f"{keyword} has no value"
    words = _split_words(rest)
    if words is None:
        return f"the quotes of {keyword} do not match"
    return ConfigLine(keyword.lower(), words, rest.lstrip(_WHITESPACE + "="))


def _split_keyword(text: str) -> tuple[str | None, str | None]:
    """The first word and what follows it; at most one `=` between them is skipped."""
    end = next((i for i, letter in enumerate(text) if letter in ' \t\r\n"='), None)
    if end is None:
        return text, None
    if text[end] == '"':
        close = text.find('"', end + 1)
        if close == -1:
            return None, None
        # The closing quote ends the word; like strdelim(), skip blanks but no `=`.
        return text[:end] + text[end + 1 : close], text[close + 1 :].lstrip(_WHITESPACE)
    rest = text[end + 1 :].lstrip(_WHITESPACE)
    if text[end] != "=" and rest.startswith("="):
        rest = rest[1:].lstrip(_WHITESPACE)
    return text[:end], rest


def _split_words(text: str) -> tuple[str, ...] | None:
    """Words with both kinds of quotes and backslash escapes, up to a comment; None if unclosed."""
    words: list[str] = []
    place, end = 0, len(text)
    while place < end:
        if text[place] in " \t":
            place += 1
            continue
        if text[place] == "#":
            break
        letters: list[str] = []
        quote = ""
        while place < end:
            letter = text[place]
            following = text[place + 1 : place + 2]
            if letter == "\\" and following and following in ("'\"\\ " if not quote else "'\"\\"):
                letters.append(following)
                place += 1
            elif not quote and letter in " \t":
                break
            elif not quote and letter in "'\"":
                quote = letter
            elif quote and letter == quote:
                quote = ""
            else:
                letters.append(letter)
            place += 1
        if quote:
            return None
        words.append("".join(letters))
    return tuple(words)


def basename(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def remaining_args(args: Sequence[str], start: int) -> tuple[tuple[str, ...], ArgIndexes]:
    """The words from `start` on, with their indexes."""
    return tuple(args[start:]), tuple(range(start, len(args)))
