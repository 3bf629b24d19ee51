"""Where an extraction may be cut, so that several workers take a part each.

A part begins at a key frame and gives what it would give within the whole. The places depend on packet index, plan and
wanted length alone, so that whoever works, and however often, the parts are the same.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from fotograma import estimate, spans
from fotograma.packets import PacketIndex
from fotograma.plan import Plan
from fotograma.selection import choose

# Files are named by milliseconds; two of one name are told apart only within a part.
SHORTEST_GAP_SECONDS = Fraction(2, 1000)


def places(plan: Plan, index: PacketIndex, media: Mapping[str, Any], *, seconds: float) -> list[int]:
    """The times (ticks of the stream) at which a new part begins; none where all must be done in one go.

    Args:
        plan: which frames.
        index: of all packets.
        media: what the probe said of the video.
        seconds: how long one core should work on a part, by rule of thumb.
    """
    timeline = index.timeline(first_pts=media["first_pts"])
    known = spans.are_frames(index, timeline, codec=media["codec"], container=media["container"])
    # What is chosen by looking at its neighbours, or by how many came before, needs the whole order.
    if plan.chooses_by_picture or plan.limit is not None or not known:
        return []
    choices = choose(
        plan, timeline.ticks, timeline.key_frames, time_base=timeline.time_base, end_ticks=timeline.end_ticks
    )
    if any(choice.targets_left_out for choice in choices):
        return []
    found: list[int] = []
    part_seconds, last_pts = 0.0, media["first_pts"]
    for span in spans.spans(index, (timeline.packets[choice.index] for choice in choices)):
        begin_pts = index.pts[span.first]
        apart = (index.pts[span.wanted[0]] - last_pts) * timeline.time_base >= SHORTEST_GAP_SECONDS
        if part_seconds >= seconds and apart and last_pts < begin_pts:
            found.append(begin_pts)
            part_seconds = 0.0
        part_seconds += estimate.work_seconds(
            plan, media, packets=span.last - span.first + 1, pictures=len(span.wanted)
        )
        last_pts = max(last_pts, index.pts[span.wanted[-1]])
    return found
