"""What a reader has gathered so far, each piece with the arguments it came from.

Readers (client, daemon, relatives) fill it; findings and `SshUse` are made from it at the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.ssh.use import Forward, ForwardKind, Hop, SshRole

WHITESPACE = " \t\r\n"
Indexes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and the arguments that made it."""

    value: str
    indexes: Indexes


@dataclass(slots=True)
class Reading:
    """One process being read.

    `settings` are keyed by keyword in lower case; `lists` holds the second and later values of
    keywords that may be repeated; `named` is the argument that is the program's own name.
    """

    program: str
    named: Indexes = ()
    role: SshRole = SshRole.CLIENT
    settings: dict[str, Setting] = field(default_factory=dict)
    lists: dict[str, list[Setting]] = field(default_factory=dict)
    host: Setting | None = None
    jumps: tuple[Hop, ...] = ()
    forwards: list[Forward] = field(default_factory=list)
    known_forwards: set[tuple[ForwardKind, str | None, str | None]] = field(default_factory=set)
    identities: list[Setting] = field(default_factory=list)
    ports: list[Setting] = field(default_factory=list)
    remote_command: tuple[str, ...] = ()
    remote_indexes: Indexes = ()
    config_file: Setting | None = None
    log_file: Setting | None = None
    background: Setting | None = None
    no_command: Setting | None = None
    debug: Setting | None = None
    foreground: Setting | None = None
    no_op: Setting | None = None
    restarts: bool = False
    inbound: Setting | None = None
    helpers: list[Setting] = field(default_factory=list)
    passwords: list[Setting] = field(default_factory=list)
    problem: Setting | None = None

    def first(self, keyword: str, value: str, indexes: Indexes) -> None:
        """Set it unless it is set: ssh_config(5), the first obtained value is used."""
        if keyword not in self.settings:
            self.settings[keyword] = Setting(value, indexes)

    def assign(self, keyword: str, value: str, indexes: Indexes) -> None:
        """Set it in any case, as most of ssh's letters do."""
        self.settings[keyword] = Setting(value, indexes)

    def every(self, keyword: str) -> list[Setting]:
        """All values of a repeatable keyword, in order."""
        setting = self.settings.get(keyword)
        return [] if setting is None else [setting, *self.lists.get(keyword, ())]

    def value(self, keyword: str) -> str | None:
        """The value of a setting, None while it is not set."""
        setting = self.settings.get(keyword)
        return None if setting is None else setting.value

    def add_forward(
        self, kind: ForwardKind, listen: str | None, target: str | None, indexes: Indexes
    ) -> None:
        """Add a forward, unless the same one is there: OpenSSH opens it once, too."""
        if (kind, listen, target) not in self.known_forwards:
            self.known_forwards.add((kind, listen, target))
            self.forwards.append(Forward(kind, listen, target, indexes))

    def refuse(self, why: str, indexes: Indexes) -> None:
        """Note why OpenSSH would not have gone on: the first reason, since it ends there.

        Reading goes on all the same, in case another release thinks better of it.
        """
        if self.problem is None:
            self.problem = Setting(why, indexes)


@dataclass(frozen=True, slots=True)
class Line:
    """One `-o` line: keyword in lower case, its words, and the rest as it was typed."""

    keyword: str
    words: tuple[str, ...]
    rest: str


def split_line(text: str) -> Line | str | None:
    """Cut `Key=value`, `Key value` or `Key "a b"` as ssh_config(5) says.

    None for a blank or a comment, a sentence part saying why for a line that OpenSSH refuses.
    """
    text = text.rstrip(WHITESPACE + "\f") if len(text) > 1 else text
    keyword, rest = _cut_keyword(text)
    if keyword == "":
        keyword, rest = _cut_keyword(rest or "")
    if not keyword or keyword.startswith("#"):
        return None
    rest = (rest or "").lstrip(WHITESPACE)
    if not rest:
        return f"{keyword} has no value"
    words = _split_words(rest)
    if words is None:
        return f"the quotes of {keyword} do not match"
    return Line(keyword.lower(), words, rest.lstrip(WHITESPACE + "="))


def _cut_keyword(text: str) -> tuple[str | None, str | None]:
    """The first word and what follows it; at most one `=` between them is skipped."""
    end = next((i for i, letter in enumerate(text) if letter in ' \t\r\n"='), None)
    if end is None:
        return text, None
    if text[end] == '"':
        close = text.find('"', end + 1)
        if close == -1:
            return None, None
        # The closing quote ends the word; like strdelim(), skip blanks but no `=`.
        return text[:end] + text[end + 1 : close], text[close + 1 :].lstrip(WHITESPACE)
    rest = text[end + 1 :].lstrip(WHITESPACE)
    if text[end] != "=" and rest.startswith("="):
        rest = rest[1:].lstrip(WHITESPACE)
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


def words_after(args: Sequence[str], start: int) -> tuple[tuple[str, ...], Indexes]:
    """The words from `start` on, with their indexes."""
    return tuple(args[start:]), tuple(range(start, len(args)))
