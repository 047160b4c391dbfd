"""Create and revoke API keys."""

import secrets
from datetime import datetime

from app.actions.credentials import hash_token, validate_name
from app.domain.errors import Conflict, InvalidInput, NotFound
from app.domain.principal import Principal, Role
from app.store import api_keys, audit, change_counters
from app.store.database import Database
from app.store.tables import ApiKey

PREFIX = "dw_"


def create(
    database: Database, name: str, role: Role, *, principal: Principal, at: datetime
) -> tuple[ApiKey, str]:
    """Create an API key; return its row and its text.

    The text contains 256 random bits. It cannot be read again later, because only its hash and its last four
    characters are stored. Raises InvalidInput if the name is not valid or is already used.
    """
    name = validate_name(name)
    text = PREFIX + secrets.token_urlsafe(32)
    with database.write() as session:
        if (existing := api_keys.get_by_name(session, name)) is not None:
            state = "was revoked, and names are not reused" if existing.revoked_at else "exists"
            raise InvalidInput({"name": f"An API key named “{name}” {state}; choose another name."})
        key = ApiKey(
            name=name,
            role=role,
            key_hash=hash_token(text),
            hint=text[-4:],
            created_at=at,
            created_by=principal.name,
            revoked_at=None,
            revoked_by=None,
        )
        session.add(key)
        session.flush()
        audit.record(
            session,
            at=at,
            actor=principal.name,
            action="key.created",
            subject=f"key {name}",
            detail=f"role {role}",
            address=principal.address,
        )
        return key, text


def revoke(database: Database, name: str, *, principal: Principal, at: datetime) -> None:
    """Revoke an API key; requests with this key fail from now on.

    Raises NotFound if the key does not exist, and Conflict if it is already revoked.
    """
    with database.write() as session:
        key = api_keys.get_by_name(session, name)
        if key is None:
            raise NotFound(f"There is no API key named “{name}”.")
        if key.revoked_at is not None:
            raise Conflict(f"The API key “{name}” is already revoked.")
        key.revoked_at = at
        key.revoked_by = principal.name
        session.add(key)
        change_counters.bump(session, change_counters.KEYS)
        audit.record(
            session,
            at=at,
            actor=principal.name,
            action="key.revoked",
            subject=f"key {name}",
            address=principal.address,
        )
