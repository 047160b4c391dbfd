"""Queries for users, their login sessions, and the one-time links with which they sign in."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from app.domain.principal import Role
from app.store.tables import LoginSession, OneTimeLink, User


class LinkPurpose(StrEnum):
    """The purpose of a one-time link.

    A link creates the first admin, lets an invited user set a password, or signs a user in. The database
    stores these values.
    """

    FIRST_ADMIN = "first_admin"
    INVITE = "invite"
    SIGN_IN = "enter"


def normalize_name(name: str) -> str:
    """Return `name` trimmed and case-folded. This form of the name is unique among all users."""
    return name.strip().casefold()


def get_by_name(session: Session, name: str) -> User | None:
    return session.exec(select(User).where(User.name_folded == normalize_name(name))).first()


def list_all(session: Session) -> list[User]:
    return list(session.exec(select(User).order_by(col(User.name_folded))))


def list_active(session: Session) -> list[User]:
    """Return the users who are not disabled. Alerts can be assigned only to these users."""
    return [user for user in list_all(session) if user.disabled_at is None]


def names_by_id(session: Session, ids: Iterable[int | None]) -> dict[int, str]:
    user_ids = {user_id for user_id in ids if user_id is not None}
    rows = session.exec(select(User.id, User.name).where(col(User.id).in_(user_ids)))
    return {user_id: name for user_id, name in rows if user_id is not None}


def count_active_admins(session: Session) -> int:
    """Count the admins who can sign in: they are not disabled and have a password."""
    return session.exec(
        select(func.count()).where(
            User.role == Role.ADMIN,
            col(User.disabled_at).is_(None),
            col(User.password_hash).is_not(None),
        )
    ).one()


def get_session_and_user(session: Session, token_hash: str) -> tuple[LoginSession, User] | None:
    return session.exec(
        select(LoginSession, User)
        .join(User, col(User.id) == col(LoginSession.user_id))
        .where(LoginSession.token_hash == token_hash)
    ).first()


def list_sessions(session: Session, user_id: int, *, at: datetime) -> list[LoginSession]:
    return list(
        session.exec(
            select(LoginSession)
            .where(LoginSession.user_id == user_id, LoginSession.ends_at > at)
            .order_by(col(LoginSession.seen_at).desc())
        )
    )


def session_counts_by_user(session: Session, *, at: datetime) -> dict[int, int]:
    rows = session.exec(
        select(LoginSession.user_id, func.count())
        .where(LoginSession.ends_at > at)
        .group_by(col(LoginSession.user_id))
    )
    return dict(rows.all())


def delete_sessions(
    session: Session, user_id: int, *, except_token_hash: str | None = None
) -> None:
    """Delete all sessions of a user, except the session with `except_token_hash` if it is not None."""
    statement = delete(LoginSession).where(col(LoginSession.user_id) == user_id)
    if except_token_hash is not None:
        statement = statement.where(col(LoginSession.token_hash) != except_token_hash)
    session.execute(statement)


def delete_expired_sessions(session: Session, *, at: datetime) -> None:
    session.execute(delete(LoginSession).where(col(LoginSession.ends_at) <= at))


def get_link(session: Session, token_hash: str) -> OneTimeLink | None:
    return session.get(OneTimeLink, token_hash)


def delete_unused_links(session: Session, user_id: int | None, purpose: LinkPurpose) -> None:
    """Delete the unused links of one user for one purpose.

    If `user_id` is None, delete the unused links that belong to no user, such as a link for the first admin.
    """
    session.execute(
        delete(OneTimeLink).where(
            col(OneTimeLink.user_id).is_(None)
            if user_id is None
            else col(OneTimeLink.user_id) == user_id,
            col(OneTimeLink.purpose) == purpose,
            col(OneTimeLink.used_at).is_(None),
        )
    )
