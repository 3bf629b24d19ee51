"""Fotograma: exact frames out of video.

import fotograma
from pathlib import Path

plan = fotograma.Plan.from_json({"mode": "every", "seconds": 2})
fotograma.extract(Path("holiday.mp4"), plan, sink=Path("frames.zip"))
for frame in fotograma.frames(Path("holiday.mp4"), plan):
    print(frame.time_seconds, frame.array.shape)
"""

# `typing` would cost each start of the command some milliseconds before its decoding process is started.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from fotograma.errors import FotogramaError
    from fotograma.extraction import ArrayFrame, Progress, Summary, extract, frames, probe
    from fotograma.limits import Limits
    from fotograma.plan import Plan

__version__ = "0.1.0"

__all__ = ["ArrayFrame", "FotogramaError", "Limits", "Plan", "Progress", "Summary", "extract", "frames", "probe"]

_ROOMS = {"FotogramaError": "errors", "Limits": "limits", "Plan": "plan"}


def __getattr__(name: str) -> object:
    # Loaded when first used: who only wants a plan pays for nothing else.
    if name not in __all__:
        raise AttributeError(f"module 'fotograma' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"fotograma.{_ROOMS.get(name, 'extraction')}"), name)
