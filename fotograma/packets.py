"""The packet index: time, size and place of each packet of a video, without the video.

It tells what a plan would choose before anything is decoded. It is what the container claims: a decoder may give fewer
frames, so that final choices are made from decoded ones.
"""

import itertools
import json
import math
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

KEY = 1
DISCARD = 2
"""Decoded, and never shown (edit lists)."""
CORRUPT = 4
NO_TIME = -(2**63)
# More are not indexed: fourteen hours at 60 frames a second still are.
MOST_PACKETS = 3_000_000
# Put in order at a time: hours of video would else be held as Python's numbers, which take ten times the room.
_SORTED_AT_ONCE = 4096
# How far behind the next ones in the file a packet may be shown without all being sorted anew.
_WAITING = 64

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
        times = self._times()
        shown = self.in_order(since=first_pts)
        end = max((times[number] + max(self.duration[number], 0) for number in shown), default=first_pts)
        if shown and end <= times[shown[-1]]:
            # A container without durations: the last frame stays as long as the one before it did.
            end = times[shown[-1]] + (times[shown[-1]] - times[shown[-2]] if len(shown) > 1 else 1)
        return Timeline(
            time_base=self.time_base,
            first_pts=first_pts,
            # Between the farthest times lie 64 bits.
            ticks=array("Q", (times[number] - first_pts for number in shown)),
            key_frames=[bool(self.flags[number] & KEY) for number in shown],
            packets=shown,
            end_ticks=end - first_pts,
        )

    def in_order(self, *, since: int = NO_TIME + 1) -> "array[int]":
        """The packets that are shown at that time or later, in order of their times; of one time, as in the file."""
        times = self._times()

        def shown() -> Iterator[int]:
            return (
                number
                for number, (time, flags) in enumerate(zip(times, self.flags, strict=True))
                if not flags & DISCARD and time != NO_TIME and time >= since
            )

        found = array("q")
        waiting: list[int] = []
        numbers = shown()
        while following := list(itertools.islice(numbers, _SORTED_AT_ONCE)):
            waiting = sorted(waiting + following, key=times.__getitem__)
            if found and times[waiting[0]] < times[found[-1]]:
                return array("q", sorted(shown(), key=times.__getitem__))
            found.extend(waiting[:-_WAITING])
            waiting = waiting[-_WAITING:]
        found.extend(waiting)
        return found

    def _times(self) -> "array[int]":
        """When each packet is shown, or decoded where that is all that is known."""
        if NO_TIME not in self.pts:
            return self.pts
        return array("q", (dts if pts == NO_TIME else pts for pts, dts in zip(self.pts, self.dts, strict=True)))

    def to_bytes(self) -> bytes:
        """A compact form for storing."""
        head = {
            "version": 1,
            "time_base": f"{self.time_base.numerator}/{self.time_base.denominator}",
            "packets": len(self),
            "complete": self.complete,
            "top_layer": self.top_layer,
        }
        packer = zlib.compressobj(6)
        packed = [packer.compress(getattr(self, name)) for name in (*_ARRAYS, "flags")]
        return b"".join((json.dumps(head).encode(), b"\n", *packed, packer.flush()))

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
            index = cls(time_base, complete=bool(head["complete"]), top_layer=int(head["top_layer"]))
            unpacker = zlib.decompressobj()
            for name in (*_ARRAYS, "flags") if count else ():
                values: array[int] = getattr(index, name)
                # No more than there may be, so that a small lie about the size can't become a large allocation.
                values.frombytes(unpacker.decompress(packed, count * values.itemsize))
                packed = unpacker.unconsumed_tail
            too_much = unpacker.decompress(packed, 1)
        except (KeyError, TypeError, AttributeError, ArithmeticError, RecursionError, zlib.error) as error:
            raise ValueError("not a packet index") from error
        if too_much or any(len(getattr(index, name)) != count for name in (*_ARRAYS, "flags")):
            raise ValueError("not a packet index")
        return index


@dataclass(frozen=True)
class Timeline:
    """The frames to expect in presentation order; times are ticks from the first frame."""

    time_base: Fraction
    first_pts: int
    ticks: "array[int]"
    key_frames: list[bool]
    packets: "array[int]"
    """Number of each frame's packet in the file."""
    end_ticks: int
    """Where the last frame ends."""

    @property
    def is_variable(self) -> bool:
        """Whether frames stay on screen for different times, rounding to ticks or milliseconds aside."""
        steps = {after - before for before, after in itertools.pairwise(self.ticks)}
        slack = max(2, math.ceil(Fraction(2, 1000) / self.time_base))
        return bool(steps) and max(steps) - min(steps) > slack
