"""Clips of given pictures: flat patches of known colours, or anything that is painted as an array."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

from tests.clips import ENCODER_OPTIONS, Pixels

Rgb = tuple[float, float, float]
"""Red, green, blue from 0 to 1."""
Exact = npt.NDArray[np.float64]

# Red's and blue's share of the luma, by H.273's number of the matrix.
SHARES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
LIMITED, FULL = 1, 2
PATCH = 32


@dataclass(frozen=True)
class Colors:
    """How colours become numbers."""

    matrix: int = 1
    full: bool = False
    depth: int = 8

    def codes(self, color: Rgb) -> tuple[int, int, int]:
        """Y, Cb and Cr of a colour."""
        red_share, blue_share = SHARES[self.matrix]
        red, green, blue = color
        luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
        chroma = (blue - luma) / (2 - 2 * blue_share), (red - luma) / (2 - 2 * red_share)
        (black, luma_span), (middle, chroma_span) = self._spans
        numbers = [black + luma_span * luma, *(middle + chroma_span * value for value in chroma)]
        coded, blueness, redness = (min(max(round(number), 0), 2**self.depth - 1) for number in numbers)
        return coded, blueness, redness

    def color(self, codes: tuple[int, int, int]) -> Rgb:
        """The colour that Y, Cb and Cr stand for."""
        red_share, blue_share = SHARES[self.matrix]
        (black, luma_span), (middle, chroma_span) = self._spans
        luma = (codes[0] - black) / luma_span
        blueness, redness = ((code - middle) / chroma_span for code in codes[1:])
        red = luma + (2 - 2 * red_share) * redness
        blue = luma + (2 - 2 * blue_share) * blueness
        return red, (luma - red_share * red - blue_share * blue) / (1 - red_share - blue_share), blue

    @property
    def _spans(self) -> tuple[tuple[float, float], tuple[float, float]]:
        finer = 2 ** (self.depth - 8)
        most = 2**self.depth - 1
        return (
            ((0, most), (128 * finer, most)) if self.full else ((16 * finer, 219 * finer), (128 * finer, 224 * finer))
        )


def flat(codes: Sequence[Sequence[int]], pixel_format: str, *, height: int = PATCH) -> av.VideoFrame:
    """Patches side by side, each with its code for each component of a planar format."""
    picture = av.VideoFrame(PATCH * len(codes), height, pixel_format)
    deep = picture.format.components[0].bits > 8
    for number, plane in enumerate(picture.planes):
        row = np.repeat([code[number] for code in codes], plane.width // len(codes)).astype("<u2" if deep else "u1")
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : row.nbytes] = np.frombuffer(row.tobytes(), np.uint8)
        plane.update(rows.tobytes())
    return picture


def middles(pixels: Pixels, patches: int) -> list[list[float]]:
    """The mean of each patch's middle, where neighbours can't be felt; takes blue first, gives red first."""
    height, width = pixels.shape[:2]
    step = width / patches
    return [
        pixels[height // 4 : -height // 4, round(step * (patch + 0.35)) : round(step * (patch + 0.65)), 2::-1]
        .mean(axis=(0, 1))
        .tolist()
        for patch in range(patches)
    ]


def write_clip(
    path: Path,
    pictures: Iterable[av.VideoFrame | Pixels],
    *,
    codec: str = "ffv1",
    pixel_format: str | None = None,
    rate: Fraction | int = 25,
    times: Sequence[Fraction] | None = None,
    options: Mapping[str, str] | None = None,
    tags: Mapping[str, Any] | None = None,
) -> Path:
    """Write a clip of these pictures; arrays are red, green, blue.

    Args:
        path: its suffix says which container.
        pictures: all of one form.
        codec: name of the encoder.
        pixel_format: of the encoder; none: that of the pictures.
        rate: pictures a second.
        times: when each is shown, instead, in whole milliseconds.
        options: more for the encoder.
        tags: attributes of the encoder, such as `{"colorspace": 1}`.
    """
    time_base = 1 / Fraction(rate) if times is None else Fraction(1, 1000)
    with av.open(str(path), "w") as output:
        stream: VideoStream | None = None
        for number, given in enumerate(pictures):
            picture = given if isinstance(given, av.VideoFrame) else av.VideoFrame.from_ndarray(given, format="rgb24")
            if stream is None:
                every = ENCODER_OPTIONS.get(codec, {}) | dict(options or {})
                stream = output.add_stream(codec, rate=Fraction(rate), options=every)
                assert isinstance(stream, VideoStream)
                context = stream.codec_context
                context.width, context.height = picture.width, picture.height
                context.pix_fmt = pixel_format or picture.format.name
                context.time_base = stream.time_base = time_base
                context.thread_count = 1
                for name, value in (tags or {}).items():
                    setattr(context, name, value)
            if picture.format.name != stream.codec_context.pix_fmt:
                picture = picture.reformat(format=stream.codec_context.pix_fmt)
            for tag in ("colorspace", "color_range", "color_trc", "color_primaries"):
                if tag in (tags or {}):
                    setattr(picture, tag, (tags or {})[tag])
            picture.time_base = time_base
            picture.pts = number if times is None else round(times[number] / time_base)
            output.mux(stream.encode(picture))
        assert stream is not None
        output.mux(stream.encode(None))
    return path
