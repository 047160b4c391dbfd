"""The type of the rules that detect findings (see findings.py)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from app.domain.ssh.model import FindingKind, SshRole
from app.domain.ssh.parse_state import ArgIndexes, ParseState

FindingMessages: TypeAlias = Iterable[tuple[str, ArgIndexes]]


@dataclass(frozen=True, slots=True)
class FindingRule:
    """A rule that detects the findings of one kind. It applies to processes with one of `roles`.

    For each finding, `find_messages` yields its message and the indexes of the arguments that caused it.
    `risk` is copied to the Finding.
    """

    kind: FindingKind
    risk: int
    find_messages: Callable[[ParseState], FindingMessages]
    roles: frozenset[SshRole]
