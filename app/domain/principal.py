"""Who may be on the other side: roles and what each includes."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """`agent` only sends events; an `admin` may do all that an `analyst` may."""

    AGENT = "agent"
    ANALYST = "analyst"
    ADMIN = "admin"


_INCLUDED_ROLES = {
    Role.AGENT: frozenset({Role.AGENT}),
    Role.ANALYST: frozenset({Role.ANALYST}),
    Role.ADMIN: frozenset({Role.ADMIN, Role.ANALYST}),
}


def role_includes(role: Role, required_role: Role) -> bool:
    """Whether someone who holds one role may do what needs the other."""
    return required_role in _INCLUDED_ROLES[role]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: a person with a session, or a program with a key, and from which address."""

    name: str
    role: Role
    address: str
    user_id: int | None = None
    key_id: int | None = None

    def has_role(self, required_role: Role) -> bool:
        return role_includes(self.role, required_role)


CLI_PRINCIPAL = Principal(name="command line", role=Role.ADMIN, address="local")
