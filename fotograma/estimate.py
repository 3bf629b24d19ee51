"""What an extraction would give and cost, before anything is decoded: arithmetic over the packet index.

Frames and times are what the container claims, and exact where it tells the truth. Bytes and seconds are rules of
thumb, measured on camera footage: true within a factor of two for most videos, and no more than that.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fotograma.packets import DISCARD, KEY, PacketIndex, Timeline
from fotograma.plan import ImageFormat, Plan
from fotograma.selection import choose

TIMES_LISTED = 1000

# Pictures of camera footage as JPEGs with 4:2:0 chroma: quality, bits per pixel.
JPEG_BITS: tuple[tuple[int, float], ...] = ((1, 0.15), (50, 0.8), (75, 1.2), (90, 2.2), (95, 3.2), (100, 6.5))
# The other formats at the same quality as a share of that; PNG has no quality.
OF_JPEG: Mapping[ImageFormat, float] = {"jpg": 1.0, "webp": 0.65, "avif": 0.5}
PNG_BITS = 12.0
# Rows of both manifests and the two ZIP headers of a frame.
ROW_BYTES = 700

# One core of 2026: H.264 in, pictures out.
DECODED_PIXELS_PER_SECOND = 300e6
ENCODED_PIXELS_PER_SECOND: Mapping[ImageFormat, float] = {"jpg": 400e6, "png": 40e6, "webp": 12e6, "avif": 15e6}
START_SECONDS = 0.3


@dataclass(frozen=True)
class Estimate:
    """What an extraction would give."""

    frames: int | None
    """None where only the pictures tell what is chosen (`scenes`, `best`, `dedupe`), or the file has no times."""
    bytes: int | None
    """Of the archive; None where the frames are."""
    seconds: float
    """Of one core; more cores take their share."""
    times: list[float]
    """Of the first chosen frames, in seconds; empty where the pictures tell."""


def estimate(plan: Plan, index: PacketIndex, media: Mapping[str, Any]) -> Estimate:
    """What `plan` would give of the video of which the probe said `media` and `index`."""
    timeline = index.timeline(first_pts=media["first_pts"])
    if plan.chooses_by_picture or not index.has_times:
        # Each frame of the range is looked at; how many are written is not known, and costs less than the looking.
        packets = _decoded_packets(index, _frames_in_range(timeline, plan))
        return Estimate(
            None, None, round(START_SECONDS + work_seconds(plan, media, packets=packets, pictures=0), 3), []
        )
    chosen = [
        choice.index
        for choice in choose(
            plan,
            timeline.ticks,
            timeline.key_frames,
            time_base=timeline.time_base,
            end_ticks=timeline.end_ticks,
        )
    ]
    packets = _decoded_packets(index, [timeline.packets[frame] for frame in chosen])
    written_pixels = len(chosen) * _picture_pixels(plan, media)
    seconds = START_SECONDS + work_seconds(plan, media, packets=packets, pictures=len(chosen))
    return Estimate(
        frames=len(chosen),
        bytes=round(written_pixels * _bits_per_pixel(plan) / 8) + len(chosen) * ROW_BYTES,
        seconds=round(seconds, 3),
        times=[float(round(timeline.ticks[frame] * timeline.time_base, 9)) for frame in chosen[:TIMES_LISTED]],
    )


def work_seconds(plan: Plan, media: Mapping[str, Any], *, packets: int, pictures: int) -> float:
    """How long one core decodes so many packets and writes so many pictures."""
    decoding = packets * int(media["width"]) * int(media["height"]) / DECODED_PIXELS_PER_SECOND
    return decoding + pictures * _picture_pixels(plan, media) / ENCODED_PIXELS_PER_SECOND[plan.format]


def _frames_in_range(timeline: Timeline, plan: Plan) -> list[int]:
    """The packets of the frames that the plan looks at."""
    return [
        packet
        for ticks, packet in zip(timeline.ticks, timeline.packets, strict=True)
        if plan.start <= ticks * timeline.time_base and (plan.end is None or ticks * timeline.time_base < plan.end)
    ]


def _decoded_packets(index: PacketIndex, wanted: list[int]) -> int:
    """How many packets are decoded for the wanted ones: each from its key frame on, none twice."""
    keys = [number for number in range(len(index)) if index.flags[number] & KEY and not index.flags[number] & DISCARD]
    decoded = 0
    decoded_to = -1
    for number in sorted(wanted):
        before = bisect_right(keys, number)
        key = keys[before - 1] if before else 0
        decoded += number - max(key, decoded_to + 1) + 1
        decoded_to = number
    return decoded


def _picture_pixels(plan: Plan, media: Mapping[str, Any]) -> int:
    """Pixels of one written picture."""
    width, height = int(media["width"]), int(media["height"])
    if media["rotation"] % 180:
        width, height = height, width
    if plan.crop is not None:
        width = min(plan.crop.width, max(0, width - plan.crop.x))
        height = min(plan.crop.height, max(0, height - plan.crop.y))
    scales = [Fraction(limit, side) for limit, side in ((plan.width, width), (plan.height, height)) if limit and side]
    scale = min(scales, default=Fraction(1))
    return round(width * height * scale * scale)


def _bits_per_pixel(plan: Plan) -> float:
    if plan.format == "png":
        return PNG_BITS
    above = next(place for place, (quality, _) in enumerate(JPEG_BITS) if plan.quality <= quality)
    (low, low_bits), (high, high_bits) = JPEG_BITS[max(0, above - 1)], JPEG_BITS[above]
    share = (plan.quality - low) / (high - low) if high > low else 0.0
    return OF_JPEG[plan.format] * (low_bits + share * (high_bits - low_bits))
