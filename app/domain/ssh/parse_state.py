"""State of the parser: values from the command line, each with the indexes of the arguments that set it.

The parsers (client.py, server.py, relatives.py) fill a ParseState. The SshInvocation and its findings are
built from the ParseState.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.ssh.model import Forward, ForwardKind, HostSpec, SshRole

_WHITESPACE = " \t\r\n"
ArgIndexes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArgumentValue:
    """A value and the indexes of the arguments that set it."""

    value: str
    arg_indexes: ArgIndexes


@dataclass(slots=True)
class ParseState:
    """The state of parsing one command line.

    `settings` maps each keyword, in lower case, to its value. For a repeatable keyword, `settings` has the
    first value and `repeated_settings` has the later values. `program_indexes` contains the index of the
    argument that names the program. `alias` is the process name if it hides the program. `more_targets` and
    `target_file` are the targets of ssh-keyscan after the first, and its file of targets. `script` is the
    init script that runs, with its action, such as `/etc/init.d/ssh start`. `starts_server` is False if the
    script has another action.
    """

    program: str
    program_indexes: ArgIndexes = ()
    role: SshRole = SshRole.CLIENT
    settings: dict[str, ArgumentValue] = field(default_factory=dict)
    repeated_settings: dict[str, list[ArgumentValue]] = field(default_factory=dict)
    host: ArgumentValue | None = None
    alias: str | None = None
    more_targets: list[ArgumentValue] = field(default_factory=list)
    target_file: ArgumentValue | None = None
    script: str | None = None
    starts_server: bool = True
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

    @property
    def is_persistent_tunnel(self) -> bool:
        """True if the client is a persistent tunnel.

        A persistent tunnel has at least one forward. It runs in the background (`-f`) or without a remote
        command (`-N`). A stdio forward (`-W`) does not count, because it carries only one connection.
        """
        return bool(self.no_command or self.background) and any(
            forward.kind is not ForwardKind.STDIO for forward in self.forwards
        )

    def set_if_unset(self, keyword: str, value: str, arg_indexes: ArgIndexes) -> None:
        """Set a keyword unless it is already set: in ssh_config(5), the first value of a keyword wins."""
        if keyword not in self.settings:
            self.settings[keyword] = ArgumentValue(value, arg_indexes)

    def set_value(self, keyword: str, value: str, arg_indexes: ArgIndexes) -> None:
        """Set a keyword and replace an earlier value, as most option letters of ssh do."""
        self.settings[keyword] = ArgumentValue(value, arg_indexes)

    def get_values(self, keyword: str) -> list[ArgumentValue]:
        """Return all values of a repeatable keyword, in order."""
        setting = self.settings.get(keyword)
        return [] if setting is None else [setting, *self.repeated_settings.get(keyword, ())]

    def get_value(self, keyword: str) -> str | None:
        """Return the value of a keyword, or None."""
        setting = self.settings.get(keyword)
        return None if setting is None else setting.value

    def add_forward(
        self, kind: ForwardKind, listen: str | None, target: str | None, arg_indexes: ArgIndexes
    ) -> None:
        """Add a forward. Like OpenSSH, ignore a forward that is identical to an earlier one."""
        if (kind, listen, target) not in self.seen_forwards:
            self.seen_forwards.add((kind, listen, target))
            self.forwards.append(Forward(kind, listen, target, arg_indexes))

    def record_error(self, reason: str, arg_indexes: ArgIndexes) -> None:
        """Record the reason for which OpenSSH would exit. Only the first reason is kept.

        Parsing continues after an error, because another OpenSSH release may accept the arguments.
        """
        if self.error is None:
            self.error = ArgumentValue(reason, arg_indexes)


@dataclass(frozen=True, slots=True)
class ConfigLine:
    """A parsed `-o` option: the keyword in lower case, the words of its value, and the unparsed value."""

    keyword: str
    words: tuple[str, ...]
    raw_value: str


def parse_config_line(text: str) -> ConfigLine | str | None:
    """Parse `Key=value`, `Key value` or `Key "a b"` as in ssh_config(5).

    Returns None for a blank line or a comment, and an error message for text that OpenSSH rejects.
    """
    text = text.rstrip(_WHITESPACE + "\f") if len(text) > 1 else text
    keyword, rest = _split_keyword(text)
    if keyword == "":
        keyword, rest = _split_keyword(rest or "")
    if not keyword or keyword.startswith("#"):
        return None
    rest = (rest or "").lstrip(_WHITESPACE)
    if not rest:
        return f"no value for {keyword}"
    words = _split_words(rest)
    if words is None:
        return f"unmatched quotes in {keyword}"
    return ConfigLine(keyword.lower(), words, rest.lstrip(_WHITESPACE + "="))


def _split_keyword(text: str) -> tuple[str | None, str | None]:
    """Split `text` into its first word and the rest. At most one `=` between them is skipped."""
    end = next((i for i, letter in enumerate(text) if letter in ' \t\r\n"='), None)
    if end is None:
        return text, None
    if text[end] == '"':
        close = text.find('"', end + 1)
        if close == -1:
            return None, None
        # The closing quote ends the word. Blanks after the quote are skipped. A `=` after the quote is not
        # skipped. OpenSSH's function strdelim() does the same.
        return text[:end] + text[end + 1 : close], text[close + 1 :].lstrip(_WHITESPACE)
    rest = text[end + 1 :].lstrip(_WHITESPACE)
    if text[end] != "=" and rest.startswith("="):
        rest = rest[1:].lstrip(_WHITESPACE)
    return text[:end], rest


def _split_words(text: str) -> tuple[str, ...] | None:
    """Split `text` into words. Return None if a quote is not closed.

    A word that begins with `#` begins a comment, which is ignored. A backslash escapes a quote or a
    backslash. Outside quotes, a backslash also escapes a space.
    """
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
    """Return the last component of a path."""
    return path.rpartition("/")[2]


def remaining_args(args: Sequence[str], start: int) -> tuple[tuple[str, ...], ArgIndexes]:
    """Return the arguments from `start`, with their indexes."""
    return tuple(args[start:]), tuple(range(start, len(args)))
