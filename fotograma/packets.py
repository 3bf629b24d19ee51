"""The packet index: time, size and place of each packet of a video, without the video.

It tells what a plan would choose before anything is decoded. It is what the container claims: a decoder may give fewer
frames, so that final choices are made from decoded ones.
"""

import itertools
import json
import math
import zlib
from array import array
from dataclasses import dataclass, field
from fractions import Fraction

KEY = 1
DISCARD = 2
"""Decoded, and never shown (edit lists)."""
CORRUPT = 4
NO_TIME = -(2**63)
# More are not indexed: fourteen hours at 60 frames a second still are.
MOST_PACKETS = 3_000_000

_ARRAYS = ("pts", "dts", "duration", "size", "position")


@dataclass
class PacketIndex:
    """One entry for each packet of the stream, in the order of the file. Times are ticks of `time_base`."""

    time_base: Fraction
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    dts: "array[int]" = field(default_factory=lambda: array("q"))
    duration: "array[int]" = field(default_factory=lambda: array("q"))
    size: "array[int]" = field(default_factory=lambda: array("q"))
    position: "array[int]" = field(default_factory=lambda: array("q"))
    """Byte offset in the file, -1 where the container does not tell."""
    flags: "array[int]" = field(default_factory=lambda: array("B"))
    top_layer: int = 0
    """The highest temporal layer of an HEVC stream: pictures of lower ones may be referred to from above."""
    complete: bool = True
    """False when the file went on past what is indexed."""

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def has_times(self) -> bool:
        """Whether each packet has a time, be it only that of its decoding."""
        return all(pts != NO_TIME or dts != NO_TIME for pts, dts in zip(self.pts, self.dts, strict=True))

    def add(self, *, pts: int | None, dts: int | None, duration: int, size: int, position: int, flags: int) -> None:
        """The next packet of the file."""
        self.pts.append(NO_TIME if pts is None else pts)
        self.dts.append(NO_TIME if dts is None else dts)
        self.duration.append(duration)
        self.size.append(size)
        self.position.append(position)
        self.flags.append(flags)

    def timeline(self, *, first_pts: int) -> "Timeline":
        """The frames to expect, if each shown packet gives one frame and the first is shown at `first_pts`."""
        shown = []
        for number in range(len(self)):
            if self.flags[number] & DISCARD:
                continue
            time = self.pts[number] if self.pts[number] != NO_TIME else self.dts[number]
            if time != NO_TIME and time >= first_pts:
                shown.append((time, number))
        shown.sort()
        end = max((time + max(self.duration[number], 0) for time, number in shown), default=first_pts)
        if shown and end <= shown[-1][0]:
            # A container without durations: the last frame stays as long as the one before it did.
            end = shown[-1][0] + (shown[-1][0] - shown[-2][0] if len(shown) > 1 else 1)
        return Timeline(
            time_base=self.time_base,
            first_pts=first_pts,
            ticks=[time - first_pts for time, _ in shown],
            key_frames=[bool(self.flags[number] & KEY) for _, number in shown],
            packets=[number for _, number in shown],
            end_ticks=end - first_pts,
        )

    def to_bytes(self) -> bytes:
        """A compact form for storing."""
        head = {
            "version": 1,
            "time_base": f"{self.time_base.numerator}/{self.time_base.denominator}",
            "packets": len(self),
            "complete": self.complete,
            "top_layer": self.top_layer,
        }
        body = b"".join(getattr(self, name).tobytes() for name in _ARRAYS) + self.flags.tobytes()
        return json.dumps(head).encode() + b"\n" + zlib.compress(body, 6)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "PacketIndex":
        """The index again.

        Raises:
            ValueError: these bytes are no index.
        """
        head_line, _, packed = stored.partition(b"\n")
        try:
            head = json.loads(head_line)
            count = int(head["packets"])
            numerator, denominator = (int(part) for part in head["time_base"].split("/"))
            time_base = Fraction(numerator, denominator)
            if head["version"] != 1 or not 0 <= count <= MOST_PACKETS or time_base <= 0:
                raise ValueError("not a packet index")
            expected = count * (8 * len(_ARRAYS) + 1)
            # One byte more than there may be, so that a small lie about the size can't become a large allocation.
            body = zlib.decompressobj().decompress(packed, expected + 1)
            index = cls(time_base, complete=bool(head["complete"]), top_layer=int(head["top_layer"]))
        except (KeyError, TypeError, AttributeError, ArithmeticError, RecursionError, zlib.error) as error:
            raise ValueError("not a packet index") from error
        if len(body) != expected:
            raise ValueError("not a packet index")
        for place, name in enumerate(_ARRAYS):
            getattr(index, name).frombytes(body[place * 8 * count : (place + 1) * 8 * count])
        index.flags.frombytes(body[8 * len(_ARRAYS) * count :])
        return index


@dataclass(frozen=True)
class Timeline:
    """The frames to expect in presentation order; times are ticks from the first frame."""

    time_base: Fraction
    first_pts: int
    ticks: list[int]
    key_frames: list[bool]
    packets: list[int]
    """Number of each frame's packet in the file."""
    end_ticks: int
    """Where the last frame ends."""

    @property
    def is_variable(self) -> bool:
        """Whether frames stay on screen for different times, rounding to ticks or milliseconds aside."""
        steps = [after - before for before, after in itertools.pairwise(self.ticks)]
        slack = max(2, math.ceil(Fraction(2, 1000) / self.time_base))
        return bool(steps) and max(steps) - min(steps) > slack
