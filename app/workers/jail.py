"""How this worker locks its decoders in."""

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import structlog

from app import metrics
from app.settings import get_settings
from fotograma import spawn, trial
from fotograma.errors import Cause, FotogramaError
from fotograma.limits import Limits
from fotograma.records import LAYERS

logger = structlog.get_logger()


def get_limits() -> Limits:
    """What one video may ask for."""
    settings = get_settings()
    return Limits(
        max_pixels=settings.frame_max_pixels,
        max_streams=settings.video_max_streams,
        max_frames=settings.extraction_max_frames,
        max_bytes=settings.archive_max_bytes,
        wall_seconds=settings.segment_wall_seconds,
        memory_bytes=settings.jail_memory_bytes,
    )


def start_ahead() -> None:
    """Have the next decoder load while there is nothing to decode."""
    if get_settings().decoder_ahead:
        spawn.warm()


def stand_back(pid: int) -> None:
    """Let whoever answers users go first where the cores are few; `pid` is a decoder, which leads a group."""
    niceness = get_settings().decoder_niceness
    with suppress(OSError):
        os.setpriority(os.PRIO_PGRP, pid, niceness)
    # Where the kernel shares cores by session first, and a decoder has one of its own, that alone would change nothing.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


@lru_cache
def tried_layers() -> dict[str, str]:
    """Each layer and whether it holds on this machine. Where a mandatory one does not, this ends the worker."""
    tried = trial.try_out(get_limits())
    if failures := trial.failures(tried):
        if get_settings().require_jail:
            raise SystemExit(
                f"Worker: decoders can't be locked in on this machine ({failures}). "
                "REQUIRE_JAIL=false lets it work all the same, for videos that you trust."
            )
        logger.warning("the jail does not hold", failures=failures)
    layers = {layer.name: layer.detail for layer in tried if layer.name in LAYERS}
    logger.info("jail tried out", **layers)
    return layers


def count_failure(error: FotogramaError) -> None:
    """Count what the jail has stopped, by the layer that did."""
    code = error.code.name
    if error.code.cause in (Cause.LIMIT, Cause.CRASH) or code == "JAIL_INCOMPLETE":
        metrics.jail_failures.labels(_layer(code, error.detail), code).inc()


def _layer(code: str, detail: str) -> str:
    if code == "JAIL_INCOMPLETE":
        # Told as "name: why; name: why".
        return detail.partition(":")[0]
    if detail == "SIGSYS":
        return "seccomp"
    if code == "LIMIT_MEMORY" or detail == "processor time":
        return "rlimits"
    if code == "LIMIT_TIME":
        return "wall clock"
    if detail.startswith(("SIG", "status ")):
        return "process"
    # What came out of it was too much or made no sense to its parent.
    return "records"
