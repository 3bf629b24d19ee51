"""Draws what is measured: pictures that move, are noisy and cost a decoder about what camera footage costs."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

PICTURES_PER_SECOND = 30
# A shot lasts so long: encoders put key frames where the picture changes.
SHOT_SECONDS = 7
GRAINS = 8
# A block of this many pixels a side for each bit of the picture's number.
BIT_SIDE = 32
NUMBER_BITS = 16

# The encoder of AV1 is talkative.
os.environ.setdefault("SVT_LOG", "1")

Plane = npt.NDArray[np.uint8]
Works = tuple[str, ...]


@dataclass(frozen=True)
class Input:
    """A clip to draw, and what is asked of it."""

    name: str
    encoder: str
    width: int
    height: int
    seconds: float
    works: Works
    options: dict[str, str] = field(default_factory=dict)
    suffix: str = ".mp4"
    pixel_format: str = "yuv420p"


X264 = {"preset": "fast", "crf": "21", "bf": "3"}
# x264 codes fields slowly.
INTERLACED = {"preset": "veryfast", "x264-params": "tff=1", "flags": "+ildct+ilme"}
X265 = "log-level=none:keyint=250:open-gop=1"
INPUTS = (
    Input("h264_1080p", "libx264", 1920, 1080, 60, ("1s", "10s", "keyframes"), X264),
    Input(
        "h264_1080p_2s_gop",
        "libx264",
        1920,
        1080,
        60,
        ("1s", "10s", "keyframes"),
        X264 | {"g": "60", "x264-params": "scenecut=0:open-gop=0"},
    ),
    Input("h264_720p", "libx264", 1280, 720, 30, ("all",), X264),
    Input(
        "h264_1080p_one_gop", "libx264", 1920, 1080, 28, ("1s",), X264 | {"g": "100000", "x264-params": "scenecut=0"}
    ),
    Input("h264_1080i", "libx264", 1920, 1080, 15, ("1s",), X264 | INTERLACED),
    Input(
        "hevc_1080p_open_gop",
        "libx265",
        1920,
        1080,
        60,
        ("1s",),
        {"preset": "veryfast", "crf": "24", "x265-params": X265},
    ),
    Input(
        "vp9_1080p",
        "libvpx-vp9",
        1920,
        1080,
        20,
        ("1s",),
        {"deadline": "realtime", "cpu-used": "6", "crf": "32", "b": "0", "g": "150", "row-mt": "1"},
        ".webm",
    ),
    Input("av1_1080p", "libsvtav1", 1920, 1080, 20, ("1s",), {"preset": "10", "crf": "35", "g": "150"}),
    Input("h264_4k", "libx264", 3840, 2160, 12, ("1s",), X264 | {"preset": "veryfast", "g": "180"}),
    Input(
        "hevc_4k_10bit",
        "libx265",
        3840,
        2160,
        8,
        ("1s",),
        {"preset": "ultrafast", "crf": "24", "x265-params": X265 + ":bframes=3:keyint=120"},
        pixel_format="yuv420p10le",
    ),
    Input("one_second", "libx264", 1920, 1080, 1, ("1s",), X264),
)


# Footage of one's own by its file's name, how often it is repeated, and what is asked of it; the rest is drawn.
FOOTAGE: tuple[tuple[str, int, Works], ...] = (
    ("h264_1080p_default_gop.mp4", 3, ("1s",)),
    ("h264_1080p_2s_gop.mp4", 3, ("1s", "10s", "keyframes")),
    ("h264_720p.mp4", 1, ("all",)),
    ("hevc_1080p_open_gop.mp4", 1, ("1s",)),
    ("vp9_1080p.webm", 2, ("1s",)),
    ("av1_1080p.mp4", 3, ("1s",)),
)
DRAWN_BESIDE_FOOTAGE = ("h264_1080p_one_gop", "h264_1080i", "h264_4k", "hevc_4k_10bit", "one_second")


def repeated(path: Path, folder: Path, *, times: int) -> Path:
    """The same pictures so many times one behind the other, not encoded again."""
    if times == 1:
        return path
    target = folder / f"{path.stem}_{times}_times{path.suffix}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".part{path.suffix}")
    with av.open(part, "w") as output:
        shift = 0
        for number in range(times):
            with av.open(path) as container:
                source = container.streams.video[0]
                if number == 0:
                    stream = output.add_stream_from_template(source, opaque=True)
                packets: list[Any] = [packet for packet in container.demux(source) if packet.size]
                begin = min(packet.pts for packet in packets)
                end = max(packet.pts + (packet.duration or 0) for packet in packets)
                for packet in packets:
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    output.mux(packet)
                shift += end - begin
    return part.replace(target)


def draw(wanted: Input, folder: Path, *, scale: float) -> Path | None:
    """The clip's file, drawn unless it is there from before; none where its encoder is missing."""
    seconds = wanted.seconds if wanted.seconds <= 1 else max(1, round(wanted.seconds * scale))
    path = folder / f"{wanted.name}_{seconds:g}s{wanted.suffix}"
    if wanted.encoder not in av.codecs_available:
        return None
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part{path.suffix}")
    with av.open(part, "w") as container:
        stream = container.add_stream(wanted.encoder, rate=PICTURES_PER_SECOND, options=wanted.options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = wanted.width, wanted.height, wanted.pixel_format
        stream.codec_context.thread_count = os.cpu_count() or 1
        for number, picture in enumerate(_pictures(wanted.width, wanted.height, round(seconds * PICTURES_PER_SECOND))):
            frame = picture.reformat(format=wanted.pixel_format)
            frame.pts, frame.time_base = number, Fraction(1, PICTURES_PER_SECOND)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    # Root's SVT-AV1 leaves the thread that opened it at real-time priority, which all that is measured would inherit.
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return part.replace(path)


def _pictures(width: int, height: int, count: int) -> Iterator[av.VideoFrame]:
    """A camera that pans over a textured ground on which things move, with grain, and a cut now and then."""
    rng = np.random.default_rng(0)
    grains = [rng.normal(0, 2.5, (height, width)).astype(np.int8) for _ in range(GRAINS)]
    shot = -1
    for number in range(count):
        if number // (SHOT_SECONDS * PICTURES_PER_SECOND) != shot:
            shot = number // (SHOT_SECONDS * PICTURES_PER_SECOND)
            ground, chroma = _ground(width, height, rng)
        place = number % (SHOT_SECONDS * PICTURES_PER_SECOND)
        left, top = 2 * place, place // 2 * 2
        luma = ground[top : top + height, left : left + width].copy()
        for thing in range(6):
            centre = (place * (5 + 3 * thing) * height // 1080 + 300 * thing) % width, height * (thing + 1) // 7
            cv2.circle(luma, centre, height // 16, 40 + 30 * thing, thickness=-1)
        luma = np.asarray(cv2.add(luma, grains[number % GRAINS], dtype=cv2.CV_8U), np.uint8)
        for bit in range(NUMBER_BITS):
            luma[:BIT_SIDE, bit * BIT_SIDE : (bit + 1) * BIT_SIDE] = 235 if number >> bit & 1 else 16
        window = slice(top // 2, (top + height) // 2), slice(left // 2, (left + width) // 2)
        planar = np.concatenate([luma.reshape(-1), *(plane[window].reshape(-1) for plane in chroma)])
        yield av.VideoFrame.from_ndarray(planar.reshape(height * 3 // 2, width), format="yuv420p")


def _ground(width: int, height: int, rng: np.random.Generator) -> tuple[Plane, list[Plane]]:
    """Texture of all sizes, larger than the picture by as far as the camera pans."""
    way = 2 * SHOT_SECONDS * PICTURES_PER_SECOND
    wide, high = width + way, height + way // 2
    luma = np.full((high, wide), 110, np.float32)
    for cells, strength in ((8, 45), (32, 25), (128, 14), (480, 7)):
        noise = rng.normal(0, strength, (cells, 2 * cells)).astype(np.float32)
        luma += cv2.resize(noise, (wide, high), interpolation=cv2.INTER_CUBIC)
    chroma = [
        np.clip(cv2.resize(rng.normal(128, 25, (12, 20)).astype(np.float32), (wide // 2, high // 2)), 16, 240).astype(
            np.uint8
        )
        for _ in range(2)
    ]
    return np.clip(luma, 16, 235).astype(np.uint8), chroma
