"""Validation of names and passwords, and hashing of passwords and tokens."""

import hashlib
import secrets
from functools import cache

from pwdlib import PasswordHash

from app.domain.errors import InvalidInput

NAME_MAX_LENGTH = 64
PASSWORD_MIN_LENGTH = 12
PASSWORD_MAX_LENGTH = 1_000


def hash_token(token: str) -> str:
    """Return the SHA-256 of a token.

    A token has 256 random bits and cannot be guessed, so its hash needs neither a salt nor a slow algorithm.
    """
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
    """Return the trimmed name of a user or an API key.

    Raises InvalidInput with the key `name` if the name is not valid.
    """
    name = name.strip()
    if not name:
        raise InvalidInput({"name": "Enter a name."})
    if len(name) > NAME_MAX_LENGTH:
        raise InvalidInput({"name": f"Enter at most {NAME_MAX_LENGTH} characters."})
    if not all(c.isalnum() or c in "._@-" for c in name) or not name.isascii():
        raise InvalidInput({"name": "Use only letters, digits and . _ @ -"})
    return name


def validate_password(password: str, again: str | None, name: str) -> str:
    """Return `password` if it is strong enough and equals `again`.

    `again` is the repeated input of the password, or None if the user enters the password only once. `name`
    is the name of the user, which the password must not contain. Raises InvalidInput with the key `password`
    or `again`.
    """
    if len(password) < PASSWORD_MIN_LENGTH:
        raise InvalidInput({"password": f"Enter at least {PASSWORD_MIN_LENGTH} characters."})
    if len(password) > PASSWORD_MAX_LENGTH:
        raise InvalidInput({"password": f"Enter at most {PASSWORD_MAX_LENGTH} characters."})
    if len(set(password)) < 4 or name.casefold() in password.casefold():
        raise InvalidInput({"password": "Too easy to guess: use several words, without your name."})
    if again is not None and again != password:
        raise InvalidInput({"again": "The passwords do not match."})
    return password


def hash_password(password: str) -> str:
    """Return the Argon2id hash in PHC string format.

    Hashing takes tens of milliseconds by design, so do not call this function while holding the write lock.
    """
    return _hasher().hash(password.encode("utf-8", "surrogatepass"))


def verify_password(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Compare a password with the hash `stored`; return (whether the password is correct, new hash).

    The new hash is usually None. It is a string if a correct password needs a new hash, because the hash
    parameters of `stored` are outdated. The caller must then store the new hash.

    If `stored` is None, the result is (False, None). The function still verifies a dummy hash. Otherwise the
    shorter response time would reveal that the user does not exist.
    """
    matches, renewed_hash = _hasher().verify_and_update(
        password[:PASSWORD_MAX_LENGTH].encode("utf-8", "surrogatepass"), stored or _dummy_hash()
    )
    return matches and stored is not None, renewed_hash
