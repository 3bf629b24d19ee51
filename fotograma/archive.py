"""The ZIP: stored entries with size and CRC in each local header, written as a stream, readable by range.

A segment leaves its local entries as one run of bytes; runs placed one behind the other, the manifest and a directory
make the archive, so that nothing is ever encoded or unpacked again.
"""

import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

# One fixed date, so that the same frames are the same bytes: 1980-01-01, the first that ZIP can say.
_TIME, _DATE = 0, 33
_STORED = 0
_UTF8 = 1 << 11
_UNIX = 3 << 8
_REGULAR_FILE = 0o100644 << 16
_MOST_16 = 0xFFFF
_MOST_32 = 0xFFFFFFFF

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the archive."""

    name: str
    size: int
    crc: int
    offset: int
    """Of its local header."""

    @property
    def data_offset(self) -> int:
        """Of its first byte: what a range read needs."""
        return self.offset + len(_local_header(self))

    @property
    def end(self) -> int:
        """Of the first byte behind it."""
        return self.data_offset + self.size

    def moved(self, by: int) -> "Entry":
        """The same entry further on in the archive."""
        return replace(self, offset=self.offset + by)


# Room for a local header whose name is short, such as a manifest's.
HEAD_BYTES = 128


def entry_at(offset: int, head: bytes) -> Entry:
    """The entry whose local header begins with `head` and lies at `offset`: for what no row tells of."""
    *_, crc, size, _, name_length, extra_length = _LOCAL.unpack_from(head)
    name_end = _LOCAL.size + name_length
    if extra_length:
        size = struct.unpack_from("<Q", head, name_end + 4)[0]
    return Entry(head[_LOCAL.size : name_end].decode(), size, crc, offset)


class EntryWriter:
    """Writes local entries one behind the other."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.offset = 0
        self.entries: list[Entry] = []

    def add(self, name: str, data: bytes) -> Entry:
        """Store a file."""
        entry = Entry(name, len(data), zlib.crc32(data), self.offset)
        header = _local_header(entry)
        self._write(header)
        self._write(data)
        self.offset += len(header) + len(data)
        self.entries.append(entry)
        return entry

    def copy(self, chunks: Iterable[bytes], entries: Iterable[Entry]) -> None:
        """Append a run of local entries that another writer left, whose offsets count from the run's beginning."""
        self.entries.extend(entry.moved(self.offset) for entry in entries)
        for chunk in chunks:
            self._write(chunk)
            self.offset += len(chunk)

    def leave_room(self, entry: Entry) -> None:
        """Go on behind an entry that somebody else puts here, as it lies in another archive."""
        placed = replace(entry, offset=self.offset)
        self.entries.append(placed)
        self.offset = placed.end

    def finish(self) -> None:
        """Write the directory."""
        self._write(_directory(self.entries, offset=self.offset))


def _local_header(entry: Entry) -> bytes:
    name = entry.name.encode()
    large = entry.size >= _MOST_32
    extra = struct.pack("<2H2Q", 1, 16, entry.size, entry.size) if large else b""
    size = _MOST_32 if large else entry.size
    fixed = _LOCAL.pack(
        b"PK\x03\x04",
        45 if large else 20,
        _UTF8,
        _STORED,
        _TIME,
        _DATE,
        entry.crc,
        size,
        size,
        len(name),
        len(extra),
    )
    return fixed + name + extra


def _directory(entries: list[Entry], *, offset: int) -> bytes:
    headers = b"".join(_central_header(entry) for entry in entries)
    count, size = len(entries), len(headers)
    tail = b""
    if count >= _MOST_16 or offset >= _MOST_32 or size >= _MOST_32:
        end = _END_64.pack(b"PK\x06\x06", _END_64.size - 12, _UNIX | 45, 45, 0, 0, count, count, size, offset)
        tail = end + _LOCATOR_64.pack(b"PK\x06\x07", 0, offset + size, 1)
    few = min(count, _MOST_16)
    return headers + tail + _END.pack(b"PK\x05\x06", 0, 0, few, few, min(size, _MOST_32), min(offset, _MOST_32), 0)


def _central_header(entry: Entry) -> bytes:
    name = entry.name.encode()
    wide = [value for value in (entry.size, entry.size, entry.offset) if value >= _MOST_32]
    extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    version = 45 if wide else 20
    fixed = _CENTRAL.pack(
        b"PK\x01\x02",
        _UNIX | version,
        version,
        _UTF8,
        _STORED,
        _TIME,
        _DATE,
        entry.crc,
        min(entry.size, _MOST_32),
        min(entry.size, _MOST_32),
        len(name),
        len(extra),
        0,
        0,
        0,
        _REGULAR_FILE,
        min(entry.offset, _MOST_32),
    )
    return fixed + name + extra
