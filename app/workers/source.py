"""A video's bytes for its decoder: a descriptor where the store has files of this machine, ranges where it has not."""

import os
import random
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

import structlog

from app import metrics
from app.errors import ServiceError
from app.storage import Storage
from fotograma.ahead import AheadReader
from fotograma.errors import StorageUnavailable

logger = structlog.get_logger()

# Within which a range must have come, however often it is asked for. A whole segment is tried again later.
RANGE_SECONDS = 60.0
# Of asking without a byte in between.
TRIES = 6
FIRST_PAUSE_SECONDS = 0.2


@contextmanager
def open_source(storage: Storage, key: str, *, size_bytes: int) -> Iterator[int | AheadReader]:
    """The video as a decoder takes it."""
    descriptor = storage.open_descriptor(key)
    if descriptor is not None:
        try:
            yield descriptor
        finally:
            os.close(descriptor)
        return
    found = storage.stat(key)
    if found.size_bytes != size_bytes:
        raise StorageUnavailable(detail=f"of {size_bytes} bytes that were stored {found.size_bytes} are there")
    ranges = _Ranges(storage, key, etag=found.etag)
    with closing(ranges), AheadReader(ranges.fetch, size=size_bytes) as reader:
        try:
            yield reader
        finally:
            metrics.fetched_bytes.inc(reader.bytes_fetched)
            metrics.fetches.inc(reader.requests)
            logger.info("video read", bytes=reader.bytes_fetched, ranges=reader.requests, of_bytes=size_bytes)


class _Ranges:
    """Ranges of an object, each asked for again where it fails."""

    def __init__(self, storage: Storage, key: str, *, etag: str) -> None:
        self._storage = storage
        self._key = key
        self._etag = etag
        self._closed = threading.Event()

    def close(self) -> None:
        """Ask for nothing again."""
        self._closed.set()

    def fetch(self, offset: int, size: int) -> Generator[bytes, None, None]:
        """The bytes of a range; what broke off goes on where it did.

        Raises:
            StorageUnavailable: they don't come, in one of its two senses.
            FileNotFoundError: there is no such object.
        """
        deadline = time.monotonic() + RANGE_SECONDS
        came = tries = 0
        while came < size:
            tries += 1
            before = came
            try:
                with closing(self._read(offset + came, size - came)) as chunks:
                    for chunk in chunks:
                        came += len(chunk)
                        yield chunk
                failure: Exception = StorageUnavailable(detail=f"of {size} bytes at {offset} came {came}")
            except FileNotFoundError:
                raise
            except (ServiceError, OSError) as error:
                failure = error
            if came >= size:
                return
            if came > before:
                tries = 1
            # Not at the same time as all others that have failed at the same time.
            pause_seconds = FIRST_PAUSE_SECONDS * 2 ** (tries - 1) * random.uniform(0.5, 1.0)  # noqa: S311
            if tries == TRIES or time.monotonic() + pause_seconds > deadline or self._closed.wait(pause_seconds):
                raise failure
            metrics.fetch_retries.inc()
            logger.info("range asked for again", offset=offset, came=came, size=size, reason=str(failure))

    def _read(self, offset: int, size: int) -> Generator[bytes, None, None]:
        return self._storage.read(self._key, start=offset, length=size, etag=self._etag)
