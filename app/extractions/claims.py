"""Segments as their workers hold them, and the write that only the holder makes."""

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, update
from sqlalchemy.orm import Session

from app.extractions import lifecycle
from app.extractions.errors import LeaseLost
from app.extractions.models import Segment, Status, Step
from app.extractions.results import Place
from app.settings import get_settings


@dataclass(frozen=True)
class Range:
    """Ticks [start, end) of the stream; None is the beginning or the end."""

    start_pts: int | None = None
    end_pts: int | None = None
    frames: int | None = field(default=None, compare=False)
    """How many the packet index lets expect in it; None where only the pictures tell."""


@dataclass(frozen=True)
class Claim:
    """A segment as its worker holds it."""

    segment_id: uuid.UUID
    token: int
    video_id: uuid.UUID
    extraction_id: uuid.UUID | None
    step: Step
    number: int
    range: Range
    user_id: uuid.UUID
    request_id: uuid.UUID | None = None

    @property
    def note_of_return(self) -> str:
        """What its holder says by the broker who gives it back while the database is away."""
        return f"given back {self.segment_id} {self.token}"

    @property
    def place(self) -> Place:
        """Where this holder's objects go; no other holder ever writes there."""
        assert self.extraction_id is not None
        return Place(self.extraction_id, self.segment_id, self.token)


def hold_extraction(session: Session, claim: Claim) -> None:
    """Keep others from changing the claim's extraction until this transaction ends."""
    if claim.extraction_id is not None and not lifecycle.hold(session, claim.extraction_id):
        raise LeaseLost


def is_held(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """The segment, while it is the claim's."""
    return (
        Segment.id == claim.segment_id,
        Segment.token == claim.token,
        Segment.status == Status.PROCESSING,
    )


def write(session: Session, claim: Claim, **values: Any) -> None:
    """Change the segment if it is still the claim's."""
    changed = session.scalars(
        update(Segment).where(*is_held(claim)).values(**values).returning(Segment.id)
    ).one_or_none()
    if changed is None:
        raise LeaseLost


def claim_of(segment: Segment) -> Claim:
    """A segment as whoever has just taken it holds it."""
    return Claim(
        segment_id=segment.id,
        token=segment.token,
        video_id=segment.video_id,
        extraction_id=segment.extraction_id,
        step=Step(segment.step),
        number=segment.number,
        range=Range(segment.start_pts, segment.end_pts),
        user_id=segment.user_id,
        request_id=segment.request_id,
    )


def lease_end() -> ColumnElement[Any]:
    """When a worker that is silent from now on is taken for dead."""
    return func.now() + timedelta(seconds=get_settings().lease_seconds)
