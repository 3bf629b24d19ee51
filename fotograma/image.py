"""From a decoded picture to a picture file: upright, in the right colours, sized, encoded.

A JPEG whose size stays is made straight from the decoder's planes, after their matrix and range became those of JFIF
(BT.601, full range) in one exact step; everything else goes over RGB.
"""

import threading
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import simplejpeg
from av.filter import Graph
from av.video.reformatter import ColorRange

from fotograma import tone
from fotograma.errors import LimitExceeded
from fotograma.limits import Limits
from fotograma.plan import Crop, Plan
from fotograma.video import quarter_turns

Pixels = npt.NDArray[np.uint8]
"""Shape (height, width, 3) or (height, width, 4), in the order blue, green, red, alpha, or one plane."""

# Untagged video of at least so many lines is taken for BT.709, as most players do; below, for BT.601.
HD_LINES = 720
JPEG_MOST_SIDE = 65_500
THUMBNAIL_SIDE = 160
THUMBNAIL_QUALITY = 75

# ITU-T H.273 matrix coefficients, in the words of FFmpeg's `colorspace` and `scale` filters.
_UNTAGGED_MATRIX = 2
_MATRICES = {
    1: ("bt709", "bt709"),
    4: ("fcc", "fcc"),
    5: ("bt470bg", "bt601"),
    6: ("smpte170m", "bt601"),
    7: ("smpte240m", "smpte240m"),
    9: ("bt2020ncl", "bt2020"),
    10: ("bt2020ncl", "bt2020"),
}
# What the `colorspace` filter takes, and what it then gives, the sampling of chroma kept.
_PLANAR = {
    f"yuv{letter}{sampling}p{depth}": f"yuv{sampling}p"
    for letter in ("", "j")
    for sampling in ("420", "422", "444")
    for depth in ("", "10le", "12le")
}
_FROM_LIMITED: Pixels = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)
# Formats that can keep transparency.
_WITH_ALPHA = frozenset({"png", "webp", "avif"})

# Looks every colour up in a table of tones.
HALD = "haldclut=clut=first"


@dataclass(frozen=True)
class Encoded:
    """A picture file and its size in pixels."""

    data: bytes
    width: int
    height: int


def encode(
    picture: av.VideoFrame,
    plan: Plan,
    *,
    sample_aspect_ratio: Fraction | None = None,
    raw: bool = False,
    max_pixels: int = Limits.max_pixels,
) -> Encoded:
    """The file of a decoded picture as the plan wants it.

    Args:
        picture: as the decoder gives it.
        plan: how it is written.
        sample_aspect_ratio: of the stream's pixels; only asked for where the plan wants square ones.
        raw: give the pixels themselves, as rows of red, green, blue bytes.
        max_pixels: of a picture that is scaled.

    Raises:
        LimitExceeded: it would be larger than that, or than its format holds.
    """
    hdr = plan.tone_map and tone.is_hdr(picture)
    turns = quarter_turns(picture)
    stretched = plan.square_pixels and sample_aspect_ratio not in (None, 0, 1)
    resized = stretched or plan.crop or plan.width or plan.height
    # Chroma that is halved across only would be halved down once turned, which JPEG encoders refuse.
    turnable = turns % 2 == 0 or "422" not in picture.format.name
    plain = plan.format == "jpg" and not (resized or hdr or raw)
    if plain and turnable and (planes := jfif_planes(picture)) is not None:
        turned = [_turned(plane, turns) for plane in planes]
        height, width = turned[0].shape
        _check_jpeg(turned[0])
        return Encoded(bytes(simplejpeg.encode_jpeg_yuv_planes(*turned, quality=plan.quality)), width, height)
    pixels = _turned(rgb(picture, alpha=plan.format in _WITH_ALPHA and not raw, hdr=hdr), turns)
    if resized:
        from fotograma.pixels import cropped, fitted, square

        if plan.crop is not None:
            pixels = cropped(pixels, plan.crop)
        if stretched and sample_aspect_ratio is not None:
            pixels = square(
                pixels, 1 / sample_aspect_ratio if turns % 2 else sample_aspect_ratio, max_pixels=max_pixels
            )
        pixels = fitted(pixels, width=plan.width, height=plan.height, max_pixels=max_pixels)
    height, width = pixels.shape[:2]
    if raw:
        return Encoded(pixels[..., ::-1].tobytes(), width, height)
    if plan.format == "jpg":
        return Encoded(_jpeg(pixels, quality=plan.quality), width, height)
    from fotograma.pixels import encoded

    return Encoded(encoded(pixels, plan.format, quality=plan.quality), width, height)


def thumbnail(picture: av.VideoFrame, *, crop: Crop | None = None) -> bytes:
    """A JPEG of at most 160 pixels a side, upright, of what the plan shows of the picture."""
    hdr = tone.is_hdr(picture)
    if crop is not None:
        from fotograma.pixels import cropped, fitted

        part = cropped(_turned(rgb(picture, alpha=False, hdr=hdr), quarter_turns(picture)), crop)
        side = min(THUMBNAIL_SIDE, max(part.shape[:2]))
        return _jpeg(fitted(part, width=side, height=side, max_pixels=side * side), quality=THUMBNAIL_QUALITY)
    scale = THUMBNAIL_SIDE / max(picture.width, picture.height, THUMBNAIL_SIDE)
    width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    # Made small first: what follows then costs next to nothing.
    pixels = rgb(picture.reformat(width=width, height=height, interpolation="AREA"), alpha=False, hdr=hdr)
    return _jpeg(_turned(pixels, quarter_turns(picture)), quality=THUMBNAIL_QUALITY)


