"""Signing in and out: sessions and the one-time links that open them. One transaction each."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.actions.credentials import (
    NAME_MAX_LENGTH,
    hash_password,
    hash_token,
    new_token,
    validate_name,
    validate_password,
    verify_password,
)
from app.actions.users import (
    add_user,
    get_usable_link,
    read_link,
    record_user_change,
    user_principal,
)
from app.domain.errors import Forbidden, InvalidInput, NotFound, Unavailable
from app.domain.principal import Principal, Role
from app.store import audit, users
from app.store.database import Database, Session
from app.store.tables import LoginSession, User
from app.store.users import LinkPurpose

log = logging.getLogger(__name__)

SESSION_IDLE_TIMEOUT = timedelta(hours=12)


SESSION_MAX_LIFETIME = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class NewSession:
    """`token` goes into the cookie; only its hash is kept."""

    token: str
    user: User


def accept_invitation(
    database: Database,
    token: str,
    *,
    name: str,
    password: str,
    again: str,
    address: str,
    browser: str,
    at: datetime,
) -> NewSession:
    """Use a one-time link to set a password, and sign in; raises NotFound or InvalidInput."""
    invited = read_link(database, token, at=at)
    if invited.purpose is LinkPurpose.SIGN_IN:
        raise NotFound("This link is one to sign in with, not to set a password.")
    name = invited.name or validate_name(name)
    password_hash = hash_password(validate_password(password, again, name))
    with database.write() as session:
        link, user = get_usable_link(session, token, at)
        if user is None:
            if users.count_active_admins(session):
                raise NotFound("Deckwatch is set up already; sign in, or ask an admin.")
            user = add_user(session, name, Role.ADMIN, password_hash, at=at)
        user.password_hash = password_hash
        link.used_at = at
        session.add_all([user, link])
        users.delete_sessions(session, user.id or 0)
        record_user_change(
            session, "user.password_set", user, user_principal(user, address), at, str(link.purpose)
        )
        return _open_session(session, user, address=address, browser=browser, at=at)


def sign_in_with_link(
    database: Database, token: str, *, address: str, browser: str, at: datetime
) -> NewSession:
    """Sign in by a one-time link made for it; raises NotFound."""
    with database.write() as session:
        link, user = get_usable_link(session, token, at)
        if link.purpose != LinkPurpose.SIGN_IN or user is None:
            raise NotFound("This link is not one to sign in with.")
        link.used_at = at
        session.add(link)
        return _open_session(session, user, address=address, browser=browser, at=at)


def sign_in(
    database: Database, name: str, password: str, *, address: str, browser: str, at: datetime
) -> NewSession:
    """Check name and password; raises Forbidden with the same words and work for every failure."""
    with database.read() as session:
        user = users.get_by_name(session, name[: NAME_MAX_LENGTH * 2])
    usable = user is not None and user.disabled_at is None and user.password_hash is not None
    stored = user.password_hash if user is not None and usable else None
    right, renewed = verify_password(password, stored)
    if not right or user is None or not usable:
        with database.write() as session:
            audit.record(
                session,
                at=at,
                actor=user.name if user else "unknown",
                action="session.refused",
                subject="sign-in",
                address=address,
            )
        raise Forbidden("Name or password is wrong.")
    with database.write() as session:
        current = session.get(User, user.id)
        if current is None or current.disabled_at or current.password_hash != stored:
            raise Forbidden("Name or password is wrong.")
        if renewed:
            current.password_hash = renewed
        return _open_session(session, current, address=address, browser=browser, at=at)


def _open_session(
    session: Session, user: User, *, address: str, browser: str, at: datetime
) -> NewSession:
    users.delete_expired_sessions(session, at=at)
    token = new_token()
    user.last_login_at = at
    session.add(user)
    session.add(
        LoginSession(
            token_hash=hash_token(token),
            user_id=user.id or 0,
            created_at=at,
            seen_at=at,
            ends_at=at + SESSION_IDLE_TIMEOUT,
            address=address,
            browser=browser[:200],
        )
    )
    record_user_change(session, "session.opened", user, user_principal(user, address), at)
    return NewSession(token, user)


def authenticate(
    database: Database, token: str, *, address: str, at: datetime
) -> tuple[LoginSession, Principal] | None:
    """Whose session this is; None when it ended. Being used prolongs it, at most to a week."""
    with database.read() as session:
        found = users.get_session_and_user(session, hash_token(token))
    if found is None:
        return None
    current, user = found
    if current.ends_at <= at or user.disabled_at is not None:
        return None
    if at - current.seen_at > timedelta(minutes=5):
        _extend_session(database, current.token_hash, at)
    return current, Principal(
        name=user.name, role=Role(user.role), address=address, user_id=user.id
    )


def _extend_session(database: Database, token_hash: str, at: datetime) -> None:
    try:
        with database.write() as session:
            current = session.get(LoginSession, token_hash)
            if current is not None:
                current.seen_at = at
                current.ends_at = min(
                    at + SESSION_IDLE_TIMEOUT, current.created_at + SESSION_MAX_LIFETIME
                )
                session.add(current)
    except Unavailable as error:
        # With a full disk or a locked database people can still read; the next page tries again.
        log.warning("a session was not prolonged: %s", error)


def sign_out(database: Database, token: str, *, principal: Principal, at: datetime) -> None:
    with database.write() as session:
        current = session.get(LoginSession, hash_token(token))
        if current is not None:
            session.delete(current)
            audit.record(
                session,
                at=at,
                actor=principal.name,
                action="session.ended",
                subject=f"user {principal.name}",
                address=principal.address,
            )


def change_password(
    database: Database,
    *,
    principal: Principal,
    current: str,
    password: str,
    again: str,
    current_token: str,
    at: datetime,
) -> None:
    """One's own; ends all one's other sessions. Raises InvalidInput."""
    with database.read() as session:
        user = session.get(User, principal.user_id)
    if user is None or user.password_hash is None:
        raise NotFound("No such account.")
    if not verify_password(current, user.password_hash)[0]:
        raise InvalidInput({"current": "That is not your password."})
    password_hash = hash_password(validate_password(password, again, user.name))
    with database.write() as session:
        now = session.get(User, principal.user_id)
        if now is None or now.disabled_at or now.password_hash != user.password_hash:
            # Set anew meanwhile, perhaps to shut out whoever is asking here.
            raise InvalidInput({"current": "Your password was changed meanwhile; sign in again."})
        now.password_hash = password_hash
        session.add(now)
        users.delete_sessions(session, now.id or 0, except_token_hash=hash_token(current_token))
        record_user_change(session, "user.password_set", now, principal, at, "own")


def end_other_sessions(
    database: Database, *, principal: Principal, current_token: str, at: datetime
) -> None:
    with database.write() as session:
        users.delete_sessions(
            session, principal.user_id or 0, except_token_hash=hash_token(current_token)
        )
        audit.record(
            session,
            at=at,
            actor=principal.name,
            action="session.others_ended",
            subject=f"user {principal.name}",
            address=principal.address,
        )
