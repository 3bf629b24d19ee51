"""Where frames go: a ZIP that appears when it is whole, or files in a folder."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fotograma.archive import Entry, EntryWriter
from fotograma.errors import FotogramaError

# What no waiting mends: the place has to be another one.
_REFUSED = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)
# The disk is, or what this user may have of it, or as large as a file may be.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FolderSink(EntryWriter):
    """Writes files into a folder instead of entries into an archive."""

    def __init__(self, folder: Path) -> None:
        super().__init__(lambda _: None)
        self._folder = folder

    def add(self, name: str, data: bytes) -> Entry:
        """Write a file, whole or not at all; an older one of that name is replaced."""
        part = self._folder / f".{name}.part"
        with writing(self._folder):
            try:
                part.write_bytes(data)
                part.replace(self._folder / name)
            finally:
                part.unlink(missing_ok=True)
        return super().add(name, data)


@contextmanager
def open_sink(sink: Path | Callable[[bytes], object]) -> Iterator[EntryWriter]:
    """Take entries for a folder, for the ZIP at another path, or for whoever is called with a ZIP's bytes.

    Raises:
        FotogramaError: nothing can be written there, or not all of it.
    """
    if not isinstance(sink, Path):
        yield EntryWriter(sink)
        return
    if sink.is_dir():
        check(sink / "manifest.json")
        yield FolderSink(sink)
        return
    part = _part(sink)
    with writing(sink):
        file = part.open("wb")

    def write(data: bytes) -> None:
        with writing(sink):
            file.write(data)

    try:
        yield EntryWriter(write)
        with writing(sink):
            file.close()
            part.replace(sink)
    finally:
        # What a full disk did not take is still kept for it.
        with suppress(OSError):
            file.close()
        part.unlink(missing_ok=True)


def check(file: Path) -> None:
    """Find out whether a file can be made there, before the work that it is for.

    Raises:
        FotogramaError: it can't.
    """
    part = _part(file)
    with writing(file):
        part.touch()
        part.unlink()


def keep_source(source: Path, *, sink: Path) -> None:
    """A video must not be written over by its frames.

    Raises:
        FotogramaError: it would be.
    """
    with writing(sink):
        if sink.exists() and source.exists() and sink.samefile(source):
            raise FotogramaError.of("OUTPUT_REFUSED", f"{sink} is the video itself")


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """What goes wrong with what is written is no trouble with the video, and is told with what to do."""
    try:
        yield
    except OSError as error:
        code = "STORAGE_UNAVAILABLE"
        if error.errno in _REFUSED:
            code = "OUTPUT_REFUSED"
        elif error.errno in _FULL:
            code = "OUTPUT_FULL"
        is_lost = error.errno == errno.ENOENT and not place.parent.exists()
        reason = f"there is no folder {place.parent}" if is_lost else f"{place}: {error.strerror}"
        raise FotogramaError.of(code, reason) from error


def _part(file: Path) -> Path:
    """Where a file lies until it is whole."""
    return file.with_name(f".{file.name}.{os.getpid()}.part")
