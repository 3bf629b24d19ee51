"""Making the archive: the entries of all segments, copied one behind the other."""

import hashlib
import random
from collections.abc import Sequence
from typing import Any

import structlog

from app import metrics
from app.database import open_session
from app.extractions import lifecycle, results, tasks, work_lifecycle
from app.extractions.results import Origin, Rows
from app.extractions.tasks import FinishedFrames, Task
from app.storage import Storage, StorageInterrupted
from app.workers import outcome
from app.workers.lease import Lease
from fotograma import extraction
from fotograma.archive import EntryWriter
from fotograma.errors import Cancelled
from fotograma.manifest import Row
from fotograma.plan import Plan

logger = structlog.get_logger()

# Before an archive is begun again. What fails once more then counts as an attempt.
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0)


def join(lease: Lease, storage: Storage) -> None:
    """Copy the entries of all segments into the archive, and say that it is there."""
    claim = lease.claim
    with open_session() as session:
        task = tasks.task_of(session, claim)
        segments = tasks.finished_segments(session, claim)
    archive = write_archive(lease, storage, task, segments)
    outcome.persist(lease, lambda session: work_lifecycle.finish_join(session, claim, archive))
    logger.info("extraction completed", frames=archive.frames, archive_bytes=archive.size_bytes)
    # The archive holds them now.
    for segment in segments:
        outcome.remove(storage, segment.place.segment_prefix)


def write_archive(
    lease: Lease,
    storage: Storage,
    task: Task,
    parts: Sequence[FinishedFrames],
    *,
    source: dict[str, Any] | None = None,
) -> lifecycle.Archive:
    """Copy the entries of all parts into one archive; `source` where the manifest calls the video by another name.

    What an interruption has broken off is begun again while the lease is held: it costs copying, and no frame is
    decoded twice.
    """
    for pause_seconds in PAUSES_SECONDS:
        try:
            return _write_archive(lease, storage, task, parts, source=source)
        except StorageInterrupted:
            logger.warning("archive begun again")
            # Not at the same time as all others that have failed at the same time.
            lease.wait(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311
    return _write_archive(lease, storage, task, parts, source=source)


def _write_archive(
    lease: Lease,
    storage: Storage,
    task: Task,
    parts: Sequence[FinishedFrames],
    *,
    source: dict[str, Any] | None,
) -> lifecycle.Archive:
    place = lease.claim.place
    digest, size_bytes = hashlib.sha256(), 0
    with (
        storage.open_writer(place.archive, content_type="application/zip", filename=task.archive_name) as writer,
        storage.open_writer(place.thumbnails, content_type="application/octet-stream") as thumbnails,
    ):

        def write(data: bytes) -> None:
            nonlocal size_bytes
            if lease.given_up:
                raise Cancelled
            digest.update(data)
            size_bytes += len(data)
            writer.write(data)

        archive = EntryWriter(write)
        rows: list[Row] = []
        thumbnail_bytes: list[int] = []
        origin = Origin(source={}, engine={})
        warnings: list[dict[str, str]] = []
        for part in parts:
            of_part = results.read_rows(storage, part.place)
            origin = of_part.origin if source is None else Origin(source=source, engine=of_part.origin.engine)
            thumbnail_bytes.extend(of_part.thumbnail_bytes)
            rows.extend([row.moved(sequence=len(rows), offset=archive.offset) for row in of_part.rows])
            entries = [row.entry for row in of_part.rows]
            archive.copy(storage.read(part.entries_key, length=entries[-1].end if entries else 0), entries)
            for chunk in storage.read(part.place.thumbnails):
                thumbnails.write(chunk)
            warnings.extend(warning for warning in part.warnings if warning not in warnings)
        assert task.plan is not None
        plan = Plan.from_json(task.plan)
        summary = extraction.close(archive, rows, warnings, source=origin.source, plan=plan, engine=origin.engine)
    results.write_rows(storage, place, Rows(origin, rows, thumbnail_bytes))
    metrics.archive_bytes.inc(size_bytes)
    return lifecycle.Archive(
        key=place.archive,
        size_bytes=size_bytes,
        sha256=digest.hexdigest(),
        frames=summary.frames,
        warnings=warnings,
        engine={name: version for name, version in origin.engine.items() if name != "path"},
    )
