"""Names, passwords and tokens: what is fit, and what of them is kept."""

import hashlib
import secrets
from functools import cache

from pwdlib import PasswordHash

from app.domain.errors import InvalidInput

NAME_MAX_LENGTH = 64


PASSWORD_MIN_LENGTH = 12


PASSWORD_MAX_LENGTH = 1_000


def hash_token(token: str) -> str:
    """What is stored of a random token: SHA-256, enough for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def new_token() -> str:
    return secrets.token_urlsafe(32)


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _dummy_hash() -> str:
    return _hasher().hash(new_token())


def validate_name(name: str) -> str:
    """A user's or key's name; raises InvalidInput with key `name`."""
    name = name.strip()
    if not name:
        raise InvalidInput({"name": "Give a name."})
    if len(name) > NAME_MAX_LENGTH:
        raise InvalidInput({"name": f"At most {NAME_MAX_LENGTH} characters."})
    if not all(c.isalnum() or c in "._@-" for c in name) or not name.isascii():
        raise InvalidInput({"name": "Use letters, digits and . _ @ - only."})
    return name


def validate_password(password: str, again: str | None, name: str) -> str:
    """A password fit for `name`; raises InvalidInput with keys `password` and `again`."""
    if len(password) < PASSWORD_MIN_LENGTH:
        raise InvalidInput({"password": f"At least {PASSWORD_MIN_LENGTH} characters."})
    if len(password) > PASSWORD_MAX_LENGTH:
        raise InvalidInput({"password": f"At most {PASSWORD_MAX_LENGTH} characters."})
    if len(set(password)) < 4 or name.casefold() in password.casefold():
        raise InvalidInput(
            {"password": "Too easy to guess: take several words, without your name."}
        )
    if again is not None and again != password:
        raise InvalidInput({"again": "The two do not match."})
    return password


def hash_password(password: str) -> str:
    """Argon2id, in its own text form; takes tens of milliseconds on purpose, so never under a lock."""
    return _hasher().hash(password.encode("utf-8", "surrogatepass"))


def verify_password(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Whether it is the one behind `stored`, and a renewed hash when the parameters have changed.

    With nothing stored the same work is done for nothing, so that the time tells no names.
    """
    right, renewed = _hasher().verify_and_update(
        password[:PASSWORD_MAX_LENGTH].encode("utf-8", "surrogatepass"), stored or _dummy_hash()
    )
    return right and stored is not None, renewed
