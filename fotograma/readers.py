"""Where the bytes of a video come from: a descriptor, the parent of a jail, or a reader of the caller's."""

import copy
import os
import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self, runtime_checkable

from fotograma.errors import StorageUnavailable

READ_REQUEST = struct.Struct("<QI")
"""Offset and size, from the child to the parent: within the video, and not empty."""
READ_ANSWER = struct.Struct("<I")
"""How many bytes follow: at least one, and at most so many as were asked for. Then the next may be asked for."""
READ_MOST_BYTES = 2**20


class ByteRange(NamedTuple):
    """Bytes [start, end) of a file."""

    start: int
    end: int


class RandomReader(Protocol):
    """A video that is not a local file. Read by one thread at a time, which is not the caller's."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes from `offset`: at least one. Fewer than `size` are fine: the others are asked for next."""
        ...


@runtime_checkable
class Expecting(RandomReader, Protocol):
    """A reader that may fetch ahead of what is asked for."""

    def expect(self, ranges: Sequence[ByteRange]) -> None:
        """These will be read, in about this order; called once that is known, and again where it changes."""
        ...


Source = Path | int | RandomReader
"""A path, an open descriptor (which stays the caller's), or a reader."""


class OffsetReader(ABC):
    """A seekable file without a name, over whatever can be read at an offset."""

    seek_worth_bytes = 2**20
    """Going forward over less than this is slower than reading through."""
    is_far = False
    """Whether each read may take a while, however little it is."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._offset = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; fewer only at the end."""
        data = self.read_at(self._offset, min(size, max(0, self.size - self._offset)))
        self._offset += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move; as files do."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError("before the beginning")
        self._offset = base + offset
        return self._offset

    def tell(self) -> int:
        """Where the next read begins."""
        return self._offset

    def clone(self) -> Self:
        """The same bytes with an offset of its own; may be read on another thread."""
        twin = copy.copy(self)
        twin._offset = 0
        return twin

    @abstractmethod
    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes from `offset`."""


class DescriptorReader(OffsetReader):
    """An open file; the descriptor's own offset stays where it is."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(os.fstat(descriptor).st_size)
        self._descriptor = descriptor

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes from `offset`."""
        return os.pread(self._descriptor, size, offset)


class _PartlyReader(OffsetReader):
    """Over what gives as much at a time as it has; it never takes that for the end."""

    # What lies between is not on its way yet; FFmpeg reads through this much by itself.
    seek_worth_bytes = 2**15
    is_far = True

    def read(self, size: int, /) -> bytes:
        """Some bytes; none only at the end."""
        data = self._some(self._offset, min(size, max(0, self.size - self._offset)))
        self._offset += len(data)
        return data

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes from `offset`."""
        parts = []
        left = min(size, max(0, self.size - offset))
        while left:
            part = self._some(offset, left)
            parts.append(part)
            offset, left = offset + len(part), left - len(part)
        return b"".join(parts)

    def _some(self, offset: int, size: int) -> bytes:
        return self._ask(offset, min(size, READ_MOST_BYTES)) if size > 0 else b""

    @abstractmethod
    def _ask(self, offset: int, size: int) -> bytes:
        """At least one byte from `offset`, which is within the file."""


class BorrowedReader(_PartlyReader):
    """A reader of the caller's, in this process."""

    def __init__(self, reader: RandomReader) -> None:
        super().__init__(reader.size)
        self._reader = reader

    def _ask(self, offset: int, size: int) -> bytes:
        return read_some(self._reader, offset, size)


class AskingReader(_PartlyReader):
    """A video that the parent of this jailed process reads: each read is a request over a socket."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._turn = threading.Lock()
        super().__init__(int.from_bytes(self._receive(8), "little"))

    def _ask(self, offset: int, size: int) -> bytes:
        with self._turn:
            self._socket.sendall(READ_REQUEST.pack(offset, size))
            return self._receive(*READ_ANSWER.unpack(self._receive(READ_ANSWER.size)))

    def _receive(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._socket.recv(min(size, 2**20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def read_some(reader: RandomReader, offset: int, size: int) -> bytes:
    """At least one byte from `offset`, which is within the video.

    Raises:
        StorageUnavailable: the reader fails, or gives none or too many; never is that taken for the video's end.
    """
    try:
        data = reader.read_at(offset, size)
    except OSError as error:
        raise StorageUnavailable(detail=str(error)) from error
    if not 0 < len(data) <= size:
        raise StorageUnavailable(detail=f"of {size} bytes at {offset} the reader gave {len(data)}")
    return data
