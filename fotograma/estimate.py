"""What an extraction would give and cost, before anything is decoded: arithmetic over the packet index.

Frames and times are what the container claims, and exact where it tells the truth. Bytes and seconds are rules of
thumb, measured on videos of many kinds: true within a factor of two for most, and no more than that (docs/engine.md).
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fotograma.packets import DISCARD, KEY, PacketIndex, Timeline
from fotograma.plan import ImageFormat, Plan
from fotograma.selection import choose

TIMES_LISTED = 1000

# A key frame is a picture coded by itself, so that its size tells how much is in the pictures: bits per pixel of a JPEG
# of quality 90 are about `factor * (bits per pixel of key frames) ** power`, and younger codecs say more in as many.
OLDER_CODECS, YOUNGER_CODECS = (1.6, 0.5), (2.0, 0.7)
YOUNGER = frozenset({"hevc", "av1", "vp9", "vvc"})
# Codecs whose pictures lose next to nothing, or all are key frames: their size tells nothing.
HARDLY_LOSSY = frozenset({"rawvideo", "huffyuv", "ffv1", "gif", "apng", "prores", "dnxhd", "cfhd", "dvvideo", "tscc"})
UNTOLD_BITS, LEAST_BITS, MOST_BITS = 1.4, 0.1, 3.0
# Quality, size as a share of that of quality 90.
OF_QUALITY_90: tuple[tuple[int, float], ...] = ((1, 0.07), (50, 0.36), (75, 0.55), (90, 1.0), (95, 1.45), (100, 2.95))


@dataclass(frozen=True)
class Coding:
    """How large a format's files are: `factor * (JPEG's bits per pixel) ** power`, and headers."""

    factor: float
    power: float
    header_bytes: int


CODINGS: Mapping[ImageFormat, Coding] = {
    "jpg": Coding(1.0, 1.0, 620),
    "webp": Coding(0.75, 1.0, 100),
    "avif": Coding(0.8, 1.0, 300),
    "png": Coding(4.65, 0.75, 100),
}
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
    seconds = START_SECONDS + work_seconds(plan, media, packets=packets, pictures=len(chosen))
    return Estimate(
        frames=len(chosen),
        bytes=len(chosen) * (_picture_bytes(plan, index, media) + ROW_BYTES),
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


def _picture_bytes(plan: Plan, index: PacketIndex, media: Mapping[str, Any]) -> int:
    """Bytes of one written picture."""
    coding = CODINGS[plan.format]
    bits = coding.factor * math.pow(_jpeg_bits_per_pixel(index, media), coding.power)
    if plan.format != "png":
        bits *= _of_quality_90(plan.quality)
    return round(_picture_pixels(plan, media) * bits / 8) + coding.header_bytes


def _jpeg_bits_per_pixel(index: PacketIndex, media: Mapping[str, Any]) -> float:
    """Of a JPEG of quality 90, as far as the key frames tell."""
    sizes = [size for size, flags in zip(index.size, index.flags, strict=True) if flags & KEY and not flags & DISCARD]
    if media["codec"] in HARDLY_LOSSY or not sizes:
        return UNTOLD_BITS
    coded = 8 * sum(sizes) / len(sizes) / (int(media["width"]) * int(media["height"]))
    factor, power = YOUNGER_CODECS if media["codec"] in YOUNGER else OLDER_CODECS
    return min(MOST_BITS, max(LEAST_BITS, factor * math.pow(coded, power)))


def _of_quality_90(quality: int) -> float:
    above = next(place for place, (known, _) in enumerate(OF_QUALITY_90) if quality <= known)
    (low, low_share), (high, high_share) = OF_QUALITY_90[max(0, above - 1)], OF_QUALITY_90[above]
    share = (quality - low) / (high - low) if high > low else 0.0
    return low_share + share * (high_share - low_share)