def jfif_planes(picture: av.VideoFrame) -> list[Pixels] | None:
    """Y, Cb and Cr as JFIF wants them, or None where only RGB leads there."""
    name = picture.format.name
    if name not in _PLANAR or _matrix(picture) not in _MATRICES:
        return None
    # The filter refuses pictures whose chroma has a lonely column or row of its own.
    if picture.width < 8 or picture.height < 8 or picture.width % 2 or picture.height % 2:
        return None
    full = _is_full_range(picture)
    space = _MATRICES[_matrix(picture)][0]
    if full and space in ("bt470bg", "smpte170m") and _PLANAR[name] == name.replace("j", ""):
        return [_plane(picture, number) for number in range(3)]
    # Primaries and transfer are named alike on both sides, so that only matrix, range and depth change.
    converted = _graph(
        picture,
        f"colorspace=ispace={space}:iprimaries=bt709:itrc=bt709:irange={'pc' if full else 'tv'}:space=bt470bg:"
        f"primaries=bt709:trc=bt709:range=pc:format={_PLANAR[name]}",
    ).convert(picture)
    return [_plane(converted, number) for number in range(3)]


def rgb(picture: av.VideoFrame, *, alpha: bool, hdr: bool) -> Pixels:
    """The picture as full-range blue, green, red (and alpha, where it has one and it is wanted)."""
    transparent = alpha and any(component.is_alpha for component in picture.format.components)
    matrix = _MATRICES.get(_matrix(picture), ("", "bt601"))[1]
    exactly = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    in_range = "pc" if _is_full_range(picture) else "tv"
    filters = [f"scale=in_color_matrix={matrix}:in_range={in_range}:out_range=pc:flags={exactly}"]
    if hdr:
        # The filter pairs pictures with the table by time, and drops what comes out of order.
        filters += ["setpts=N", "format=rgb48le", HALD]
    converted = _graph(picture, ",".join([*filters, f"format={'bgra' if transparent else 'bgr24'}"])).convert(picture)
    channels = 4 if transparent else 3
    pixels = _plane(converted, 0, bytes_per_pixel=channels).reshape(picture.height, picture.width, channels)
    # The scaler takes every grey format for full range, whatever it is told.
    return _FROM_LIMITED[pixels] if in_range == "tv" and picture.format.name.startswith("gray") else pixels


def checksum(picture: av.VideoFrame) -> str:
    """MD5 of the picture in its own pixel format and without padding, as `ffmpeg -f framemd5` prints it."""
    # Here, because it brings a library of 4 MB along, and few ask for it.
    import hashlib

    digest = hashlib.md5(usedforsecurity=False)
    for plane, row_bytes in zip(picture.planes, _row_bytes(picture), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8, count=plane.height * plane.line_size)
        digest.update(np.ascontiguousarray(rows.reshape(plane.height, plane.line_size)[:, :row_bytes]).data)
    return digest.hexdigest()


class _Filter:
    """A filter graph for pictures of one form."""

    def __init__(self, picture: av.VideoFrame, filters: str) -> None:
        self._graph = Graph()
        self._graph.threads = 1
        last = pictures = self._graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 1000)
        )
        for one in filters.split(","):
            name, _, arguments = one.partition("=")
            following = self._graph.add(name, arguments)
            last.link_to(following)
            if one == HALD:
                table = av.VideoFrame.from_ndarray(tone.hald(picture.color_trc), format="rgb48le")
                tables = self._graph.add_buffer(
                    width=table.width, height=table.height, format=table.format, time_base=Fraction(1, 1000)
                )
                tables.link_to(following, 0, 1)
            last = following
        last.link_to(self._graph.add("buffersink"))
        self._graph.configure()
        if HALD in filters:
            table.pts = 0
            tables.push(table)
            tables.push(None)
        self._pictures = pictures

    def convert(self, picture: av.VideoFrame) -> av.VideoFrame:
        self._pictures.push(picture)
        converted = self._graph.pull()
        assert isinstance(converted, av.VideoFrame)
        return converted


_graphs = threading.local()
_GRAPHS_MOST = 8


def _graph(picture: av.VideoFrame, filters: str) -> _Filter:
    """This thread's graph for pictures of this form; building one costs as much as a small picture."""
    known: dict[Any, _Filter] = _graphs.__dict__.setdefault("known", {})
    tags = picture.colorspace, picture.color_range, picture.color_trc
    form = filters, picture.format.name, picture.width, picture.height, *tags
    if form not in known:
        if len(known) >= _GRAPHS_MOST:
            known.clear()
        known[form] = _Filter(picture, filters)
    return known[form]


def _matrix(picture: av.VideoFrame) -> int:
    if picture.colorspace != _UNTAGGED_MATRIX:
        return picture.colorspace
    return 1 if picture.height >= HD_LINES else 6


def _is_full_range(picture: av.VideoFrame) -> bool:
    return picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj") or picture.format.is_rgb


def _plane(picture: av.VideoFrame, number: int, *, bytes_per_pixel: int = 1) -> Pixels:
    plane = picture.planes[number]
    rows = np.frombuffer(memoryview(plane), np.uint8, count=plane.height * plane.line_size)
    return np.ascontiguousarray(rows.reshape(plane.height, plane.line_size)[:, : plane.width * bytes_per_pixel])


def _turned(pixels: Pixels, turns: int) -> Pixels:
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _check_jpeg(pixels: Pixels) -> None:
    height, width = pixels.shape[:2]
    if max(height, width) > JPEG_MOST_SIDE:
        raise LimitExceeded("LIMIT_PIXELS", f"{width} x {height}, of which a JPEG holds {JPEG_MOST_SIDE} a side")


def _jpeg(pixels: Pixels, *, quality: int) -> bytes:
    _check_jpeg(pixels)
    return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="BGR", colorsubsampling="420"))


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
