"""Draws clips with the answer painted in: each picture carries its number in black and white blocks, which survive
lossy coding and scaling, and tell when a picture is not upright."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

Pixels = npt.NDArray[np.uint8]

# The picture is a square of so many blocks a side: one white corner and three black ones say which way is up, the
# others are the bits of the number.
SIDE = 4
CORNERS = {0: 1, SIDE - 1: 0, SIDE * (SIDE - 1): 0, SIDE * SIDE - 1: 0}
BIT_BLOCKS = [block for block in range(SIDE * SIDE) if block not in CORNERS]
MOST_NUMBERS = 2 ** len(BIT_BLOCKS)

PIXEL_FORMATS = {"gif": "rgb8", "apng": "rgb24", "mjpeg": "yuvj420p", "prores_ks": "yuv422p10le", "huffyuv": "yuv422p"}
# Key frames and B-frames where they are asked for, not where the picture changes; and encoders that are quiet.
ENCODER_OPTIONS = {
    "libx264": {"preset": "veryfast", "sc_threshold": "0", "b_strategy": "0"},
    "libx265": {"preset": "veryfast", "x265-params": "log-level=none:scenecut=0:b-adapt=0"},
    "libsvtav1": {"preset": "8", "crf": "10", "svtav1-params": "enable-tf=0"},
    "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime"},
    "libvpx": {"cpu-used": "8", "deadline": "realtime"},
}
WITH_B_FRAMES = {"libx264", "libx265", "mpeg4", "mpeg2video", "mpeg1video"}
AUDIO_RATE = 48_000


@dataclass(frozen=True)
class Clip:
    """A drawn clip; picture n carries the number n."""

    path: Path
    times: tuple[Fraction, ...]
    """When each picture is shown, in seconds from the first."""

    @property
    def frames(self) -> int:
        """How many pictures it has."""
        return len(self.times)


def paint(number: int, *, width: int, height: int) -> Pixels:
    """A picture that carries `number`."""
    bits = dict(CORNERS) | {block: number >> place & 1 for place, block in enumerate(BIT_BLOCKS)}
    blocks = np.array([bits[block] for block in range(SIDE * SIDE)], np.uint8).reshape(SIDE, SIDE) * 255
    rows, columns = (np.arange(length) * SIDE // length for length in (height, width))
    return np.repeat(blocks[rows][:, columns, None], 3, axis=2)


def read_number(pixels: Pixels) -> int:
    """The number in an upright picture.

    Raises:
        ValueError: it is turned, or no such picture.
    """
    grey = pixels.astype(float) if pixels.ndim == 2 else pixels[..., :3].mean(axis=2)
    height, width = grey.shape
    number = 0
    for block in range(SIDE * SIDE):
        row, column = divmod(block, SIDE)
        # The middle of each block only: scaling and coding smear the edges.
        top, left = (round((place + 0.3) * length / SIDE) for place, length in ((row, height), (column, width)))
        light = grey[top : top + max(1, round(0.4 * height / SIDE)), left : left + max(1, round(0.4 * width / SIDE))]
        level = float(light.mean())
        if 80 < level < 175:
            raise ValueError(f"block {block} is neither black nor white: {level:.0f}")
        bit = int(level > 127)
        if block in CORNERS:
            if CORNERS[block] != bit:
                raise ValueError("the picture is not upright")
        else:
            number |= bit << BIT_BLOCKS.index(block)
    return number


@contextmanager
def _usual_priority() -> Iterator[None]:
    # Root's SVT-AV1 gives the thread that opens it real-time priority. All that is started later would inherit it, and
    # two busy decoders would leave nobody else a processor.
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def draw_clip(
    path: Path,
    *,
    frames: int = 50,
    rate: Fraction | int = 25,
    times: Sequence[Fraction | float] | None = None,
    start: Fraction | float = 0,
    first_number: int = 0,
    codec: str = "libx264",
    size: tuple[int, int] = (160, 96),
    pixel_format: str | None = None,
    gop: int = 12,
    b_frames: int = 2,
    options: Mapping[str, str] | None = None,
    rotation: int = 0,
    colors: Mapping[str, int] | None = None,
    audio: bool = False,
    container: str | None = None,
    container_options: Mapping[str, str] | None = None,
) -> Clip:
    """Draw a clip.

    Args:
        path: where; its suffix says which container.
        frames: how many pictures.
        rate: pictures a second.
        times: instead of both, when each picture is shown (seconds from the first).
        start: when the first is shown by the container's clock.
        first_number: what the first carries.
        codec: name of the encoder.
        size: width and height of the upright picture.
        pixel_format: of the encoder; none: what is usual for it.
        gop: pictures from one key frame to the next.
        b_frames: how many may stand between two others, where the encoder has such.
        options: more for the encoder.
        rotation: clockwise degrees by which a player must turn the stored pictures (MP4 and MOV).
        colors: tags of the encoder, such as `{"color_trc": 16}`.
        audio: add a silent track.
        container: a format's name, where the suffix does not say it.
        container_options: for the muxer.
    """
    rate = Fraction(rate)
    if times is None:
        shown = [Fraction(number) / rate for number in range(frames)]
        time_base = 1 / rate
    else:
        shown = [Fraction(str(time)) if isinstance(time, float) else Fraction(time) for time in times]
        time_base = Fraction(1, 10_000)
    start_ticks = round(Fraction(start) / time_base)
    muxer_options = dict(container_options or {})
    with _usual_priority(), av.open(str(path), "w", format=container, options=muxer_options) as output:
        stream = output.add_stream(codec, rate=rate, options=ENCODER_OPTIONS.get(codec, {}) | dict(options or {}))
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        turned = size[::-1] if rotation % 180 == 90 else size
        context.width, context.height = turned
        context.pix_fmt = pixel_format or PIXEL_FORMATS.get(codec, "yuv420p")
        context.time_base = stream.time_base = time_base
        context.gop_size = gop
        context.thread_count = 1
        if codec in WITH_B_FRAMES:
            context.max_b_frames = b_frames
        for name, value in (colors or {}).items():
            setattr(context, name, value)
        sound = output.add_stream("aac", rate=AUDIO_RATE, layout="mono") if audio else None
        for number, time in enumerate(shown):
            upright = paint(first_number + number, width=size[0], height=size[1])
            stored = np.ascontiguousarray(np.rot90(upright, rotation // 90))
            picture = av.VideoFrame.from_ndarray(stored, format="rgb24").reformat(format=context.pix_fmt)
            picture.pts, picture.time_base = start_ticks + round(time / time_base), time_base
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
        if sound is not None:
            add_silence(output, sound, seconds=float(shown[-1]) + 1)
    if rotation:
        turn(path, rotation)
    return Clip(path, tuple(shown))


def add_silence(output: Any, sound: Any, *, seconds: float) -> None:
    """Encode and write silence."""
    samples = 1024
    for block in range(int(seconds * AUDIO_RATE / samples)):
        silence = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.float32), format="fltp", layout="mono")
        silence.sample_rate, silence.pts = AUDIO_RATE, block * samples
        output.mux(sound.encode(silence))
    output.mux(sound.encode(None))


def turn(path: Path, degrees: int) -> None:
    """Say in an MP4 that players must turn its pictures clockwise by so many degrees."""
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees % 360]
    set_matrix(path, [cosine, sine, 0, -sine, cosine, 0, 0, 0, 1])


def set_matrix(path: Path, matrix: Sequence[float]) -> None:
    """Write the display matrix of an MP4's first track."""
    data = bytearray(path.read_bytes())
    track_header = data.index(b"tkhd") + 4
    # Version 0: flags 4, times 8, id 4, reserved 4, duration 4, reserved 8, layer 2, group 2, volume 2, reserved 2.
    place = track_header + 40
    for number, value in enumerate(matrix):
        ticks = round(value * (2**30 if number % 3 == 2 else 2**16))
        data[place + 4 * number : place + 4 * number + 4] = (ticks % 2**32).to_bytes(4, "big")
    path.write_bytes(data)
