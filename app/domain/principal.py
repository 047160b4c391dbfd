"""Roles, and the principal (user or API key) of a request."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Role of a user or an API key.

    `agent` may only send events. `admin` has all permissions of `analyst` and more.
    """

    AGENT = "agent"
    ANALYST = "analyst"
    ADMIN = "admin"


_INCLUDED_ROLES = {
    Role.AGENT: frozenset({Role.AGENT}),
    Role.ANALYST: frozenset({Role.ANALYST}),
    Role.ADMIN: frozenset({Role.ADMIN, Role.ANALYST}),
}


def role_includes(role: Role, required_role: Role) -> bool:
    """Return whether `role` has the permissions of `required_role`."""
    return required_role in _INCLUDED_ROLES[role]


@dataclass(frozen=True, slots=True)
class Principal:
    """The user or API key that authenticated a request, and the address of the client."""

    name: str
    role: Role
    address: str
    user_id: int | None = None
    key_id: int | None = None

    def has_role(self, required_role: Role) -> bool:
        return role_includes(self.role, required_role)


CLI_PRINCIPAL = Principal(name="command line", role=Role.ADMIN, address="local")
