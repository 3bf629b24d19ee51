"""How this worker locks its decoders in."""

from functools import lru_cache

import structlog

from app.settings import get_settings
from fotograma import trial
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
