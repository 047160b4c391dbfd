"""Names, passwords and tokens: what is fit, and what of them is kept."""

import hashlib
import secrets
from functools import cache

from pwdlib import PasswordHash

from app.domain.errors import Invalid

NAME_LIMIT = 64


PASSWORD_SHORTEST = 12


PASSWORD_LONGEST = 1_000


def digest(token: str) -> str:
    """What is stored of a random token: SHA-256, enough for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def new_token() -> str:
    return secrets.token_urlsafe(32)


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobodys_hash() -> str:
    return _hasher().hash(new_token())


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


def hash_password(password: str) -> str:
    """Argon2id, in its own text form; takes tens of milliseconds on purpose, so never under a lock."""
    return _hasher().hash(password.encode("utf-8", "surrogatepass"))


def password_fits(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Whether it is the one behind `stored`, and a renewed hash when the parameters have changed.

    With nothing stored the same work is done for nothing, so that the time tells no names.
    """
    right, renewed = _hasher().verify_and_update(
        password[:PASSWORD_LONGEST].encode("utf-8", "surrogatepass"), stored or _nobodys_hash()
    )
    return right and stored is not None, renewed
