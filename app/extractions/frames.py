"""The frames of an extraction one by one, while it runs and later.

While it runs, those of its finished segments up to the first unfinished one are there, so that a sequence once given
out never means another frame; later all are, out of the archive. Nothing is unpacked: what is wanted is read by range.
"""

import datetime
import itertools
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import open_session
from app.extractions import results
from app.extractions.errors import (
    ArchiveExpired,
    ExtractionNotFound,
    FrameNotFound,
    FrameNotReady,
    FramesDropped,
    NothingReady,
)
from app.extractions.models import Extraction, Segment, Status, Step
from app.extractions.results import Origin, Place, place_of
from app.storage import Storage
from app.videos.models import Video
from fotograma.archive import HEAD_BYTES, entry_at
from fotograma.manifest import Row
from fotograma.plan import ImageFormat, Plan

# Of rows here and there, those so near to each other are read at once: one more read costs more than some rows.
ROWS_A_READ = 100

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """Frames that lie one behind the other in storage: a segment's, or all."""

    place: Place
    entries_key: str
    sequences: range
    offset: int
    """Where its entries begin in the archive."""


@dataclass(frozen=True)
class Found:
    """Which frames of an extraction are there, and where."""

    extraction: Extraction
    video: Video
    runs: Sequence[Run]
    """In order, without gaps."""

    @property
    def count(self) -> int:
        """How many are there."""
        return self.runs[-1].sequences.stop if self.runs else 0

    @property
    def complete(self) -> bool:
        """Whether no more will come."""
        return self.extraction.status == Status.COMPLETED

    @property
    def plan(self) -> Plan:
        """What was asked for."""
        return Plan.from_json(self.extraction.plan)

    def run_of(self, sequence: int) -> Run:
        """Where a frame is."""
        for run in self.runs:
            if sequence in run.sequences:
                return run
        if self.complete:
            raise FrameNotFound(f"There is no frame {sequence}: they are numbered from 0 to {self.count - 1}.")
        raise FrameNotReady(f"Frame {sequence} is not there yet: {self.count} are. Ask again in a moment.")


@dataclass(frozen=True)
class Page:
    """Some frames, in order of time."""

    items: Sequence[Row]
    next_cursor: int | None
    frames_ready: int
    frames_total: int | None
    complete: bool


@dataclass(frozen=True)
class Picture:
    """One frame's file."""

    name: str
    format: ImageFormat
    size_bytes: int
    sha256: str
    chunks: Generator[bytes, None, None]


@dataclass(frozen=True)
class Manifest:
    """One of the archive's manifests."""

    name: str
    size_bytes: int
    chunks: Generator[bytes, None, None]


