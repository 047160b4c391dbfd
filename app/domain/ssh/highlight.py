"""Highlighting of the arguments of a command line, with the messages of the findings."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.ssh.masking import mask_passwords
from app.domain.ssh.model import SshInvocation

_ALARMING_MIN_RISK = 10


class TokenKind(StrEnum):
    """The kind of an argument, which decides its style on pages.

    DANGER marks an argument that caused a finding with at least ten risk points. WARNING marks an argument
    that caused only findings with fewer than ten risk points.
    """

    PLAIN = "plain"
    OPTION = "option"
    DESTINATION = "destination"
    WARNING = "warning"
    DANGER = "danger"


@dataclass(frozen=True, slots=True)
class Token:
    """An argument with passwords masked, and the messages of the findings that the argument caused."""

    text: str
    kind: TokenKind
    messages: tuple[str, ...]


def highlight_arguments(args: Sequence[str], invocation: SshInvocation | None) -> tuple[Token, ...]:
    """Return one token per argument, in order. If `invocation` is None, only options are highlighted.

    If an argument caused several findings, the finding with the highest risk decides the kind. The kind of
    the destination is DANGER or DESTINATION, but never WARNING.
    """
    words = mask_passwords(args)
    messages: list[list[str]] = [[] for _ in words]
    risks = [0] * len(words)
    destination: set[int] = set()
    program_word_count = len(words)
    if invocation is not None:
        destination.update(invocation.destination_indexes)
        program_word_count -= len(invocation.remote_command)
        for finding in invocation.findings:
            for index in finding.arg_indexes:
                if index < len(words):
                    messages[index].append(finding.message)
                    risks[index] = max(risks[index], finding.risk)
    return tuple(
        Token(
            word,
            _token_kind(
                word, risks[i], bool(messages[i]), i in destination, 0 < i < program_word_count
            ),
            tuple(messages[i]),
        )
        for i, word in enumerate(words)
    )


def _token_kind(word: str, risk: int, has_reason: bool, destination: bool, own: bool) -> TokenKind:
    if risk >= _ALARMING_MIN_RISK:
        return TokenKind.DANGER
    if destination:
        return TokenKind.DESTINATION
    if has_reason:
        return TokenKind.WARNING
    return TokenKind.OPTION if own and word.startswith("-") else TokenKind.PLAIN
