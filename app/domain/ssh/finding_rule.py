"""The shape of one line in the table of findings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from app.domain.ssh.model import FindingKind, SshRole
from app.domain.ssh.parse_state import ArgIndexes, ParseState

FindingMessages: TypeAlias = Iterable[tuple[str, ArgIndexes]]


@dataclass(frozen=True, slots=True)
class FindingRule:
    """`look` gives a sentence and its arguments for each thing found; `roles` says for whom.

    `short` labels a chip, `risk` is added to the rule's risk in points of 100.
    """

    kind: FindingKind
    label: str
    risk: int
    find_messages: Callable[[ParseState], FindingMessages]
    roles: frozenset[SshRole]
