"""argon2id, and as much time for an account that is not there as for one that is."""

import secrets
import threading
from functools import lru_cache

from pwdlib import PasswordHash

_hashing = PasswordHash.recommended()

# Each takes 64 MiB and a core: a crowd that signs in must not take all memory.
_at_once = threading.BoundedSemaphore(4)


def hash_password(password: str) -> str:
    """The hash to keep."""
    with _at_once:
        return _hashing.hash(password)


def password_fits(password: str, password_hash: str | None) -> bool:
    """Whether the hash is that of the password; without a hash it isn't, and finding out takes as long."""
    with _at_once:
        return _hashing.verify(password, password_hash or _nobodys_hash()) and password_hash is not None


@lru_cache
def _nobodys_hash() -> str:
    return _hashing.hash(secrets.token_urlsafe())
