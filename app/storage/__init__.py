"""Where the bytes live: one Storage, whatever keeps them."""

import datetime
import re
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from app.errors import QuotaExceeded, Unavailable
from app.settings import Settings, get_settings

# Keys are our own (folders, ids, fixed names), so that few characters will do: none has a meaning in a path or a URL.
KEY_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
KEY_MAX_CHARACTERS = 1024


class StorageFull(QuotaExceeded):
    """The storage has no room left."""

    code = "STORAGE_FULL"


class StorageUnavailable(Unavailable):
    """The storage does not answer; try again in a moment."""

    code = "STORAGE_UNAVAILABLE"


# What is told of it is the same; whoever could do all of it once more may do so at once.
class StorageInterrupted(StorageUnavailable):
    """The storage does not answer; try again in a moment."""


REPLACED = "The object was replaced while it was read."


class InvalidKey(ValueError):
    """No object can have this key."""


@dataclass(frozen=True)
class ObjectFacts:
    """What is known of an object without reading it."""

    size_bytes: int
    etag: str
    """Strong, with its quotes, as HTTP wants it: other bytes have another."""
    modified_at: datetime.datetime


@dataclass(frozen=True)
class SignedUrl:
    """A link that anybody may GET until it expires."""

    url: str
    expires_at: datetime.datetime


@dataclass(frozen=True)
class Landing:
    """Where anybody who knows it may put one object's bytes by PUT."""

    url: str
    headers: dict[str, str]
    """Which the request must have."""
    is_resumable: bool
    """Whether it takes them in pieces (`Content-Range`) and says where it stands; else all in one request."""
    expires_at: datetime.datetime


class ObjectWriter(Protocol):
    """Takes the bytes of one object in their order."""

    def write(self, data: bytes, /) -> int:
        """Take these next; gives their number."""
        ...


class ObjectSource(Protocol):
    """Where objects are read."""

    def read(
        self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None
    ) -> Generator[bytes, None, None]:
        """The bytes in chunks; raises `FileNotFoundError` at once if there is no such object.

        Where an `etag` is given, those of no other object: raises `StorageUnavailable` if another is in its place.
        Who may stop before the end closes it, so that file or connection are not kept until the garbage is collected.
        """
        ...

    def stat(self, key: str) -> ObjectFacts:
        """Size, etag and time; raises `FileNotFoundError` if there is no such object."""
        ...

    def open_descriptor(self, key: str) -> int | None:
        """A read-only descriptor, the caller's to close; None where objects are no files of this machine."""
        ...


class ObjectSink(Protocol):
    """Where objects are written."""

    def open_writer(
        self, key: str, *, content_type: str, filename: str | None = None
    ) -> AbstractContextManager[ObjectWriter]:
        """Write an object: whole and for good once the block has ended; if the block raises, it never was."""
        ...


class Storage(ObjectSource, ObjectSink, Protocol):
    """All that a store of objects does."""

    def delete(self, key: str) -> None:
        """Remove an object for good; one that is not there is fine."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """The keys under a folder (`results/1` holds `results/1/a`, not `results/10/a`); all for an empty one."""
        ...

    def signed_url(self, key: str, *, expires_in: datetime.timedelta, filename: str) -> SignedUrl:
        """A link that works for so long, or for as long as this store can promise; what is saved is called `filename`,
        which clouds know since the object was written."""
        ...

    @property
    def landing_max_bytes(self) -> int:
        """How large an object that others put there by themselves may be; 0: nobody but us can."""
        return 0

    def landing_origin(self) -> str:
        """Where others put it, as browsers name a site; empty: nobody but us can."""
        return ""

    def open_landing(self, key: str, *, size_bytes: int, expires_in: datetime.timedelta, origin: str) -> Landing:
        """Let an object be put there by whoever is told; pages of `origin` too."""
        ...

    def end_landing(self, url: str) -> None:
        """End one that is resumable; safe to do again, and after its end."""
        ...

    def delete_prefix(self, prefix: str) -> None:
        """Remove all objects under a folder; safe to do again."""
        check_key(prefix.removesuffix("/"))
        for key in self.list(prefix):
            self.delete(key)

    @property
    def patient(self) -> "Storage":
        """The same store for work that an error would cost: it outlasts a minute's trouble, for which no user waits."""
        return self

    def asked_pause(self) -> datetime.timedelta:
        """For how long a store that refused us just now asks to be left alone."""
        return datetime.timedelta(0)

    def answers(self) -> None:
        """Ask the store something that costs little; raises what keeps it from answering."""
        self.check()

    def check(self) -> None:
        """Prove that the store takes, gives back and removes an object, or raise what keeps it from that."""
        key = f"health/{uuid.uuid4()}"
        try:
            with self.open_writer(key, content_type="text/plain") as writer:
                writer.write(key.encode())
            if b"".join(self.read(key)) != key.encode():
                raise StorageUnavailable("The storage gives back other bytes than it was given.")
        finally:
            self.delete(key)


def check_key(key: str) -> None:
    """Refuse what could mean another place than it says: `..`, a leading slash, empty parts, NUL, hidden names."""
    if len(key) > KEY_MAX_CHARACTERS or not all(KEY_PART.fullmatch(part) for part in key.split("/")):
        raise InvalidKey(f"{key[:100]!r} can't be the key of an object.")


def _open_local(settings: Settings) -> Storage:
    from app.storage.local import open_local_storage

    return open_local_storage(settings)


def _open_cloud(settings: Settings) -> Storage:
    from app.storage.clouds import open_cloud_storage

    return open_cloud_storage(settings)


# By the scheme of STORAGE_URL. Each store brings its own imports; only the one in use is loaded.
OPENERS: dict[str, Callable[[Settings], Storage]] = {
    "file": _open_local,
    "gs": _open_cloud,
    "s3": _open_cloud,
    "az": _open_cloud,
}


def open_storage(settings: Settings) -> Storage:
    """The store that STORAGE_URL names."""
    scheme = urlsplit(settings.storage_url).scheme
    if scheme in OPENERS:
        return OPENERS[scheme](settings)
    raise ValueError(
        f"Settings: STORAGE_URL begins with {scheme + ':' if scheme else 'no scheme'!r}; known are "
        "file:///absolute/path, file:relative/path, gs://bucket/prefix, s3://bucket/prefix and az://container/prefix."
    )


def prove_storage() -> None:
    """What keeps the storage from working ends the start of this process in one sentence."""
    try:
        get_storage().check()
    except (ValueError, StorageUnavailable) as error:
        raise SystemExit(str(error)) from error


@lru_cache
def get_storage() -> Storage:
    """The store of this process."""
    return open_storage(get_settings())
