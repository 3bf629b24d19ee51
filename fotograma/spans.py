"""Which packets must be decoded for the wanted frames: whole GOPs are skipped, and each is left after its last one.

A span begins at a key frame. A picture that follows a key frame in the file but is shown before it (a leading picture
of an open GOP) belongs to the span of the key frame before, whose pictures it refers to.
"""

import bisect
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from fotograma.packets import DISCARD, KEY, NO_TIME, PacketIndex, Timeline


@dataclass(frozen=True)
class Span:
    """Packets first..last of the file, decoded from a fresh decoder."""

    first: int
    """A key frame's packet."""
    last: int
    wanted: tuple[int, ...]
    """Packets of the wanted frames, in presentation order."""


# Codecs whose key frames are known to leave nothing behind of what came before.
CODECS = frozenset({"h264", "hevc", "vp9", "vp8", "av1", "mpeg2video", "mjpeg", "prores", "dnxhd"})
# Those whose packets may come in another order than their pictures are shown.
REORDERED = frozenset({"h264", "hevc", "mpeg2video"})
# Containers that carry the time of each picture.
TIMED_CONTAINERS = ("mov", "matroska", "mpegts", "mpeg", "flv", "ivf")
# Pictures that a decoder may hold back to bring them into order (H.264 and HEVC allow 16).
DEEPEST_REORDER = 16


def is_regular(index: PacketIndex, *, codec: str, container: str) -> bool:
    """Whether the index can be believed: every packet has a time of its own and nothing is marked as damaged.

    Only then a frame is known by its packet's time; all else is decoded from the beginning. Where pictures are not
    reordered by the codec, times must rise from packet to packet; else from key frame to key frame.
    """
    if codec not in CODECS or not container.startswith(TIMED_CONTAINERS):
        return False
    return (
        index.complete
        and len(index) > 0
        and bool(index.flags[0] & KEY)
        and not any(flags & ~(KEY | DISCARD) for flags in index.flags)
        and NO_TIME not in index.pts
        and _each_at_its_own_time(index)
        and all(size > 0 for size in index.size)
        and _rises(index, reordered=codec in REORDERED)
    )


def are_frames(index: PacketIndex, timeline: Timeline, *, codec: str, container: str) -> bool:
    """Whether the frames that the index tells are those that decoding gives, as far as is known before."""
    return (
        is_regular(index, codec=codec, container=container)
        and bool(timeline.ticks)
        # The first packet's frame is the first frame: nothing at the beginning was left out by the decoder.
        and timeline.ticks[0] == 0
        and len(timeline.ticks) == sum(not flags & DISCARD for flags in index.flags)
    )


def _each_at_its_own_time(index: PacketIndex) -> bool:
    times = map(index.pts.__getitem__, index.in_order())
    return all(before != after for before, after in itertools.pairwise(times))


def _rises(index: PacketIndex, *, reordered: bool) -> bool:
    keys = [pts for pts, flags in zip(index.pts, index.flags, strict=True) if flags & KEY]
    if any(after <= before for before, after in itertools.pairwise(keys)):
        return False
    depth = DEEPEST_REORDER if reordered else 0
    earlier = itertools.accumulate(index.pts, max)
    return all(
        pts > highest for pts, highest in zip(itertools.islice(index.pts, depth + 1, None), earlier, strict=False)
    )


def spans(index: PacketIndex, wanted: Iterable[int]) -> list[Span]:
    """The spans that hold the `wanted` packets, in the order of the file."""
    keys = [number for number, flags in enumerate(index.flags) if flags & KEY]
    members: dict[int, list[int]] = {}
    for number in wanted:
        place = bisect.bisect_right(keys, number) - 1
        while place > 0 and index.pts[number] < index.pts[keys[place]]:
            place -= 1
        members.setdefault(keys[place], []).append(number)
    return [
        Span(first, max(numbers), tuple(sorted(numbers, key=index.pts.__getitem__)))
        for first, numbers in sorted(members.items())
    ]


def merged(found: list[Span], *, most_wanted: int) -> list[Span]:
    """Neighbouring spans as one, up to so many wanted frames: where every frame is a key frame, one by one is slow."""
    result: list[Span] = []
    for span in found:
        before = result[-1] if result else None
        if (
            before is not None
            and before.last + 1 == span.first
            and len(before.wanted) + len(span.wanted) <= most_wanted
        ):
            result[-1] = Span(before.first, span.last, before.wanted + span.wanted)
        else:
            result.append(span)
    return result
