"""Sign users in and out, and let users change their own passwords.

A user signs in with a password or with a one-time link.
"""

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
# A session is extended at most once per interval, so that not every request writes to the database.
_EXTEND_INTERVAL = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A new session; `token` is the cookie's value, and only its hash is stored."""

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
    """Set a password with a one-time link, and sign in.

    A link without a user creates the first admin, with the name `name`. Raises NotFound if the link cannot be
    used, or InvalidInput if the name or the password is not valid.
    """
    invited = read_link(database, token, at=at)
    if invited.purpose is LinkPurpose.SIGN_IN:
        raise NotFound("This link is for signing in, not for setting a password.")
    name = invited.name or validate_name(name)
    password_hash = hash_password(validate_password(password, again, name))
    with database.write() as session:
        link, user = get_usable_link(session, token, at)
        if user is None:
            if users.count_active_admins(session):
                raise NotFound(
                    "Deckwatch is already set up; sign in, or ask an admin for an account."
                )
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
    """Sign in with a one-time link; raises NotFound if the link cannot be used to sign in."""
    with database.write() as session:
        link, user = get_usable_link(session, token, at)
        if link.purpose != LinkPurpose.SIGN_IN or user is None:
            raise NotFound("This link is not for signing in.")
        link.used_at = at
        session.add(link)
        return _open_session(session, user, address=address, browser=browser, at=at)


def sign_in(
    database: Database, name: str, password: str, *, address: str, browser: str, at: datetime
) -> NewSession:
    """Sign in with name and password; raises Forbidden if the sign-in fails.

    Every failure has the same message and takes the same time. Therefore the message and the time do not
    reveal whether a user exists.
    """
    with database.read() as session:
        user = users.get_by_name(session, name[: NAME_MAX_LENGTH * 2])
    usable = user is not None and user.disabled_at is None and user.password_hash is not None
    stored = user.password_hash if user is not None and usable else None
    matches, renewed_hash = verify_password(password, stored)
    if not matches or user is None or not usable:
        with database.write() as session:
            audit.record(
                session,
                at=at,
                actor=user.name if user else "unknown",
                action="session.refused",
                subject="sign-in",
                address=address,
            )
        raise Forbidden("Name or password is incorrect.")
    with database.write() as session:
        current = session.get(User, user.id)
        if current is None or current.disabled_at or current.password_hash != stored:
            raise Forbidden("Name or password is incorrect.")
        if renewed_hash:
            current.password_hash = renewed_hash
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
    """Return the session and its principal, or None if the session has ended or the user is disabled.

    A request extends the session: the session then ends SESSION_IDLE_TIMEOUT after the request. A session
    never lasts longer than SESSION_MAX_LIFETIME. To avoid a database write for each request, a session is
    extended at most once per _EXTEND_INTERVAL.
    """
    with database.read() as session:
        session_and_user = users.get_session_and_user(session, hash_token(token))
    if session_and_user is None:
        return None
    current, user = session_and_user
    if current.ends_at <= at or user.disabled_at is not None:
        return None
    if at - current.seen_at > _EXTEND_INTERVAL:
        _extend_session(database, current.token_hash, at)
    return current, user_principal(user, address)


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
        # The request must not fail, because a user can still read while the disk is full or the database is
        # locked. The next request tries again to extend the session.
        log.warning("a session was not extended: %s", error)


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
    """Change the password of the principal, and end all sessions of the principal except `current_token`.

    Raises NotFound if the account has no password, or InvalidInput with the key `current`, `password` or
    `again`.
    """
    with database.read() as session:
        user = session.get(User, principal.user_id)
    if user is None or user.password_hash is None:
        raise NotFound("This account does not exist or has no password.")
    if not verify_password(current, user.password_hash)[0]:
        raise InvalidInput({"current": "This is not your current password."})
    password_hash = hash_password(validate_password(password, again, user.name))
    with database.write() as session:
        stored_user = session.get(User, principal.user_id)
        if (
            stored_user is None
            or stored_user.disabled_at
            or stored_user.password_hash != user.password_hash
        ):
            # The password was changed after the check above. The user may have changed it to end the access
            # of an attacker, and this request may come from the attacker.
            raise InvalidInput({"current": "Your password has just been changed; sign in again."})
        stored_user.password_hash = password_hash
        session.add(stored_user)
        users.delete_sessions(
            session, stored_user.id or 0, except_token_hash=hash_token(current_token)
        )
        record_user_change(session, "user.password_set", stored_user, principal, at, "own")


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
