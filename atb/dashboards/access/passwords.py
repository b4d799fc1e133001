"""Passwords: generated, checked for length, hashed by argon2id, and verified in equal time whether the user exists or not."""

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from atb.errors import InputError

SHORTEST, LONGEST = 12, 256  # characters of a password that a person chooses
HASHER = PasswordHasher()  # argon2id, 64 MiB, three passes: the library's present advice


def new_password() -> str:
    """Return a random password of 144 bits."""
    return secrets.token_urlsafe(18)


def hashed(password: str) -> str:
    """Return a password's argon2id hash with its salt and parameters.

    Raises
    ------
    InputError
        If it is too short or too long; it is not shown.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InputError(
            f"A password has {SHORTEST} to {LONGEST} characters",
            found=f"{len(password)} characters",
            todo="Choose another, or leave it out: one is generated",
        )
    return HASHER.hash(password)


def is_right(password: str, password_hash: str | None) -> bool:
    """Return whether a password is that of the hash; None, for a user who does not exist, costs the same time."""
    try:
        HASHER.verify(password_hash or _stand_in_hash(), password[: LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


@cache
def _stand_in_hash() -> str:
    return HASHER.hash(secrets.token_urlsafe(18))
