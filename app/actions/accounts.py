"""People's access: signing in and out, one-time links, passwords, roles. One transaction each.

Passwords are hashed with Argon2id, always outside the write lock, and for unknown names too, so that
the answer takes as long whether or not the name exists.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from pwdlib import PasswordHash

from app.domain.errors import Conflict, Forbidden, Invalid, NotFound
from app.domain.roles import Principal, Role
from app.store import audit, people
from app.store.database import Database, Session
from app.store.people import Purpose
from app.store.tables import LoginSession, OneTimeLink, User

SESSION_IDLE = timedelta(hours=12)
SESSION_LONGEST = timedelta(days=7)
LINK_LIFE = {
    Purpose.FIRST_ADMIN: timedelta(days=7),
    Purpose.INVITE: timedelta(days=3),
    Purpose.ENTER: timedelta(hours=12),
}
NAME_LIMIT = 64
PASSWORD_SHORTEST = 12
PASSWORD_LONGEST = 1_000


def digest(token: str) -> str:
    """What is stored of a random token: SHA-256, enough for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _new_token() -> str:
    return secrets.token_urlsafe(32)


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobodys_hash() -> str:
    return _hasher().hash(_new_token())


def checked_name(name: str) -> str:
    """A user's or key's name; raises Invalid with key `name`."""
    name = name.strip()
    if not name:
        raise Invalid({"name": "Give a name."})
    if len(name) > NAME_LIMIT:
        raise Invalid({"name": f"At most {NAME_LIMIT} characters."})
    if not all(c.isalnum() or c in "._@-" for c in name) or not name.isascii():
        raise Invalid({"name": "Use letters, digits and . _ @ - only."})
    return name


def checked_password(password: str, again: str | None, name: str) -> str:
    """A password fit for `name`; raises Invalid with keys `password` and `again`."""
    if len(password) < PASSWORD_SHORTEST:
        raise Invalid({"password": f"At least {PASSWORD_SHORTEST} characters."})
    if len(password) > PASSWORD_LONGEST:
        raise Invalid({"password": f"At most {PASSWORD_LONGEST} characters."})
    if len(set(password)) < 4 or name.casefold() in password.casefold():
        raise Invalid({"password": "Too easy to guess: take several words, without your name."})
    if again is not None and again != password:
        raise Invalid({"again": "The two do not match."})
    return password


def _hash(password: str) -> str:
    return _hasher().hash(password.encode("utf-8", "surrogatepass"))


def create_user(
    database: Database, name: str, role: Role, *, password: str | None, who: Principal, at: datetime
) -> User:
    """A new person, with a password or to be invited; raises Invalid."""
    name = checked_name(name)
    password_hash = _hash(checked_password(password, None, name)) if password is not None else None
    with database.write() as session:
        user = _add_user(session, name, role, password_hash, at=at)
        _audit(session, "user.created", user, who, at, f"role {role}")
        return user


def _add_user(
    session: Session, name: str, role: Role, password_hash: str | None, *, at: datetime
) -> User:
    if people.by_name(session, name) is not None:
        raise Invalid({"name": f"“{name}” exists already."})
    user = User(
        name=name,
        name_folded=people.folded(name),
        role=role,
        password_hash=password_hash,
        created_at=at,
        disabled_at=None,
        last_login_at=None,
    )
    session.add(user)
    session.flush()
    return user


