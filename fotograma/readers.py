"""Where the bytes of a video come from: a descriptor, the parent of a jail, or a reader of the caller's."""

import copy
import os
import socket
import struct
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol, Self

READ_REQUEST = struct.Struct("<QI")
"""Offset and size, from the child to the parent, which answers with a size (4 bytes) and so many bytes."""


class RandomReader(Protocol):
    """A video that is not a local file."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes from `offset`; fewer than `size` only at the end."""
        ...


Source = Path | int | RandomReader
"""A path, an open descriptor (which stays the caller's), or a reader."""


class OffsetReader(ABC):
    """A seekable file without a name, over whatever can be read at an offset."""

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


class BorrowedReader(OffsetReader):
    """A reader of the caller's, in this process."""

    def __init__(self, reader: RandomReader) -> None:
        super().__init__(reader.size)
        self._reader = reader

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes from `offset`."""
        return self._reader.read_at(offset, size)


class AskingReader(OffsetReader):
    """A video that the parent of this jailed process reads: each read is a request over a socket."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._turn = threading.Lock()
        super().__init__(int.from_bytes(self._receive(8), "little"))

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes from `offset`."""
        with self._turn:
            self._socket.sendall(READ_REQUEST.pack(offset, size))
            return self._receive(int.from_bytes(self._receive(4), "little"))

    def _receive(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._socket.recv(min(size, 2**20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
