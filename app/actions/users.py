"""User accounts and one-time links: create users, change roles, disable users, create links."""

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
    """Create a user. A user without a password needs an invitation link to set one.

    Raises InvalidInput if the name or the password is not valid, or if the name is taken.
    """
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
    """Create a user within the caller's transaction; raises InvalidInput if the name is taken."""
    if users.get_by_name(session, name) is not None:
        raise InvalidInput({"name": f"A user named “{name}” already exists."})
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
    """Create a one-time link and return its token.

    `user_id` is None for a link that creates the first admin. Earlier unused links of the user for the same
    purpose become invalid.
    """
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
        user = session.get(User, user_id) if user_id is not None else None
        if user is not None:
            signs_in = purpose is LinkPurpose.SIGN_IN
            detail = "link to sign in" if signs_in else "link to set a password"
            record_user_change(session, "user.link_made", user, principal, at, detail)
    return token


@dataclass(frozen=True, slots=True)
class LinkDetails:
    """Purpose and user name of a valid one-time link; `name` is None if the link creates the first admin."""

    purpose: LinkPurpose
    name: str | None


def read_link(database: Database, token: str, *, at: datetime) -> LinkDetails:
    """Return the purpose and the user name of a one-time link.

    Raises NotFound if the link is unknown, used, expired or replaced by a newer link, or if its user is
    disabled.
    """
    with database.read() as session:
        link, user = get_usable_link(session, token, at)
        return LinkDetails(LinkPurpose(link.purpose), user.name if user else None)


def get_usable_link(session: Session, token: str, at: datetime) -> tuple[OneTimeLink, User | None]:
    """Return a valid one-time link and its user, within the caller's transaction.

    The user is None for a link that creates the first admin. Raises NotFound if the link is not valid.
    """
    link = users.get_link(session, hash_token(token))
    user = session.get(User, link.user_id) if link and link.user_id is not None else None
    is_invalid = link is None or link.used_at is not None or link.ends_at <= at
    if link is None or is_invalid or (user is not None and user.disabled_at is not None):
        raise NotFound(
            "This link has been used, has expired or was replaced by a newer one. Use the newest link, or "
            "ask an admin for one."
        )
    return link, user


def set_role(
    database: Database, user_id: int, role: Role, *, principal: Principal, at: datetime
) -> User:
    """Change the role of a user; the new role applies from the next request of the user.

    Raises NotFound if the user does not exist, and Conflict if the only admin would lose the admin role.
    """
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
    """Enable or disable a user; disabling ends all sessions of the user.

    Raises NotFound if the user does not exist, and Conflict if the only admin would be disabled.
    """
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
        raise NotFound("This user does not exist.")
    return user


def _require_another_admin(session: Session, user: User) -> None:
    is_active_admin = (
        user.role == Role.ADMIN and user.disabled_at is None and user.password_hash is not None
    )
    if is_active_admin and users.count_active_admins(session) <= 1:
        raise Conflict(f"{user.name} is the only admin; create another admin first.")


def user_principal(user: User, address: str) -> Principal:
    """Return the principal for requests of this user."""
    return Principal(name=user.name, role=Role(user.role), address=address, user_id=user.id)


def record_user_change(
    session: Session, action: str, user: User, principal: Principal, at: datetime, detail: str = ""
) -> None:
    """Add an audit entry for a change to a user account, within the transaction of the change."""
    audit.record(
        session,
        at=at,
        actor=principal.name,
        action=action,
        subject=f"user {user.name}",
        detail=detail,
        address=principal.address,
    )
