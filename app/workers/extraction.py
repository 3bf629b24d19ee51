"""Working on a segment: probe, frames, join. Each is safe to run twice, for each claim writes under its own token."""

import itertools
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import structlog

from app import metrics
from app.database import open_session
from app.errors import ServiceError
from app.extractions import admission, lifecycle, results, segment_lifecycle, tasks, work_lifecycle
from app.extractions.claims import Range
from app.extractions.errors import LeaseLost
from app.extractions.models import Step
from app.extractions.results import Origin, Rows
from app.extractions.tasks import Task
from app.settings import get_settings
from app.storage import Storage, get_storage
from app.workers import gathering, joining, outcome, presence
from app.workers.jail import count_failure, get_limits, stand_back
from app.workers.lease import Lease
from app.workers.source import open_source
from fotograma import cut, extraction
from fotograma.ahead import AheadReader
from fotograma.archive import EntryWriter
from fotograma.errors import Cancelled, FotogramaError, StorageUnavailable
from fotograma.jail import Jail
from fotograma.packets import PacketIndex
from fotograma.plan import Plan
from fotograma.records import Facts

logger = structlog.get_logger()


def work_on_next_segment(*, stopping: threading.Event) -> bool:
    """Take the segment whose turn it is and work on it to its end. False: there was none."""
    if stopping.is_set():
        return False
    with open_session() as session:
        claim = segment_lifecycle.claim_segment(session, worker=presence.NAME)
    if claim is None:
        return False
    began = time.monotonic()
    metrics.segments_claimed.labels(claim.step).inc()
    # Also what the segments that come of this one are marked with.
    asked = {} if claim.request_id is None else {"request_id": str(claim.request_id)}
    with structlog.contextvars.bound_contextvars(
        **asked,
        user_id=str(claim.user_id),
        video_id=str(claim.video_id),
        extraction_id=str(claim.extraction_id),
        segment_id=str(claim.segment_id),
        segment=claim.number,
        attempt=claim.token,
    ):
        logger.info("segment claimed", step=claim.step)
        with Lease(claim, stopping=stopping) as lease:
            how = _work_and_tell(lease, get_storage().patient)
    metrics.segment_seconds.labels(claim.step, how).observe(time.monotonic() - began)
    return True


def _work_and_tell(lease: Lease, storage: Storage) -> Literal["done", "lost", "given back", "failed"]:
    """Work, say in the database how it ended, and tell the same here."""
    try:
        if lease.claim.step == Step.JOIN:
            joining.join(lease, storage)
        else:
            _decode(lease, storage)
    except LeaseLost:
        logger.warning("lease lost, output dropped")
        outcome.drop_output(lease.claim, storage)
        return "lost"
    except Cancelled:
        if not lease.lost:
            # First, for a worker that must end may not come to the rest.
            outcome.give_back(lease)
        outcome.drop_output(lease.claim, storage)
        if lease.lost:
            logger.warning("lease lost, output dropped")
            return "lost"
        return "given back"
    except (FotogramaError, ServiceError, OSError) as error:
        outcome.drop_output(lease.claim, storage)
        told = error if isinstance(error, FotogramaError) else StorageUnavailable(detail=str(error))
        logger.warning("segment failed", code=told.code.name, detail=told.detail)
        count_failure(told)
        asked = storage.asked_pause() if told.code.name == "STORAGE_UNAVAILABLE" else None
        outcome.fail(lease, told, pause_at_least=asked)
        return "failed"
    except Exception as error:
        # A mistake of ours: counted like a machine's, so that a mended release finds the work still there.
        logger.exception("segment failed unexpectedly")
        outcome.drop_output(lease.claim, storage)
        outcome.fail(lease, StorageUnavailable(detail=type(error).__name__))
        return "failed"
    return "done"


def _decode(lease: Lease, storage: Storage) -> None:
    """Probe and take the frames, in one child process; where this was the last segment, join."""
    claim = lease.claim
    with open_session() as session:
        task = tasks.task_of(session, claim)
        if claim.extraction_id is not None:
            lifecycle.started(session, claim.extraction_id)
    if not task.is_whole:
        task = _gather(lease, storage, task)
    plan = None if task.plan is None else Plan.from_json(task.plan)
    with _open_jail(lease, storage, task) as jail:
        facts = jail.probe(stream=plan.stream if plan else None, packet_index=task.packet_index)
        logger.info("video probed", jail_pid=jail.pid, size_bytes=task.size_bytes)
        metrics.source_bytes.inc(task.size_bytes)
        if claim.step == Step.PROBE:
            if plan is not None and _answer_from_before(lease, storage, task, plan, facts):
                return
            ranges = _ranges(plan, facts)
            first = outcome.persist(
                lease,
                lambda session: work_lifecycle.cut(
                    session,
                    claim,
                    media=_source(task, facts),
                    packet_index=facts.packet_index,
                    ranges=ranges,
                    frames_total=None if ranges[0].frames is None else sum(part.frames or 0 for part in ranges),
                    usual_stream=plan is None or plan.stream is None,
                ),
            )
            if first is None:
                return
            lease.claim = claim = first
        assert plan is not None
        is_last = _take_frames(lease, storage, jail, plan, facts, source=_source(task, facts))
    if is_last:
        joining.join(lease, storage)


