"""From a decoded picture to a picture file: upright, in the right colours, encoded."""

import hashlib
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import simplejpeg
from av.video.reformatter import ColorRange, Colorspace

from fotograma.plan import Plan

Pixels = npt.NDArray[np.uint8]

# Untagged video of at least so many lines is taken for BT.709, as most players do; below, for BT.601.
HD_LINES = 720
UNTAGGED = 2


@dataclass(frozen=True)
class Encoded:
    """A picture file and its size in pixels."""

    data: bytes
    width: int
    height: int


def encode(picture: av.VideoFrame, plan: Plan) -> Encoded:
    """The file of a decoded picture as the plan wants it."""
    pixels = upright(rgb(picture), rotation=quarter_turns(picture))
    height, width = pixels.shape[:2]
    return Encoded(jpeg(pixels, quality=plan.quality), width, height)


def rgb(picture: av.VideoFrame) -> Pixels:
    """The picture as full-range RGB, shape (height, width, 3), its own matrix and range honoured."""
    converted = picture.reformat(
        format="rgb24",
        src_colorspace=matrix(picture),
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG if picture.color_range == ColorRange.JPEG else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return np.asarray(converted.to_ndarray(), np.uint8)


def matrix(picture: av.VideoFrame) -> int:
    """The YUV matrix of a picture, guessed from its lines where it carries none."""
    if picture.colorspace != UNTAGGED:
        return picture.colorspace
    return Colorspace.ITU709 if picture.height >= HD_LINES else Colorspace.ITU601


def quarter_turns(picture: av.VideoFrame) -> int:
    """How often the picture must be turned by 90 degrees, counter-clockwise; a garbage matrix counts as none."""
    degrees = picture.rotation
    return degrees // 90 % 4 if degrees % 90 == 0 else 0


def upright(pixels: Pixels, *, rotation: int) -> Pixels:
    """The pixels turned by so many quarters, counter-clockwise."""
    return np.ascontiguousarray(np.rot90(pixels, rotation)) if rotation else pixels


def jpeg(pixels: Pixels, *, quality: int) -> bytes:
    """A baseline JPEG with 4:2:0 chroma."""
    return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="420"))


def checksum(picture: av.VideoFrame) -> str:
    """MD5 of the picture in its own pixel format and without padding, as `ffmpeg -f framemd5` prints it."""
    digest = hashlib.md5(usedforsecurity=False)
    for plane, row_bytes in zip(picture.planes, _row_bytes(picture), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8, count=plane.height * plane.line_size)
        digest.update(np.ascontiguousarray(rows.reshape(plane.height, plane.line_size)[:, :row_bytes]).data)
    return digest.hexdigest()


def _row_bytes(picture: av.VideoFrame) -> list[int]:
    """Bytes of a row of each plane, without padding."""
    components: Any = picture.format.components
    if len(picture.planes) == 1:
        bits = picture.format.padded_bits_per_pixel
        return [(picture.width * bits + 7) // 8]
    sample_bytes = (components[0].bits + 7) // 8
    widths = [plane.width * sample_bytes for plane in picture.planes]
    if len(picture.planes) < len(components):
        # NV12 and its kin: the second plane holds both chroma samples.
        widths[1] *= 2
    return widths
