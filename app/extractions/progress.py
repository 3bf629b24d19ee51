"""How long an extraction still takes: plain arithmetic over what its segments have done, by the database's clock."""

import heapq
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from app.extractions.models import Extraction, Segment, Status, Step

# What comes after the last frame takes a moment, even where there is little to join.
SHORTEST_SECONDS = 1.0
JOIN_BYTES_PER_SECOND = 250e6
"""Of an archive that is read, hashed and written: by a rule of thumb."""


def parts_of(extraction: type[Extraction]) -> ColumnElement[Any]:
    """What `seconds_left` wants to know of an extraction that runs; NULL where none does."""
    last_word = func.coalesce(Segment.progressed_at, Segment.started_at)
    parts = (
        select(
            func.jsonb_agg(
                func.jsonb_build_object(
                    "step",
                    Segment.step,
                    "status",
                    Segment.status,
                    "bytes",
                    Segment.entries_bytes,
                    "expected",
                    Segment.frames_expected,
                    "done",
                    Segment.frames_done,
                    "worked",
                    func.extract("epoch", func.coalesce(Segment.completed_at, last_word) - Segment.started_at),
                    "silent",
                    func.extract("epoch", func.now() - func.coalesce(last_word, Segment.created_at)),
                )
            )
        )
        .where(Segment.extraction_id == extraction.id, Segment.step.in_((Step.FRAMES, Step.JOIN)))
        .scalar_subquery()
    )
    return case((extraction.status == Status.PROCESSING, parts))


def seconds_left(parts: list[dict[str, Any]] | None) -> float | None:
    """Until the archive is there, if as many workers go on as fast as so far. None where that can't be told: nothing
    runs, nothing is done yet, or only the pictures tell how many frames there will be."""
    joins = [part for part in parts or [] if part["step"] == Step.JOIN]
    parts = [part for part in parts or [] if part["step"] == Step.FRAMES]
    if not parts or any(part["expected"] is None for part in parts):
        return None
    done = sum(int(part["done"]) for part in parts)
    worked_seconds = sum(float(part["worked"] or 0) for part in parts)
    if not done or not worked_seconds:
        return None

    def left(part: dict[str, Any]) -> float:
        return max(int(part["expected"]) - int(part["done"]), 0) * worked_seconds / done

    join_seconds = _join_seconds(parts)
    if joins:
        return max(round(join_seconds - float(joins[0]["silent"]), 1), SHORTEST_SECONDS)
    # A worker has gone on since it last said how far it is.
    running = [max(left(part) - float(part["silent"]), 0.0) for part in parts if part["status"] == Status.PROCESSING]
    free_in = running or [0.0]
    heapq.heapify(free_in)
    for part in parts:
        if part["status"] == Status.PENDING:
            # Whoever is free first takes the next that waits.
            heapq.heapreplace(free_in, free_in[0] + left(part))
    return max(round(max(free_in) + join_seconds, 1), SHORTEST_SECONDS)


def _join_seconds(parts: list[dict[str, Any]]) -> float:
    """How long the join takes, if frames that are still to come are as large as those that are there."""
    ready = [part for part in parts if part["bytes"] is not None]
    frames = sum(int(part["done"]) for part in ready)
    if not frames:
        return 0.0
    of_all = sum(max(int(part["expected"]), int(part["done"])) for part in parts)
    return sum(int(part["bytes"]) for part in ready) / frames * of_all / JOIN_BYTES_PER_SECOND
