"""Links that open one object for anybody until they expire, where the store has no signed URLs of its own."""

import hmac
import json
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from app.errors import Forbidden, Gone


class LinkInvalid(Forbidden):
    """This link was not made here, or was changed on its way."""

    code = "LINK_INVALID"


class LinkExpired(Gone):
    """This link has expired; ask for a new one."""

    code = "LINK_EXPIRED"


def signing_key(secret_key: str) -> bytes:
    """A key of its own for links, so that no signature made for another purpose opens an object."""
    return hmac.digest(secret_key.encode(), b"fotograma: links to stored objects", "sha256")


def signed_query(key: bytes, object_key: str, *, expires_at: int, filename: str) -> str:
    """The query that opens an object until `expires_at` (Unix seconds)."""
    expires = str(expires_at)
    fields = {
        "expires": expires,
        "filename": filename,
        "signature": _signature(key, object_key, expires=expires, filename=filename),
    }
    return urlencode(fields, quote_via=quote)


def verify(keys: Sequence[bytes], object_key: str, *, expires: str, filename: str, signature: str, now: float) -> None:
    """Raise unless these are the words that were signed by one of these keys, and their time has not passed."""
    expected = [_signature(key, object_key, expires=expires, filename=filename).encode() for key in keys]
    if not any(hmac.compare_digest(words, signature.encode()) for words in expected):
        raise LinkInvalid
    if now >= int(expires):
        raise LinkExpired


def _signature(key: bytes, object_key: str, *, expires: str, filename: str) -> str:
    # JSON marks where each word ends, so that none can flow into the next.
    words = json.dumps(["GET", object_key, expires, filename])
    return hmac.digest(key, words.encode(), "sha256").hex()
