"""What a locked child, which decodes, tells its parent (`fotograma.wire` carries it)."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

LAYERS = ("process", "rlimits", "descriptors", "privileges", "namespaces", "landlock", "seccomp")
"""What the child gives up, in the words of `fotograma.locks`."""
ON = "on"


@dataclass(frozen=True)
class Locked:
    """What the child has given up; said once, before it has seen a byte of the video."""

    layers: dict[str, str]
    """For each of `LAYERS` `ON`, or why it does not hold."""


@dataclass(frozen=True)
class Facts:
    """What the probe says of a video."""

    media: dict[str, Any]
    """The manifest's `source`, but for its name and bytes."""
    engine: dict[str, str]
    """Versions of the libraries that decode."""
    time_base: Fraction
    first_pts: int
    """Tick of the first decoded frame: time 0."""
    packet_index: bytes
    """A `PacketIndex`, stored."""


@dataclass(frozen=True)
class Picture:
    """One chosen frame, encoded."""

    pts: int
    """Its time in ticks of the stream's time base, as the decoder has it."""
    index: int | None
    """Place among the decoded frames in presentation order; none where the path taken does not decode all."""
    key_frame: bool
    width: int
    height: int
    targets: tuple[Fraction, ...]
    """Times asked for (seconds) that it answers."""
    targets_left_out: int
    """How many more there are."""
    data: bytes
    """The picture's file."""
    md5: str | None = None
    """Of the decoded picture in its own pixel format, unrotated."""
    scores: dict[str, float] | None = None
    thumbnail: bytes = b""
    """A small JPEG, empty where none was asked for."""


@dataclass(frozen=True)
class Warned:
    """Something to tell beside the frames."""

    code: str
    detail: str


@dataclass(frozen=True)
class Attempted:
    """What came of something forbidden that the parent had the child try."""

    done: bool
    detail: str


@dataclass(frozen=True)
class Failed:
    """The child gives up."""

    code: str
    detail: str


@dataclass(frozen=True)
class Finished:
    """All pictures of a request have been sent."""

    path: str
    """`sparse`: only what was needed was decoded; `linear`: everything from the beginning."""


Record = Locked | Facts | Picture | Warned | Attempted | Failed | Finished
