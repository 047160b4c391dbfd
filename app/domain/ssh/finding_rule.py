"""The shape of one line in the table of findings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from app.domain.ssh.reading import Indexes, Reading
from app.domain.ssh.use import FindingKind, SshRole

Said: TypeAlias = Iterable[tuple[str, Indexes]]


@dataclass(frozen=True, slots=True)
class FindingRule:
    """`look` gives a sentence and its arguments for each thing found; `roles` says for whom.

    `short` labels a chip, `risk` is added to the rule's risk in points of 100.
    """

    kind: FindingKind
    short: str
    risk: int
    look: Callable[[Reading], Said]
    roles: frozenset[SshRole]
