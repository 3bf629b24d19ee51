"""A worker whose storage fails now and then: `celery -A tests.chaos.unreliable_worker worker`.

STORAGE_URL is `unreliable:///path`, STORAGE_FAILURES says which part of the calls fails, and DELETE_FAILURES which part
of those that delete.
"""

import datetime
import os
import random
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from app import storage
from app.settings import Settings
from app.storage import ObjectFacts, ObjectWriter, SignedUrl, Storage, StorageUnavailable
from app.storage.local import open_local_storage


class UnreliableStorage(Storage):
    """Local files behind a network that drops calls, answers and halves of objects."""

    def __init__(self, kept: Storage, *, failures: float, delete_failures: float) -> None:
        self._kept = kept
        self._failures = failures
        self._delete_failures = delete_failures

    @contextmanager
    def open_writer(self, key: str, *, content_type: str, filename: str | None = None) -> Iterator[ObjectWriter]:
        self._may_fail()
        with self._kept.open_writer(key, content_type=content_type, filename=filename) as writer:
            yield writer
            self._may_fail()

    def read(
        self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None
    ) -> Generator[bytes, None, None]:
        self._may_fail()
        return self._breaking_off(self._kept.read(key, start=start, length=length, etag=etag))

    def stat(self, key: str) -> ObjectFacts:
        self._may_fail()
        return self._kept.stat(key)

    def open_descriptor(self, key: str) -> int | None:
        self._may_fail()
        return self._kept.open_descriptor(key)

    def delete(self, key: str) -> None:
        if random.random() < self._delete_failures:
            raise StorageUnavailable
        self._kept.delete(key)
        # It was done, and nobody heard of it.
        self._may_fail()

    def list(self, prefix: str) -> Iterator[str]:
        self._may_fail()
        yield from self._kept.list(prefix)

    def signed_url(self, key: str, *, expires_in: datetime.timedelta, filename: str) -> SignedUrl:
        return self._kept.signed_url(key, expires_in=expires_in, filename=filename)

    def check(self) -> None:
        # It fails once it is in use, not at the start.
        self._kept.check()

    def _breaking_off(self, chunks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
        for chunk in chunks:
            self._may_fail()
            yield chunk

    def _may_fail(self) -> None:
        if random.random() < self._failures:
            raise StorageUnavailable


def open_unreliable_storage(settings: Settings) -> Storage:
    """Local files, seldom there."""
    failures = float(os.environ["STORAGE_FAILURES"])
    delete_failures = float(os.environ.get("DELETE_FAILURES", failures))
    return UnreliableStorage(open_local_storage(settings), failures=failures, delete_failures=delete_failures)


storage.OPENERS["unreliable"] = open_unreliable_storage

from app.workers.celery_worker import app  # noqa: E402

__all__ = ["app"]