class FrameReader:
    """Reads the frames of one extraction; where the join moves what was found, they are looked up again."""

    def __init__(self, storage: Storage, extraction_id: uuid.UUID, *, user_id: uuid.UUID) -> None:
        """Find the frames that are there, or raise why there can be none."""
        self._storage = storage
        self._extraction_id = extraction_id
        self._user_id = user_id
        self.found = self._find()

    def page(self, *, first: int, limit: int) -> Page:
        """The rows of up to `limit` frames from `first` on."""
        items = self._read(lambda found: self._rows(found, range(first, first + limit)))
        following = first + len(items)
        return Page(
            items=items,
            next_cursor=None if self.found.complete and following >= self.found.count else following,
            frames_ready=self.found.count,
            frames_total=self.found.count if self.found.complete else self.found.extraction.frames_total,
            complete=self.found.complete,
        )

    def rows(self, sequences: Sequence[int]) -> list[Row]:
        """The rows of these frames; `sequences` are in order."""

        def read(found: Found) -> list[Row]:
            found.run_of(sequences[-1])
            near = [[*group] for _, group in itertools.groupby(sequences, lambda sequence: sequence // ROWS_A_READ)]
            rows = (self._rows(found, range(group[0], group[-1] + 1)) for group in near)
            wanted = {*sequences}
            return [row for row in itertools.chain.from_iterable(rows) if row.sequence in wanted]

        return self._read(read)

    def picture(self, sequence: int) -> Picture:
        """One frame, as it is in the archive."""
        [row] = self.rows([sequence])
        chunks = self.open_bytes(row, row.entry.data_offset, row.entry.end)
        return Picture(row.name, self.found.plan.format, row.bytes, row.sha256, chunks)

    def open_bytes(self, row: Row, start: int, end: int) -> Generator[bytes, None, None]:
        """The bytes [start, end) of the archive, which lie in the run of `row`."""

        def read(found: Found) -> Generator[bytes, None, None]:
            run = found.run_of(row.sequence)
            return self._storage.read(run.entries_key, start=start - run.offset, length=end - start)

        return self._read(read)

    def thumbnail(self, sequence: int) -> bytes:
        """One frame as a small JPEG."""

        def read(found: Found) -> bytes:
            run = found.run_of(sequence)
            return results.read_thumbnail(self._storage, run.place, sequence - run.sequences.start)

        return self._read(read)

    def origin(self) -> Origin:
        """Whence the frames come, where there are any."""

        def read(found: Found) -> Origin:
            run = found.runs[0]
            return results.read_origin(self._storage, run.place, rows=len(run.sequences))

        return self._read(read)

    def manifest(self, name: str) -> Manifest:
        """The manifest of that name as it is in the archive, where it lies behind the pictures."""
        if not self.found.complete:
            raise NothingReady
        [last] = self.rows([self.found.count - 1])
        offset = last.entry.end
        while True:
            with closing(self.open_bytes(last, offset, offset + HEAD_BYTES)) as head:
                entry = entry_at(offset, b"".join(head))
            if entry.name == name:
                return Manifest(name, entry.size, self.open_bytes(last, entry.data_offset, entry.end))
            offset = entry.end

    def _read(self, read: Callable[[Found], T]) -> T:
        try:
            return read(self.found)
        except FileNotFoundError:
            # The join removes the segments' objects once the archive is COMPLETED.
            self.found = self._find()
        try:
            return read(self.found)
        except FileNotFoundError:
            raise ArchiveExpired from None

    def _rows(self, found: Found, sequences: range) -> list[Row]:
        rows: list[Row] = []
        for run in found.runs:
            first, stop = max(sequences.start, run.sequences.start), min(sequences.stop, run.sequences.stop)
            if first < stop:
                numbers = range(first - run.sequences.start, stop - run.sequences.start)
                of_run = results.read_some_rows(self._storage, run.place, numbers)
                rows.extend(row.moved(sequence=run.sequences.start, offset=run.offset) for row in of_run)
        return rows

    def _find(self) -> Found:
        owned = (
            select(Extraction, Video)
            .join(Video, Video.id == Extraction.video_id)
            .where(Extraction.id == self._extraction_id, Video.user_id == self._user_id, Video.deleted_at.is_(None))
        )
        with open_session() as session:
            row = session.execute(owned).one_or_none()
            if row is None:
                raise ExtractionNotFound
            extraction, video = row
            if video.expires_at <= datetime.datetime.now(datetime.UTC):
                raise ArchiveExpired
            if extraction.status in (Status.FAILED, Status.CANCELLED):
                raise FramesDropped
            runs = _archived(extraction) or _finished(session, extraction)
        return Found(extraction=extraction, video=video, runs=runs)


def _archived(extraction: Extraction) -> list[Run]:
    if extraction.archive_key is None or extraction.frames is None:
        return []
    place = place_of(extraction.archive_key)
    assert place is not None
    return [Run(place, extraction.archive_key, range(extraction.frames), offset=0)]


def _finished(session: Session, extraction: Extraction) -> list[Run]:
    """The finished segments before the first that is not."""
    # Not whole rows: a long extraction has hundreds, and a page of thumbnails asks a hundred times.
    segments = session.execute(
        select(Segment.id, Segment.token, Segment.status, Segment.frames, Segment.entries_bytes)
        .where(Segment.extraction_id == extraction.id, Segment.step != Step.JOIN)
        .order_by(Segment.number)
    )
    runs: list[Run] = []
    sequence = offset = 0
    for segment in itertools.takewhile(lambda segment: segment.status == Status.COMPLETED, segments):
        assert segment.frames is not None
        assert segment.entries_bytes is not None
        place = Place(extraction.id, segment.id, segment.token)
        runs.append(Run(place, place.entries, range(sequence, sequence + segment.frames), offset))
        sequence += segment.frames
        offset += segment.entries_bytes
    return runs
