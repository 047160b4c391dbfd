"""Signing in and out: sessions and the one-time links that open them. One transaction each."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.actions.accounts import add_user, audit_user, invitation, principal_of, usable_link
from app.actions.credentials import (
    NAME_LIMIT,
    checked_name,
    checked_password,
    digest,
    hash_password,
    new_token,
    password_fits,
)
from app.domain.errors import Forbidden, Invalid, NotFound, Unavailable
from app.domain.roles import Principal, Role
from app.store import audit, people
from app.store.database import Database, Session
from app.store.people import Purpose
from app.store.tables import LoginSession, User

log = logging.getLogger(__name__)

SESSION_IDLE = timedelta(hours=12)


SESSION_LONGEST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`token` goes into the cookie; only its hash is kept."""

    token: str
    user: User


def accept(
    database: Database,
    token: str,
    *,
    name: str,
    password: str,
    again: str,
    address: str,
    browser: str,
    at: datetime,
) -> SignedIn:
    """Use a one-time link to set a password, and sign in; raises NotFound or Invalid."""
    invited = invitation(database, token, at=at)
    if invited.purpose is Purpose.ENTER:
        raise NotFound("This link is one to sign in with, not to set a password.")
    name = invited.name or checked_name(name)
    password_hash = hash_password(checked_password(password, again, name))
    with database.write() as session:
        link, user = usable_link(session, token, at)
        if user is None:
            if people.active_admins(session):
                raise NotFound("Deckwatch is set up already; sign in, or ask an admin.")
            user = add_user(session, name, Role.ADMIN, password_hash, at=at)
        user.password_hash = password_hash
        link.used_at = at
        session.add_all([user, link])
        people.end_sessions(session, user.id or 0)
        audit_user(
            session, "user.password_set", user, principal_of(user, address), at, str(link.purpose)
        )
        return _open_session(session, user, address=address, browser=browser, at=at)


def enter(database: Database, token: str, *, address: str, browser: str, at: datetime) -> SignedIn:
    """Sign in by a one-time link made for it; raises NotFound."""
    with database.write() as session:
        link, user = usable_link(session, token, at)
        if link.purpose != Purpose.ENTER or user is None:
            raise NotFound("This link is not one to sign in with.")
        link.used_at = at
        session.add(link)
        return _open_session(session, user, address=address, browser=browser, at=at)


def sign_in(
    database: Database, name: str, password: str, *, address: str, browser: str, at: datetime
) -> SignedIn:
    """Check name and password; raises Forbidden with the same words and work for every failure."""
    with database.read() as session:
        user = people.by_name(session, name[: NAME_LIMIT * 2])
    usable = user is not None and user.disabled_at is None and user.password_hash is not None
    stored = user.password_hash if user is not None and usable else None
    right, renewed = password_fits(password, stored)
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
) -> SignedIn:
    people.forget_ended_sessions(session, at=at)
    token = new_token()
    user.last_login_at = at
    session.add(user)
    session.add(
        LoginSession(
            token_hash=digest(token),
            user_id=user.id or 0,
            created_at=at,
            seen_at=at,
            ends_at=at + SESSION_IDLE,
            address=address,
            browser=browser[:200],
        )
    )
    audit_user(session, "session.opened", user, principal_of(user, address), at)
    return SignedIn(token, user)


def signed_in(
    database: Database, token: str, *, address: str, at: datetime
) -> tuple[LoginSession, Principal] | None:
    """Whose session this is; None when it ended. Being used prolongs it, at most to a week."""
    with database.read() as session:
        found = people.session_and_user(session, digest(token))
    if found is None:
        return None
    current, user = found
    if current.ends_at <= at or user.disabled_at is not None:
        return None
    if at - current.seen_at > timedelta(minutes=5):
        _prolong(database, current.token_hash, at)
    return current, Principal(
        name=user.name, role=Role(user.role), address=address, user_id=user.id
    )


def _prolong(database: Database, token_hash: str, at: datetime) -> None:
    try:
        with database.write() as session:
            current = session.get(LoginSession, token_hash)
            if current is not None:
                current.seen_at = at
                current.ends_at = min(at + SESSION_IDLE, current.created_at + SESSION_LONGEST)
                session.add(current)
    except Unavailable as error:
        # With a full disk or a locked database people can still read; the next page tries again.
        log.warning("a session was not prolonged: %s", error)


def sign_out(database: Database, token: str, *, who: Principal, at: datetime) -> None:
    with database.write() as session:
        current = session.get(LoginSession, digest(token))
        if current is not None:
            session.delete(current)
            audit.record(
                session,
                at=at,
                actor=who.name,
                action="session.ended",
                subject=f"user {who.name}",
                address=who.address,
            )


def change_password(
    database: Database,
    *,
    who: Principal,
    current: str,
    password: str,
    again: str,
    keep_session: str,
    at: datetime,
) -> None:
    """One's own; ends all one's other sessions. Raises Invalid."""
    with database.read() as session:
        user = session.get(User, who.user_id)
    if user is None or user.password_hash is None:
        raise NotFound("No such account.")
    if not password_fits(current, user.password_hash)[0]:
        raise Invalid({"current": "That is not your password."})
    password_hash = hash_password(checked_password(password, again, user.name))
    with database.write() as session:
        now = session.get(User, who.user_id)
        if now is None or now.disabled_at or now.password_hash != user.password_hash:
            # Set anew meanwhile, perhaps to shut out whoever is asking here.
            raise Invalid({"current": "Your password was changed meanwhile; sign in again."})
        now.password_hash = password_hash
        session.add(now)
        people.end_sessions(session, now.id or 0, keep=digest(keep_session))
        audit_user(session, "user.password_set", now, who, at, "own")


def end_other_sessions(
    database: Database, *, who: Principal, keep_session: str, at: datetime
) -> None:
    with database.write() as session:
        people.end_sessions(session, who.user_id or 0, keep=digest(keep_session))
        audit.record(
            session,
            at=at,
            actor=who.name,
            action="session.others_ended",
            subject=f"user {who.name}",
            address=who.address,
        )
