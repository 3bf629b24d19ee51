"""Segments, held as a worker holds them."""

from fractions import Fraction

from app.database import open_session
from app.extractions import lifecycle, segment_lifecycle, work_lifecycle
from app.extractions.claims import Claim, Range
from app.extractions.models import Extraction, Segment
from fotograma.packets import PacketIndex


def claim(worker: str = "test") -> Claim | None:
    """Take the segment whose turn it is."""
    with open_session() as session:
        return segment_lifecycle.claim_segment(session, worker=worker)


def cut(held: Claim, *ranges: Range) -> Claim:
    """End its probe and cut the extraction."""
    with open_session() as session:
        first = work_lifecycle.cut(
            session,
            held,
            media={},
            packet_index=PacketIndex(Fraction(1, 25)).to_bytes(),
            ranges=ranges or [Range()],
            frames_total=3,
        )
    assert first is not None
    return first


def finish_frames(held: Claim, *, frames: int = 1) -> Claim | None:
    """Its entries are there; the claim of the join where it was the last."""
    with open_session() as session:
        return work_lifecycle.finish_frames(session, held, frames=frames, entries_bytes=5, warnings=[])


def finish_join(held: Claim) -> None:
    """The archive is there."""
    with open_session() as session:
        work_lifecycle.finish_join(session, held, archive_of(held))


def fail(held: Claim, code: str) -> None:
    """The attempt failed."""
    with open_session() as session:
        segment_lifecycle.fail(session, held, code=code, message="what happened")


def archive_of(held: Claim) -> lifecycle.Archive:
    """What the join of a segment makes."""
    return lifecycle.Archive(key=held.place.archive, size_bytes=9, sha256="0" * 64, frames=1, warnings=[])


def segment_of(held: Claim) -> Segment:
    """The segment as it stands."""
    with open_session() as session:
        return session.get_one(Segment, held.segment_id)


def extraction_of(held: Claim) -> Extraction:
    """The extraction as it stands."""
    with open_session() as session:
        return session.get_one(Extraction, held.extraction_id)
