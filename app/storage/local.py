"""Objects as plain files of this machine.

obstore's own local store publishes without fsync, so that a power cut could take back an upload that was already
acknowledged; hence plain files here.
"""

import datetime
import errno
import fcntl
import os
import stat
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from app.settings import Settings
from app.storage import (
    KEY_PART,
    REPLACED,
    Landing,
    ObjectFacts,
    ObjectWriter,
    SignedUrl,
    Storage,
    StorageFull,
    StorageUnavailable,
    check_key,
)
from app.storage.signing import signed_query, signing_key

CHUNK_BYTES = 256 * 1024
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def open_local_storage(settings: Settings) -> "LocalStorage":
    """The store of a `file:` URL."""
    url = urlsplit(settings.storage_url)
    if url.netloc or not url.path:
        raise ValueError(
            f"Settings: STORAGE_URL is {settings.storage_url!r}; write file:///absolute/path or file:relative/path."
        )
    return LocalStorage(
        Path(unquote(url.path)),
        public_url=settings.public_url,
        signing_key=signing_key(settings.secret_key.get_secret_value()),
    )


class LocalStorage(Storage):
    """Each object is a file under `root`, named by its key; unfinished ones lie in `.staging`, which no key names."""

    def __init__(self, root: Path, *, public_url: str, signing_key: bytes) -> None:
        self._root = root.absolute()
        self._staging = self._root / ".staging"
        self._public_url = public_url.rstrip("/")
        self._signing_key = signing_key

    @contextmanager
    def open_writer(
        self,
        key: str,
        *,
        content_type: str,  # noqa: ARG002  a file has no attributes: who sends it says what it is
        filename: str | None = None,  # noqa: ARG002
    ) -> Iterator[ObjectWriter]:
        path = self._path(key)
        with _told():
            self._drop_abandoned()
            staged = self._stage()
        try:
            yield _StagedWriter(staged)
            with _told():
                staged.flush()
                os.fsync(staged.fileno())
                self._publish(Path(staged.name), path)
        finally:
            # Closing writes what is still buffered, which fails once more where the disk is full.
            with suppress(OSError):
                staged.close()
            Path(staged.name).unlink(missing_ok=True)

    def read(
        self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None
    ) -> Generator[bytes, None, None]:
        chunks = self._chunks(key, start=start, length=length, etag=etag)
        # Opens the file now: a missing object is told here, and the generator has begun and so will close it.
        next(chunks)
        return chunks

    def stat(self, key: str) -> ObjectFacts:
        descriptor = self.open_descriptor(key)
        try:
            facts = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return ObjectFacts(
            size_bytes=facts.st_size,
            etag=_etag(facts),
            modified_at=datetime.datetime.fromtimestamp(facts.st_mtime, datetime.UTC),
        )

    def open_descriptor(self, key: str) -> int:
        path = self._path(key)
        try:
            # Non-blocking, so that a pipe in an object's place is found out and not waited for.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(key) from None
        except OSError as error:
            raise StorageUnavailable from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileNotFoundError(key)
        return descriptor

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _told():
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()
            for folder in self._folders(path)[:-1]:
                try:
                    folder.rmdir()
                except (FileNotFoundError, NotADirectoryError):
                    continue
                except OSError:
                    break  # It holds other objects.
            self._sync_folders(path)

    def list(self, prefix: str) -> Iterator[str]:
        top = self._path(prefix.removesuffix("/")) if prefix else self._root
        for folder, folders, names in os.walk(top, onerror=_tell_unless_missing):
            folders[:] = sorted(filter(KEY_PART.fullmatch, folders))
            for name in sorted(filter(KEY_PART.fullmatch, names)):
                yield Path(folder, name).relative_to(self._root).as_posix()

    def open_landing(self, key: str, **_: object) -> Landing:
        raise StorageUnavailable(f"Nobody but the service writes {key}.")

    def end_landing(self, url: str) -> None:
        """There are none."""

    def signed_url(self, key: str, *, expires_in: datetime.timedelta, filename: str) -> SignedUrl:
        check_key(key)
        expires_at = int(time.time() + expires_in.total_seconds())
        query = signed_query(self._signing_key, key, expires_at=expires_at, filename=filename)
        return SignedUrl(
            f"{self._public_url}/files/{key}?{query}", datetime.datetime.fromtimestamp(expires_at, datetime.UTC)
        )

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._root / key

    def _chunks(self, key: str, *, start: int, length: int | None, etag: str | None) -> Generator[bytes, None, None]:
        with os.fdopen(self.open_descriptor(key), "rb", buffering=0) as file:
            if etag is not None and etag != _etag(os.fstat(file.fileno())):
                raise StorageUnavailable(REPLACED)
            yield b""
            with _told():
                file.seek(start)
                left = length
                while chunk := file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)):
                    if left is not None:
                        left -= len(chunk)
                    yield chunk

    def _stage(self) -> BinaryIO:
        """A new file that is locked while its writer lives, which is how a dead one's is known."""
        self._staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            path = self._staging / uuid.uuid4().hex
            file = open(path, "xb", buffering=CHUNK_BYTES, opener=_private)  # noqa: SIM115  handed on open
            fcntl.flock(file, fcntl.LOCK_EX)
            # Another writer may have taken it for a dead one's before it was locked.
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()

    def _drop_abandoned(self) -> None:
        """Remove what killed writers left; each new writer does, so that nobody else must."""
        with suppress(FileNotFoundError):
            for path in self._staging.iterdir():
                with suppress(FileNotFoundError, PermissionError, BlockingIOError), path.open("r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()

    def _publish(self, staged: Path, path: Path) -> None:
        while True:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                staged.replace(path)
                break
            except (FileNotFoundError, FileExistsError):
                # A delete next door may remove the still empty folder at any point in between: make it again.
                if path.parent.is_file() or not staged.exists():
                    raise
        self._sync_folders(path)

    def _folders(self, path: Path) -> tuple[Path, ...]:
        """From the object's own folder up to the root."""
        return tuple(folder for folder in path.parents if folder.is_relative_to(self._root))

    def _sync_folders(self, path: Path) -> None:
        """A name survives a power cut once its folder is synced; new folders are names in theirs."""
        for folder in self._folders(path):
            with suppress(FileNotFoundError, NotADirectoryError):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)


class _StagedWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes, /) -> int:
        with _told():
            return self._file.write(data)


def _etag(facts: os.stat_result) -> str:
    return f'"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"'


@contextmanager
def _told() -> Iterator[None]:
    """What the system says, in the storage's words."""
    try:
        yield
    except OSError as error:
        raise (StorageFull if error.errno in NO_ROOM else StorageUnavailable) from error


def _tell_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise StorageUnavailable from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
