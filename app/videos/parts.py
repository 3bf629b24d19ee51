"""An upload's bytes on their way into storage, as parts."""

import hashlib
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Protocol

from app.errors import ServiceError
from app.storage import ObjectWriter, Storage
from app.videos.errors import ChecksumMismatch, VideoTooLarge
from app.videos.upload_lifecycle import LOCK_SECONDS, LockedUpload, Part

# What object stores join on their side has a least size; smaller parts would only be more of them.
PART_BYTES = 8 * 2**20
KEEP_LOCK_SECONDS = LOCK_SECONDS / 4


@dataclass(frozen=True)
class Checksum:
    """What the bytes of one request must hash to before any of them counts."""

    algorithm: str
    digest: bytes


class Record(Protocol):
    """Tells the database what is in storage."""

    def __call__(self, parts: Sequence[Part], /, *, unlock: bool) -> None: ...


class PartsWriter:
    """Writes what one request brings behind what storage holds already.

    A part counts once it is in storage and `record` has been told. The last one may be small: the next request's
    writer begins with its bytes, so that all others have `PART_BYTES` whatever the requests bring, and nothing waits in
    memory for more.
    """

    def __init__(
        self, storage: Storage, upload: LockedUpload, *, record: Record, checksum: Checksum | None = None
    ) -> None:
        self._storage = storage
        self._upload = upload
        self._record = record
        self._checksum = checksum
        self._hash = None if checksum is None else hashlib.new(checksum.algorithm, usedforsecurity=False)
        self.offset_bytes = upload.offset_bytes
        """Where the next byte goes."""
        last = upload.last_part
        self._small_part = last if last is not None and last.size_bytes < PART_BYTES else None
        self._start_byte = upload.offset_bytes if self._small_part is None else self._small_part.start_byte
        self._publishing = ExitStack()
        self._writer: ObjectWriter | None = None
        self._held_back: list[Part] = []
        self._failed = False
        self._recorded_at = time.monotonic()

    def write(self, data: bytes) -> None:
        """The next bytes of the request."""
        try:
            self._write(data)
        except BaseException:
            self._failed = True
            raise

    def end(self, *, is_whole: bool) -> None:
        """Keep what has come, and let the lock go. With a checksum that counts only if the body came whole and fits."""
        fits = self._checksum is None or (is_whole and self._hash_fits())
        try:
            if fits and not self._failed:
                self._publish()
                self._tell(unlock=True)
                return
        except BaseException:
            self._drop()
            raise
        self._drop()
        # Who has overtaken this request has the lock.
        with suppress(ServiceError):
            self._record([], unlock=True)
        if is_whole and not fits:
            raise ChecksumMismatch

    def _write(self, data: bytes) -> None:
        if self.offset_bytes + len(data) > self._upload.size_bytes:
            raise VideoTooLarge("That is more than the Upload-Length which was announced.")
        if self._hash is not None:
            self._hash.update(data)
        rest = memoryview(data)
        while rest:
            writer = self._writer or self._begin_part()
            piece = rest[: self._start_byte + PART_BYTES - self.offset_bytes]
            writer.write(bytes(piece))
            self.offset_bytes += len(piece)
            rest = rest[len(piece) :]
            if self.offset_bytes == self._start_byte + PART_BYTES:
                self._publish()
                if self._checksum is None:
                    self._tell(unlock=False)
        if time.monotonic() > self._recorded_at + KEEP_LOCK_SECONDS:
            self._record([], unlock=False)
            self._recorded_at = time.monotonic()

    def _begin_part(self) -> ObjectWriter:
        writing = self._storage.open_writer(self._key, content_type="application/octet-stream")
        self._writer = self._publishing.enter_context(writing)
        if self._small_part is not None and self._start_byte == self._small_part.start_byte:
            for chunk in self._storage.read(self._small_part.object_key):
                self._writer.write(chunk)
        return self._writer

    @property
    def _key(self) -> str:
        """No other request ever writes there."""
        return f"{self._upload.prefix}parts/{self._start_byte}-{self._upload.token}"

    def _publish(self) -> None:
        """The part that was being written is in storage for good."""
        if self._writer is None:
            return
        self._publishing.close()
        self._writer = None
        self._held_back.append(Part(self._start_byte, self.offset_bytes - self._start_byte, self._key))
        self._start_byte = self.offset_bytes

    def _tell(self, *, unlock: bool) -> None:
        """What is published counts from now on."""
        try:
            self._record(self._held_back, unlock=unlock)
        except ServiceError:
            raise
        except BaseException:
            # The database may have said yes without our hearing it: what perhaps counts is not dropped.
            self._held_back = []
            raise
        self._recorded_at = time.monotonic()
        if self._small_part is not None and self._held_back:
            self._storage.delete(self._small_part.object_key)
            self._small_part = None
        self._held_back = []

    def _drop(self) -> None:
        """Leave nothing of what does not count."""
        with suppress(_Dropped), self._publishing:
            raise _Dropped
        self._writer = None
        for part in self._held_back:
            self._storage.delete(part.object_key)
        self._held_back = []

    def _hash_fits(self) -> bool:
        return self._checksum is not None and self._hash is not None and self._hash.digest() == self._checksum.digest


class _Dropped(Exception):
    """Told to the object that is being written, so that it never was."""
