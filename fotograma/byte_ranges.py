"""Which bytes of a video a plan needs, by its packet index, and whether they are fetched by range: arithmetic alone.

The index is what a jailed process says of a stranger's file, so that ranges are kept within the file, and no more is
hoped of them than that they come in time: what is not foreseen is fetched when it is asked for.
"""

from collections.abc import Iterable, Iterator

from fotograma import spans
from fotograma.packets import PacketIndex, Timeline
from fotograma.plan import Count, Plan
from fotograma.readers import ByteRange
from fotograma.records import Facts
from fotograma.selection import choose, looked_at
from fotograma.spans import Span

# Read along with what is on both sides: FFmpeg reads through so much rather than seek.
GAP_BYTES = 2**15
# Matroska packs pictures into clusters, and a decoder goes to the beginning of one: mostly it lies right behind the
# picture before, and is not looked for farther away than this.
CLUSTER_BYTES = 2**18
# What stands before each picture there.
BLOCK_HEAD_BYTES = 64
# Of one request: large enough that less time passes before it comes than while it does.
PIECE_BYTES = 4 * 2**20
# What a request costs beside its bytes: 30 ms until the first of them comes, in which eight such wait together, and a
# store that would have given 100 MB/s. Nobody knows that beforehand; so is one in the same region.
REQUEST_BYTES = 375_000
# Until a plan's ranges are known, three answers must come one after another: that is how long this much takes.
SMALL_BYTES = 8 * 2**20


def needed(
    plan: Plan, facts: Facts, *, size: int, start_pts: int | None = None, end_pts: int | None = None
) -> list[ByteRange]:
    """What is read for the frames that a plan chooses, in the order of reading.

    Args:
        plan: which frames.
        facts: what the probe says of the video.
        size: of the video's file.
        start_pts: the first tick of the part that is wanted, none for the beginning.
        end_pts: the tick behind it, none for the end.
    """
    index = PacketIndex.from_bytes(facts.packet_index)
    timeline = index.timeline(first_pts=facts.first_pts)
    codec, container = facts.media.get("codec"), facts.media.get("container")
    counts = isinstance(plan.mode, Count)
    if (
        not isinstance(codec, str)
        or not isinstance(container, str)
        # Only there a packet's place tells what is read for it.
        or not container.startswith(("mov", "matroska"))
        or not spans.are_frames(index, timeline, codec=codec, container=container)
    ):
        # From the beginning to the end, for `count` twice: targets hang on where the last frame ends.
        return [ByteRange(0, size)] * (2 if counts else 1)
    choices = choose(
        plan, timeline.ticks, timeline.key_frames, time_base=timeline.time_base, end_ticks=timeline.end_ticks
    )
    held = [
        choice
        for choice in choices
        if (start_pts is None or start_pts <= facts.first_pts + timeline.ticks[choice.index])
        and (end_pts is None or facts.first_pts + timeline.ticks[choice.index] < end_pts)
    ]
    found = _of_frames(index, timeline, looked_at(plan, held), clustered=container.startswith("matroska"))
    if counts:
        # That frame is looked at before all others.
        last = len(timeline.ticks) - 1
        found = [*_of_frames(index, timeline, [last], clustered=container.startswith("matroska")), *found]
    clipped = (ByteRange(max(0, start), min(end, size)) for start, end in found)
    return [part for part in clipped if part.start < part.end]


def _of_frames(index: PacketIndex, timeline: Timeline, places: list[int], *, clustered: bool) -> list[ByteRange]:
    found = spans.spans(index, (timeline.packets[place] for place in places))
    if found and found[0].wanted == (timeline.packets[0],):
        # The probe has read and kept it.
        del found[0]
    if clustered:
        return _joined(_in_clusters(index, span) for span in found)
    packets = (number for span in found for number in range(span.first, span.last + 1))
    return _joined((index.position[number], index.position[number] + index.size[number]) for number in packets)


def _in_clusters(index: PacketIndex, span: Span) -> tuple[int, int]:
    before = span.first - 1
    end_before = index.position[before] + index.size[before] if before >= 0 else 0
    start = max(end_before, index.position[span.first] - CLUSTER_BYTES)
    return start, index.position[span.last] + index.size[span.last] + BLOCK_HEAD_BYTES


def _joined(parts: Iterable[tuple[int, int]]) -> list[ByteRange]:
    """Parts that follow each other as one."""
    joined: list[ByteRange] = []
    for start, end in parts:
        if joined and joined[-1].end <= start <= joined[-1].end + GAP_BYTES:
            joined[-1] = ByteRange(joined[-1].start, end)
        else:
            joined.append(ByteRange(start, end))
    return joined


def pieces(ranges: Iterable[ByteRange]) -> Iterator[ByteRange]:
    """The same bytes in parts that are worth a request each and small enough to be held."""
    for start, end in ranges:
        for place in range(start, end, PIECE_BYTES):
            yield ByteRange(place, min(end, place + PIECE_BYTES))


def is_whole_cheaper(size: int, ranges: Iterable[ByteRange]) -> bool:
    """Whether fetching a whole file costs no more time than fetching these ranges of it."""
    by_range = sum(part.end - part.start + REQUEST_BYTES for part in pieces(ranges))
    whole = sum(part.end - part.start + REQUEST_BYTES for part in pieces([ByteRange(0, size)]))
    return whole <= by_range
