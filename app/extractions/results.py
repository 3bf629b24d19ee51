"""What a segment leaves in storage: its run of ZIP entries as one object, manifest rows and thumbnails as two others.

Keys carry segment and token, so that nothing is ever overwritten and what a dead worker left is told by its token. The
join leaves the archive in the place of the entries, and rows and thumbnails of the whole in the same two forms.

Thumbnails lie one behind the other. The rows' object begins with a mark of 16 bytes for each row and one more: where
the row begins in this object, and where its thumbnail begins in the other. Each ends where the next begins, so that any
frame is found by two short reads, however many there are. Then come the rows, a line of JSON each, and a last line that
says whence they are.
"""

import itertools
import json
import re
import struct
import uuid
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.storage import ObjectSink, ObjectSource
from fotograma.manifest import Row


@dataclass(frozen=True)
class Place:
    """Where one holder of a segment writes."""

    extraction_id: uuid.UUID
    segment_id: uuid.UUID
    token: int

    @property
    def prefix(self) -> str:
        """The folder of this holder."""
        return f"{self.segment_prefix}{self.token}/"

    @property
    def segment_prefix(self) -> str:
        """The folder of all holders of the segment."""
        return f"results/{self.extraction_id}/{self.segment_id}/"

    @property
    def entries(self) -> str:
        """Key of the run of entries."""
        return f"{self.prefix}entries"

    @property
    def rows(self) -> str:
        """Key of the manifest rows."""
        return f"{self.prefix}rows"

    @property
    def thumbnails(self) -> str:
        """Key of the thumbnails."""
        return f"{self.prefix}thumbnails"

    @property
    def archive(self) -> str:
        """Key of the archive, where the segment is the join."""
        return f"{self.prefix}frames.zip"


KEY = re.compile(r"results/([0-9a-f-]{36})/([0-9a-f-]{36})/([0-9]{1,9})/.+")


def place_of(key: str) -> Place | None:
    """Whose object it is; None where it is none of ours."""
    found = KEY.fullmatch(key)
    if found is None:
        return None
    try:
        return Place(uuid.UUID(found[1]), uuid.UUID(found[2]), int(found[3]))
    except ValueError:
        return None


@dataclass(frozen=True)
class Origin:
    """Whence the rows of a segment come."""

    source: dict[str, Any]
    """The manifest's word on the video, by who decoded it: another stream of it has another."""
    engine: dict[str, str]
    """What decoded and encoded."""


@dataclass(frozen=True)
class Rows:
    """What is known of a segment's frames."""

    origin: Origin
    rows: list[Row]
    thumbnail_bytes: list[int]
    """The size of each row's thumbnail."""


class Mark(NamedTuple):
    """Where a row and its thumbnail begin, each in its object."""

    row: int
    thumbnail: int


MARK = struct.Struct("<QQ")


def write_rows(storage: ObjectSink, place: Place, segment: Rows) -> None:
    """Leave the rows of a segment."""
    lines = [_line(vars(row)) for row in segment.rows]
    marks = zip(
        itertools.accumulate(map(len, lines), initial=(len(lines) + 1) * MARK.size),
        itertools.accumulate(segment.thumbnail_bytes, initial=0),
        strict=True,
    )
    with storage.open_writer(place.rows, content_type="application/octet-stream") as writer:
        writer.write(b"".join(MARK.pack(*mark) for mark in marks))
        for line in lines:
            writer.write(line)
        writer.write(_line(vars(segment.origin)))


def read_rows(storage: ObjectSource, place: Place) -> Rows:
    """What `write_rows` left."""
    content = b"".join(storage.read(place.rows))
    begin, _ = MARK.unpack_from(content)
    marks = [Mark(*mark) for mark in MARK.iter_unpack(content[:begin])]
    *rows, origin = content[begin:].splitlines()
    return Rows(
        origin=Origin(**json.loads(origin)),
        rows=[Row(**json.loads(row)) for row in rows],
        thumbnail_bytes=[after.thumbnail - mark.thumbnail for mark, after in itertools.pairwise(marks)],
    )


def read_some_rows(storage: ObjectSource, place: Place, numbers: range) -> list[Row]:
    """The rows of these numbers, which follow one another."""
    begin, end = _marks(storage, place, numbers)
    return [Row(**json.loads(row)) for row in _read(storage, place.rows, begin.row, end.row).splitlines()]


def read_origin(storage: ObjectSource, place: Place, *, rows: int) -> Origin:
    """Whence the rows come, of which there are so many."""
    begin, _ = _marks(storage, place, range(rows, rows))
    return Origin(**json.loads(_read(storage, place.rows, begin.row, None)))


def read_thumbnail(storage: ObjectSource, place: Place, number: int) -> bytes:
    """The thumbnail of a row."""
    begin, end = _marks(storage, place, range(number, number + 1))
    return _read(storage, place.thumbnails, begin.thumbnail, end.thumbnail)


def _marks(storage: ObjectSource, place: Place, numbers: range) -> tuple[Mark, Mark]:
    """Where rows of these numbers begin and end."""
    marks = _read(storage, place.rows, numbers.start * MARK.size, (numbers.stop + 1) * MARK.size)
    return Mark(*MARK.unpack_from(marks)), Mark(*MARK.unpack_from(marks, len(marks) - MARK.size))


def _read(storage: ObjectSource, key: str, start: int, end: int | None) -> bytes:
    return b"".join(storage.read(key, start=start, length=None if end is None else end - start))


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
