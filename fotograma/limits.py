"""What one file may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on one decoding process; what passes one fails with the LIMIT_ code of its name."""

    max_pixels: int = 67_108_864
    """Of one picture: 8192 x 8192."""
    max_streams: int = 32
    max_frames: int = 200_000
    """Pictures that one extraction may give."""
    max_bytes: int = 50 * 2**30
    """Of one archive."""
    wall_seconds: float = 900.0
    """Real time that one segment may take."""
    memory_bytes: int = 2 * 2**30
    """Address space of the decoding process."""