def _answer_from_before(lease: Lease, storage: Storage, task: Task, plan: Plan, facts: Facts) -> bool:
    """Where the same was asked before, make the archive of that one's frames. False: it was not, or is just going."""
    claim = lease.claim
    with open_session() as session:
        before = tasks.same_before(session, claim, engine=facts.engine)
    if before is None:
        return False
    source = _source(task, facts)
    try:
        archive = joining.write_archive(lease, storage, task, [before], source=source)
    except FileNotFoundError:
        return False
    outcome.persist(
        lease,
        lambda session: work_lifecycle.answer_from_before(
            session,
            claim,
            archive,
            media=source,
            packet_index=facts.packet_index,
            usual_stream=plan.stream is None,
        ),
    )
    logger.info("extraction answered from before", frames=archive.frames, archive_bytes=archive.size_bytes)
    return True


def _gather(lease: Lease, storage: Storage, task: Task) -> Task:
    """Have the video's bytes in one object before anything else is done with them."""
    claim = lease.claim
    source = gathering.gather(storage, lease, task)
    outcome.persist(
        lease,
        lambda session: admission.record_source(
            session, claim, object_key=source.object_key, size_bytes=source.size_bytes, sha256=source.sha256
        ),
    )
    # Another segment's holder may have been sooner, so that what the database says is what counts.
    with open_session() as session:
        task = tasks.task_of(session, claim)
    gathering.remove_parts(storage, claim, source_key=task.object_key)
    return task


def _ranges(plan: Plan | None, facts: Facts) -> list[Range]:
    """The parts of an extraction, in order."""
    if plan is None:
        return [Range()]
    index = PacketIndex.from_bytes(facts.packet_index)
    places = cut.places(plan, index, facts.media, seconds=get_settings().segment_seconds)
    expected = extraction.expected_pts(plan, facts)
    if expected is None:
        return [Range(start, end) for start, end in itertools.pairwise([None, *places, None])]
    bounds = [0, *(bisect_left(expected, place) for place in places), len(expected)]
    frames = [after - before for before, after in itertools.pairwise(bounds)]
    return [
        Range(start, end, count)
        for (start, end), count in zip(itertools.pairwise([None, *places, None]), frames, strict=True)
    ]


def _source(task: Task, facts: Facts) -> dict[str, Any]:
    return extraction.describe(facts, name=task.filename, size=task.size_bytes)


def _take_frames(
    lease: Lease, storage: Storage, jail: Jail, plan: Plan, facts: Facts, *, source: dict[str, Any]
) -> bool:
    """Whether this was the extraction's last segment, so that the lease is now that of the join."""
    claim = lease.claim
    place = claim.place
    collected = extraction.Collected()
    with (
        storage.open_writer(place.entries, content_type="application/octet-stream") as writer,
        storage.open_writer(place.thumbnails, content_type="application/octet-stream") as thumbnails,
    ):
        entries = EntryWriter(writer.write)
        frames = extraction.collect(
            jail,
            plan,
            facts=facts,
            sink=entries,
            into=collected,
            start_pts=claim.range.start_pts,
            end_pts=claim.range.end_pts,
            thumbnails=thumbnails.write,
        )
        for _ in frames:
            metrics.frames.inc()
            lease.frames_done = len(collected.rows)
    logger.info("frames taken", jail_pid=jail.pid, frames=len(collected.rows), path=collected.path)
    if collected.path == "linear" and claim.range != Range():
        # The index has promised too much. What a linear decode tells of damage it tells of the whole.
        with lease.handing_over():
            lease.claim = outcome.persist(lease, lambda session: work_lifecycle.uncut(session, claim))
        return _take_frames(lease, storage, jail, plan, facts, source=source)
    origin = Origin(source=source, engine={**facts.engine, "path": collected.path})
    results.write_rows(storage, place, Rows(origin, collected.rows, collected.thumbnail_bytes))
    with lease.handing_over():
        join = outcome.persist(
            lease,
            lambda session: work_lifecycle.finish_frames(
                session,
                claim,
                frames=len(collected.rows),
                entries_bytes=entries.offset,
                warnings=collected.warnings,
            ),
        )
        if join is not None:
            lease.claim = join
    # Most segments end before their first heartbeat, which tells of longer ones.
    lease.tell_progress()
    return join is not None


@contextmanager
def _open_jail(lease: Lease, storage: Storage, task: Task) -> Iterator[Jail]:
    """A decoder with the video, stopped where the lease is given up."""
    with (
        open_source(storage, task.object_key, size_bytes=task.size_bytes) as source,
        Jail(source, limits=get_limits(), required=get_settings().require_jail) as jail,
    ):

        def stop() -> None:
            jail.kill()
            if isinstance(source, AheadReader):
                source.close()

        lease.on_given_up(stop)
        stand_back(jail.pid)
        yield jail
