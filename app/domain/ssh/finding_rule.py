"""One row of the table of findings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from app.domain.ssh.model import FindingKind, SshRole
from app.domain.ssh.parse_state import ArgIndexes, ParseState

FindingMessages: TypeAlias = Iterable[tuple[str, ArgIndexes]]


@dataclass(frozen=True, slots=True)
class FindingRule:
    """Detection of the findings of one kind in processes with one of `roles`.

    `find_messages` yields a message and the indexes of its arguments for each finding. `risk` is the number
    of points added to the rule's risk score, which is 0 to 100.
    """

    kind: FindingKind
    risk: int
    find_messages: Callable[[ParseState], FindingMessages]
    roles: frozenset[SshRole]
