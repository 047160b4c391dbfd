"""Queries that look up and list API keys."""

from collections.abc import Iterable

from sqlmodel import Session, col, select

from app.store.tables import ApiKey


def get_by_hash(session: Session, key_hash: str) -> ApiKey | None:
    return session.exec(select(ApiKey).where(ApiKey.key_hash == key_hash)).first()


def get_by_name(session: Session, name: str) -> ApiKey | None:
    return session.exec(select(ApiKey).where(ApiKey.name == name)).first()


def get(session: Session, key_id: int) -> ApiKey | None:
    return session.get(ApiKey, key_id)


def list_all(session: Session) -> list[ApiKey]:
    """Return all keys: first the active keys, then the revoked keys, each group sorted by name."""
    return list(
        session.exec(select(ApiKey).order_by(col(ApiKey.revoked_at).is_not(None), col(ApiKey.name)))
    )


def names_by_id(session: Session, ids: Iterable[int]) -> dict[int, str]:
    rows = session.exec(select(ApiKey.id, ApiKey.name).where(col(ApiKey.id).in_(set(ids))))
    return {key_id: name for key_id, name in rows if key_id is not None}