def make_link(
    database: Database, purpose: Purpose, *, user_id: int | None, who: Principal, at: datetime
) -> str:
    """A one-time token; an earlier unused one for the same purpose stops working."""
    token = _new_token()
    with database.write() as session:
        people.withdraw_links(session, user_id, purpose)
        session.add(
            OneTimeLink(
                token_hash=digest(token),
                purpose=purpose,
                user_id=user_id,
                created_at=at,
                ends_at=at + LINK_LIFE[purpose],
                used_at=None,
            )
        )
        subject = session.get(User, user_id) if user_id is not None else None
        if subject is not None:
            _audit(session, "user.link_made", subject, who, at, str(purpose))
    return token


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a usable one-time token is for; `name` is fixed for a person who was invited."""

    purpose: Purpose
    name: str | None


def invitation(database: Database, token: str, *, at: datetime) -> Invitation:
    """What the token is for; raises NotFound when it is unknown, used, too old or withdrawn."""
    with database.read() as session:
        link, user = _usable(session, token, at)
        return Invitation(Purpose(link.purpose), user.name if user else None)


def _usable(session: Session, token: str, at: datetime) -> tuple[OneTimeLink, User | None]:
    link = people.link(session, digest(token))
    user = session.get(User, link.user_id) if link and link.user_id is not None else None
    gone = link is None or link.used_at is not None or link.ends_at <= at
    if link is None or gone or (user is not None and user.disabled_at is not None):
        raise NotFound("This link was used already, has expired or was withdrawn.")
    return link, user


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
    name = invited.name or checked_name(name)
    password_hash = _hash(checked_password(password, again, name))
    with database.write() as session:
        link, user = _usable(session, token, at)
        if user is None:
            if people.active_admins(session):
                raise NotFound("Deckwatch is set up already; sign in, or ask an admin.")
            user = _add_user(session, name, Role.ADMIN, password_hash, at=at)
        user.password_hash = password_hash
        link.used_at = at
        session.add_all([user, link])
        people.end_sessions(session, user.id or 0)
        _audit(session, "user.password_set", user, _as(user, address), at, str(link.purpose))
        return _open_session(session, user, address=address, browser=browser, at=at)


def enter(database: Database, token: str, *, address: str, browser: str, at: datetime) -> SignedIn:
    """Sign in by a one-time link made for it; raises NotFound."""
    with database.write() as session:
        link, user = _usable(session, token, at)
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
    right, renewed = _hasher().verify_and_update(
        password[:PASSWORD_LONGEST].encode("utf-8", "surrogatepass"), stored or _nobodys_hash()
    )
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
    token = _new_token()
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
    _audit(session, "session.opened", user, _as(user, address), at)
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
    with database.write() as session:
        current = session.get(LoginSession, token_hash)
        if current is not None:
            current.seen_at = at
            current.ends_at = min(at + SESSION_IDLE, current.created_at + SESSION_LONGEST)
            session.add(current)


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
    if not _hasher().verify(
        current[:PASSWORD_LONGEST].encode("utf-8", "surrogatepass"), user.password_hash
    ):
        raise Invalid({"current": "That is not your password."})
    password_hash = _hash(checked_password(password, again, user.name))
    with database.write() as session:
        user.password_hash = password_hash
        session.add(user)
        people.end_sessions(session, user.id or 0, keep=digest(keep_session))
        _audit(session, "user.password_set", user, who, at, "own")


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


def set_role(database: Database, user_id: int, role: Role, *, who: Principal, at: datetime) -> User:
    """Takes effect with the person's next request."""
    with database.write() as session:
        user = _other(session, user_id)
        if user.role == Role.ADMIN and role is not Role.ADMIN:
            _keep_one_admin(session, user)
        before, user.role = user.role, role
        session.add(user)
        _audit(session, "user.role_changed", user, who, at, f"{before} to {role}")
        return user


def set_disabled(
    database: Database, user_id: int, disabled: bool, *, who: Principal, at: datetime
) -> User:
    """Disabling ends all the person's sessions at once."""
    with database.write() as session:
        user = _other(session, user_id)
        if disabled:
            _keep_one_admin(session, user)
            people.end_sessions(session, user_id)
        user.disabled_at = at if disabled else None
        session.add(user)
        _audit(session, "user.disabled" if disabled else "user.enabled", user, who, at)
        return user


def _other(session: Session, user_id: int) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such person.")
    return user


def _keep_one_admin(session: Session, user: User) -> None:
    counts = user.role == Role.ADMIN and user.disabled_at is None and user.password_hash
    if counts and people.active_admins(session) <= 1:
        raise Conflict(f"{user.name} is the only admin; make another one first.")


def _as(user: User, address: str) -> Principal:
    return Principal(name=user.name, role=Role(user.role), address=address, user_id=user.id)


def _audit(
    session: Session, action: str, user: User, who: Principal, at: datetime, detail: str = ""
) -> None:
    audit.record(
        session,
        at=at,
        actor=who.name,
        action=action,
        subject=f"user {user.name}",
        detail=detail,
        address=who.address,
    )
