"""How long an extraction still takes: plain arithmetic over what its segments have done, by the database's clock."""

import heapq
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from app.extractions.models import Extraction, Segment, Status, Step

# The join comes after the last frame, and takes a moment that no frame tells of.
SHORTEST_SECONDS = 1.0


def parts_of(extraction: type[Extraction]) -> ColumnElement[Any]:
    """What `seconds_left` wants to know of an extraction that runs; NULL where none does."""
    last_word = func.coalesce(Segment.progressed_at, Segment.started_at)
    parts = (
        select(
            func.jsonb_agg(
                func.jsonb_build_object(
                    "status",
                    Segment.status,
                    "expected",
                    Segment.frames_expected,
                    "done",
                    Segment.frames_done,
                    "worked",
                    func.extract("epoch", func.coalesce(Segment.completed_at, last_word) - Segment.started_at),
                    "silent",
                    func.extract("epoch", func.now() - last_word),
                )
            )
        )
        .where(Segment.extraction_id == extraction.id, Segment.step == Step.FRAMES)
        .scalar_subquery()
    )
    return case((extraction.status == Status.PROCESSING, parts))


def seconds_left(parts: list[dict[str, Any]] | None) -> float | None:
    """Until the archive is there, if as many workers go on as fast as so far. None where that can't be told: nothing
    runs, nothing is done yet, or only the pictures tell how many frames there will be."""
    if not parts or any(part["expected"] is None for part in parts):
        return None
    done = sum(int(part["done"]) for part in parts)
    worked_seconds = sum(float(part["worked"] or 0) for part in parts)
    if not done or not worked_seconds:
        return None

    def left(part: dict[str, Any]) -> float:
        return max(int(part["expected"]) - int(part["done"]), 0) * worked_seconds / done

    # A worker has gone on since it last said how far it is.
    running = [max(left(part) - float(part["silent"]), 0.0) for part in parts if part["status"] == Status.PROCESSING]
    free_in = running or [0.0]
    heapq.heapify(free_in)
    for part in parts:
        if part["status"] == Status.PENDING:
            # Whoever is free first takes the next that waits.
            heapq.heapreplace(free_in, free_in[0] + left(part))
    return max(round(max(free_in), 1), SHORTEST_SECONDS)
