"""People: who there is, in which role, and the one-time links they come by. One transaction each."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.actions.credentials import (
    checked_name,
    checked_password,
    digest,
    hash_password,
    new_token,
)
from app.domain.errors import Conflict, Invalid, NotFound
from app.domain.roles import Principal, Role
from app.store import audit, people
from app.store.database import Database, Session
from app.store.people import Purpose
from app.store.tables import OneTimeLink, User

LINK_LIFE = {
    Purpose.FIRST_ADMIN: timedelta(days=7),
    Purpose.INVITE: timedelta(days=3),
    Purpose.ENTER: timedelta(hours=12),
}


def create_user(
    database: Database, name: str, role: Role, *, password: str | None, who: Principal, at: datetime
) -> User:
    """A new person, with a password or to be invited; raises Invalid."""
    name = checked_name(name)
    password_hash = (
        hash_password(checked_password(password, None, name)) if password is not None else None
    )
    with database.write() as session:
        user = add_user(session, name, role, password_hash, at=at)
        audit_user(session, "user.created", user, who, at, f"role {role}")
        return user


def add_user(
    session: Session, name: str, role: Role, password_hash: str | None, *, at: datetime
) -> User:
    """Within a transaction; raises Invalid when the name is taken."""
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
    token = new_token()
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
            audit_user(session, "user.link_made", subject, who, at, str(purpose))
    return token


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a usable one-time token is for; `name` is fixed for a person who was invited."""

    purpose: Purpose
    name: str | None


def invitation(database: Database, token: str, *, at: datetime) -> Invitation:
    """What the token is for; raises NotFound when it is unknown, used, too old or withdrawn."""
    with database.read() as session:
        link, user = usable_link(session, token, at)
        return Invitation(Purpose(link.purpose), user.name if user else None)


def usable_link(session: Session, token: str, at: datetime) -> tuple[OneTimeLink, User | None]:
    """The link behind a token and whose it is, within a transaction; raises NotFound."""
    link = people.link(session, digest(token))
    user = session.get(User, link.user_id) if link and link.user_id is not None else None
    gone = link is None or link.used_at is not None or link.ends_at <= at
    if link is None or gone or (user is not None and user.disabled_at is not None):
        raise NotFound("This link was used already, has expired or was withdrawn.")
    return link, user


def set_role(database: Database, user_id: int, role: Role, *, who: Principal, at: datetime) -> User:
    """Takes effect with the person's next request."""
    with database.write() as session:
        user = _other(session, user_id)
        if user.role == Role.ADMIN and role is not Role.ADMIN:
            _keep_one_admin(session, user)
        before, user.role = user.role, role
        session.add(user)
        audit_user(session, "user.role_changed", user, who, at, f"{before} to {role}")
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
        audit_user(session, "user.disabled" if disabled else "user.enabled", user, who, at)
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


def principal_of(user: User, address: str) -> Principal:
    """A person as the one who asks."""
    return Principal(name=user.name, role=Role(user.role), address=address, user_id=user.id)


def audit_user(
    session: Session, action: str, user: User, who: Principal, at: datetime, detail: str = ""
) -> None:
    """Record what was done to a person\'s account, within the transaction that did it."""
    audit.record(
        session,
        at=at,
        actor=who.name,
        action=action,
        subject=f"user {user.name}",
        detail=detail,
        address=who.address,
    )
