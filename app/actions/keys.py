"""Making and revoking the keys that programs present."""

import secrets
from datetime import datetime

from app.actions.credentials import checked_name, digest
from app.domain.errors import Conflict, Invalid, NotFound
from app.domain.roles import Principal, Role
from app.store import audit, keys, revisions
from app.store.database import Database
from app.store.tables import Key

PREFIX = "dw_"


def create(
    database: Database, name: str, role: Role, *, who: Principal, at: datetime
) -> tuple[Key, str]:
    """The row and the key itself, which is not kept: 256 random bits. Raises Invalid."""
    name = checked_name(name)
    text = PREFIX + secrets.token_urlsafe(32)
    with database.write() as session:
        if (existing := keys.by_name(session, name)) is not None:
            state = (
                "was revoked, but its name stays in the records"
                if existing.revoked_at
                else "exists"
            )
            raise Invalid({"name": f"A key named “{name}” {state}; choose another name."})
        key = Key(
            name=name,
            role=role,
            key_hash=digest(text),
            hint=text[-4:],
            created_at=at,
            created_by=who.name,
            revoked_at=None,
            revoked_by=None,
        )
        session.add(key)
        session.flush()
        audit.record(
            session,
            at=at,
            actor=who.name,
            action="key.created",
            subject=f"key {name}",
            detail=f"role {role}",
            address=who.address,
        )
        return key, text


def revoke(database: Database, name: str, *, who: Principal, at: datetime) -> None:
    """Refused from now on by whoever looks; see Keyring. Raises NotFound or Conflict."""
    with database.write() as session:
        key = keys.by_name(session, name)
        if key is None:
            raise NotFound(f"There is no key named “{name}”.")
        if key.revoked_at is not None:
            raise Conflict(f"The key “{name}” was revoked already.")
        key.revoked_at = at
        key.revoked_by = who.name
        session.add(key)
        revisions.bump(session, revisions.KEYS)
        audit.record(
            session,
            at=at,
            actor=who.name,
            action="key.revoked",
            subject=f"key {name}",
            address=who.address,
        )
