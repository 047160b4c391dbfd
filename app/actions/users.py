"""People: who there is, in which role, and the one-time links they come by. One transaction each."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.actions.credentials import (
    hash_password,
    hash_token,
    new_token,
    validate_name,
    validate_password,
)
from app.domain.errors import Conflict, InvalidInput, NotFound
from app.domain.principal import Principal, Role
from app.store import audit, users
from app.store.database import Database, Session
from app.store.tables import OneTimeLink, User
from app.store.users import LinkPurpose

LINK_LIFETIME = {
    LinkPurpose.FIRST_ADMIN: timedelta(days=7),
    LinkPurpose.INVITE: timedelta(days=3),
    LinkPurpose.SIGN_IN: timedelta(hours=12),
}


def create_user(
    database: Database,
    name: str,
    role: Role,
    *,
    password: str | None,
    principal: Principal,
    at: datetime,
) -> User:
    """A new person, with a password or to be invited; raises InvalidInput."""
    name = validate_name(name)
    password_hash = (
        hash_password(validate_password(password, None, name)) if password is not None else None
    )
    with database.write() as session:
        user = add_user(session, name, role, password_hash, at=at)
        record_user_change(session, "user.created", user, principal, at, f"role {role}")
        return user


def add_user(
    session: Session, name: str, role: Role, password_hash: str | None, *, at: datetime
) -> User:
    """Within a transaction; raises InvalidInput when the name is taken."""
    if users.get_by_name(session, name) is not None:
        raise InvalidInput({"name": f"“{name}” exists already."})
    user = User(
        name=name,
        name_folded=users.normalize_name(name),
        role=role,
        password_hash=password_hash,
        created_at=at,
        disabled_at=None,
        last_login_at=None,
    )
    session.add(user)
    session.flush()
    return user


def create_link(
    database: Database,
    purpose: LinkPurpose,
    *,
    user_id: int | None,
    principal: Principal,
    at: datetime,
) -> str:
    """A one-time token; an earlier unused one for the same purpose stops working."""
    token = new_token()
    with database.write() as session:
        users.delete_unused_links(session, user_id, purpose)
        session.add(
            OneTimeLink(
                token_hash=hash_token(token),
                purpose=purpose,
                user_id=user_id,
                created_at=at,
                ends_at=at + LINK_LIFETIME[purpose],
                used_at=None,
            )
        )
        subject = session.get(User, user_id) if user_id is not None else None
        if subject is not None:
            record_user_change(session, "user.link_made", subject, principal, at, str(purpose))
    return token


@dataclass(frozen=True, slots=True)
class LinkDetails:
    """What a usable one-time token is for; `name` is fixed for a person who was invited."""

    purpose: LinkPurpose
    name: str | None


def read_link(database: Database, token: str, *, at: datetime) -> LinkDetails:
    """What the token is for; raises NotFound when it is unknown, used, too old or withdrawn."""
    with database.read() as session:
        link, user = get_usable_link(session, token, at)
        return LinkDetails(LinkPurpose(link.purpose), user.name if user else None)


def get_usable_link(session: Session, token: str, at: datetime) -> tuple[OneTimeLink, User | None]:
    """The link behind a token and whose it is, within a transaction; raises NotFound."""
    link = users.get_link(session, hash_token(token))
    user = session.get(User, link.user_id) if link and link.user_id is not None else None
    gone = link is None or link.used_at is not None or link.ends_at <= at
    if link is None or gone or (user is not None and user.disabled_at is not None):
        raise NotFound("This link was used already, has expired or was withdrawn.")
    return link, user


def set_role(
    database: Database, user_id: int, role: Role, *, principal: Principal, at: datetime
) -> User:
    """Takes effect with the person's next request."""
    with database.write() as session:
        user = _get_user(session, user_id)
        if user.role == Role.ADMIN and role is not Role.ADMIN:
            _require_another_admin(session, user)
        before, user.role = user.role, role
        session.add(user)
        record_user_change(session, "user.role_changed", user, principal, at, f"{before} to {role}")
        return user


def set_disabled(
    database: Database, user_id: int, disabled: bool, *, principal: Principal, at: datetime
) -> User:
    """Disabling ends all the person's sessions at once."""
    with database.write() as session:
        user = _get_user(session, user_id)
        if disabled:
            _require_another_admin(session, user)
            users.delete_sessions(session, user_id)
        user.disabled_at = at if disabled else None
        session.add(user)
        record_user_change(
            session, "user.disabled" if disabled else "user.enabled", user, principal, at
        )
        return user


def _get_user(session: Session, user_id: int) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise NotFound("There is no such person.")
    return user


def _require_another_admin(session: Session, user: User) -> None:
    counts = user.role == Role.ADMIN and user.disabled_at is None and user.password_hash
    if counts and users.count_active_admins(session) <= 1:
        raise Conflict(f"{user.name} is the only admin; make another one first.")


def user_principal(user: User, address: str) -> Principal:
    """A person as the one who asks."""
    return Principal(name=user.name, role=Role(user.role), address=address, user_id=user.id)


def record_user_change(
    session: Session, action: str, user: User, principal: Principal, at: datetime, detail: str = ""
) -> None:
    """Record what was done to a person\'s account, within the transaction that did it."""
    audit.record(
        session,
        at=at,
        actor=principal.name,
        action=action,
        subject=f"user {user.name}",
        detail=detail,
        address=principal.address,
    )
