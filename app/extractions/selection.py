"""Some frames of an extraction as a ZIP, whose entries are the archive's, read by range and sent on as they are."""

import itertools
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from app.extractions.frames import FrameReader
from app.videos.lifecycle import archive_name
from fotograma import manifest
from fotograma.archive import EntryWriter
from fotograma.manifest import Row


@dataclass(frozen=True)
class Selection:
    """A ZIP that is written while it is sent."""

    name: str
    size_bytes: int
    chunks: Generator[bytes, None, None]


def select_frames(frames: FrameReader, sequences: Sequence[int]) -> Selection:
    """These frames with manifests of their own, in which each keeps its sequence."""
    rows = frames.rows(sorted({*sequences}))
    origin = frames.origin()
    manifests: list[bytes] = []
    archive = EntryWriter(manifests.append)
    for row in rows:
        archive.leave_room(row.entry)
    pictures_bytes = archive.offset
    manifest.close(
        archive,
        rows,
        source=origin.source,
        plan=frames.found.plan,
        engine=origin.engine,
        warnings=frames.found.extraction.warnings,
    )
    return Selection(
        name=archive_name(frames.found.video.filename, of="selection"),
        size_bytes=pictures_bytes + sum(len(part) for part in manifests),
        chunks=_chunks(frames, rows, manifests),
    )


def _chunks(frames: FrameReader, rows: Sequence[Row], manifests: Sequence[bytes]) -> Generator[bytes, None, None]:
    for first, last in _neighbours(frames, rows):
        with closing(frames.open_bytes(first, first.offset, last.entry.end)) as entries:
            yield from entries
    yield from manifests


def _neighbours(frames: FrameReader, rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """First and last of the rows whose entries lie one behind the other, and so take one read."""
    run_of = frames.found.run_of
    for _, numbered in itertools.groupby(
        enumerate(rows), lambda item: (item[1].sequence - item[0], run_of(item[1].sequence))
    ):
        together = [row for _, row in numbered]
        yield together[0], together[-1]
