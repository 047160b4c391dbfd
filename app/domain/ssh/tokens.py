"""A command line cut into words, each with what it caused; colours are left to the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.ssh.masking import masked
from app.domain.ssh.use import SshUse

_ALARMING_FROM = 10


class TokenKind(StrEnum):
    """How loudly a word should be shown. Alarming is a finding of ten risk points or more."""

    PLAIN = "plain"
    OPTION = "option"
    DESTINATION = "destination"
    NOTABLE = "notable"
    ALARMING = "alarming"


@dataclass(frozen=True, slots=True)
class Token:
    """One argument, masked. `reasons` are the sentences of the findings that it caused."""

    text: str
    kind: TokenKind
    reasons: tuple[str, ...]


def tokens(args: Sequence[str], use: SshUse | None) -> tuple[Token, ...]:
    """One token for each argument, in order; without a `use` only options stand out.

    The loudest finding decides how a word is shown; a destination stays one until it alarms.
    """
    words = masked(args)
    reasons: list[list[str]] = [[] for _ in words]
    loudness = [0] * len(words)
    destination: set[int] = set()
    own_words = len(words)
    if use is not None:
        destination.update(use.destination_indexes)
        own_words -= len(use.remote_command)
        for finding in use.findings:
            for index in finding.arg_indexes:
                if index < len(words):
                    reasons[index].append(finding.sentence)
                    loudness[index] = max(loudness[index], finding.risk)
    return tuple(
        Token(
            word,
            _kind(word, loudness[i], bool(reasons[i]), i in destination, 0 < i < own_words),
            tuple(reasons[i]),
        )
        for i, word in enumerate(words)
    )


def _kind(word: str, loudness: int, has_reason: bool, destination: bool, own: bool) -> TokenKind:
    if loudness >= _ALARMING_FROM:
        return TokenKind.ALARMING
    if destination:
        return TokenKind.DESTINATION
    if has_reason:
        return TokenKind.NOTABLE
    return TokenKind.OPTION if own and word.startswith("-") else TokenKind.PLAIN
