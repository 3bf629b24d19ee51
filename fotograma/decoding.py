"""What runs where the video is parsed: probe and pictures, joined from video, selection and image.

Inside the jail this is all there is; without a jail the same functions run in the caller's process.
"""

import os
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import av.logging
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from fotograma import __version__, byte_ranges, linear, sparse
from fotograma.decoders import Decoders
from fotograma.errors import FotogramaError, InputError, LimitExceeded
from fotograma.limits import Limits
from fotograma.packets import PacketIndex, Timeline
from fotograma.plan import Plan
from fotograma.readers import BorrowedReader, DescriptorReader, Expecting, OffsetReader, Source
from fotograma.records import Facts, Finished, Picture, Warned
from fotograma.span_decoder import Unfit
from fotograma.video import Video, open_video, quarter_turns
from fotograma.work import Probed, Work


def _opencv_version() -> str:
    # By the name of its folder: loading it, or the library that reads such folders, would cost every start its time.
    packages = Path(av.__file__).parents[1]
    folders = packages.glob("opencv_python_headless-*.dist-info")
    return next((folder.stem.partition("-")[2] for folder in folders), "unknown")


ENGINE = {
    "fotograma": __version__,
    "av": av.__version__,
    "ffmpeg": av.ffmpeg_version_info,
    "opencv": _opencv_version(),
}


def probe(
    reader: OffsetReader, *, limits: Limits, stream: int | None = None, index: PacketIndex | None = None
) -> Probed:
    """What the video is, its packet index (unless that is known), and the time of its first frame.

    Raises:
        InputError: it is no video, or not one frame of it can be decoded.
        LimitExceeded: it is larger than `limits`.
    """
    decoders = Decoders(reader, limits=limits, stream=stream, index=index)
    try:
        picture = decoders.first()
        if picture is not None and picture.pts is not None:
            facts = _facts(decoders, decoders.video, picture, first_pts=picture.pts)
        else:
            with open_video(reader.clone(), limits=limits, stream=stream) as video:
                frame = next(video.frames(), None)
                if frame is None:
                    raise _why_no_frames(reader, limits=limits, stream=stream)
                facts = _facts(decoders, video, frame.picture, first_pts=frame.pts)
        return Probed(facts, decoders, first=picture)
    except BaseException:
        decoders.close()
        raise


def _facts(decoders: Decoders, video: Video, first: av.VideoFrame, *, first_pts: int) -> Facts:
    """What is told of a video whose decoder gave the first picture."""
    index = decoders.index
    return Facts(
        media=_media(video, first, index.timeline(first_pts=first_pts)),
        engine=ENGINE,
        time_base=video.time_base,
        first_pts=first_pts,
        packet_index=index.to_bytes(),
    )


def _why_no_frames(reader: OffsetReader, *, limits: Limits, stream: int | None) -> FotogramaError:
    """Some decoders learn the size only from the packets, and what is too large they tell in the log alone."""
    with open_video(reader.clone(), limits=limits, stream=stream) as video, av.logging.Capture() as log:
        av.logging.set_level(av.logging.ERROR)
        next(video.frames(), None)
        av.logging.set_level(None)
    if any(message.startswith("Picture size ") for _, _, message in log):
        return LimitExceeded("LIMIT_PIXELS", f"allowed are {limits.max_pixels} pixels")
    return InputError("NO_FRAMES")


def pictures(work: Work) -> Generator[Picture | Warned | Finished, None, None]:
    """The frames that the plan wants, encoded, in order; then warnings; then the end.

    Where the packet index is regular, only what is needed is decoded (`fotograma.sparse`); at the first thing that does
    not fit, and for all other videos, everything is decoded from the beginning (`fotograma.linear`).

    Raises:
        InputError: not one frame can be decoded.
        LimitExceeded: there are more frames than the limits allow.
    """
    given = 0
    if sparse.fits(work):
        try:
            for record in sparse.pictures(work):
                given += isinstance(record, Picture)
                yield record
        except Unfit:
            pass
        else:
            return
    yield from linear.pictures(work, skip=given)


def _media(video: Video, picture: av.VideoFrame, timeline: Timeline) -> dict[str, Any]:
    """The manifest's `source`, but for name and bytes, which the child does not know."""
    context = video.stream.codec_context
    ratio = video.stream.sample_aspect_ratio or context.sample_aspect_ratio
    rate = video.stream.average_rate
    return {
        "container": video.container.format.name,
        "codec": context.codec.canonical_name,
        "profile": context.profile,
        "pixel_format": picture.format.name,
        "width": picture.width,
        "height": picture.height,
        "rotation": quarter_turns(picture) * 90,
        "sample_aspect_ratio": str(ratio or Fraction(1)),
        "frame_rate": str(rate) if rate else None,
        "variable_frame_rate": timeline.is_variable,
        "duration_seconds": float(round(timeline.end_ticks * timeline.time_base, 9)),
        "frames": len(timeline.ticks),
        "first_pts": timeline.first_pts,
        "time_base": str(video.time_base),
        "bit_depth": max(component.bits for component in picture.format.components),
        "color": {
            "primaries": _name(ColorPrimaries, picture.color_primaries),
            "transfer": _name(ColorTrc, picture.color_trc),
            "matrix": _name(Colorspace, picture.colorspace),
            "range": _name(ColorRange, picture.color_range),
        },
        "stream": video.stream.index,
        "streams": [
            {"index": other.index, "type": other.type, "codec": other.codec_context and other.codec_context.name}
            for other in video.container.streams
        ],
    }


def _name(kind: Any, value: int) -> str | None:
    """The name of a colour tag; none where it is untagged or unheard of."""
    return next((str(member.name) for member in kind if member == value and member.name != "UNSPECIFIED"), None)


class OpenDecoder:
    """Decodes in this process what a `Jail` would decode in its own: for videos that are trusted."""

    def __init__(self, source: Source, *, limits: Limits) -> None:
        self._limits = limits
        self._probed: Probed | None = None
        self._descriptor: int | None = None
        self._expecting = source if isinstance(source, Expecting) else None
        self._reader: OffsetReader
        if isinstance(source, Path | int):
            self._descriptor = (
                os.dup(source) if isinstance(source, int) else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
            )
            self._reader = DescriptorReader(self._descriptor)
        else:
            self._reader = source if isinstance(source, OffsetReader) else BorrowedReader(source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._probed is not None:
            self._probed.decoders.close()
        if self._descriptor is not None:
            os.close(self._descriptor)

    def probe(self, *, stream: int | None = None, packet_index: bytes | None = None) -> Facts:
        """What the video is; `packet_index` where it was probed before."""
        index = None if packet_index is None else PacketIndex.from_bytes(packet_index)
        if self._probed is not None:
            self._probed.decoders.close()
        self._probed = probe(self._reader, limits=self._limits, stream=stream, index=index)
        return self._probed.facts

    def pictures(
        self,
        plan: Plan,
        *,
        start_pts: int | None = None,
        end_pts: int | None = None,
        thumbnails: bool = False,
        raw: bool = False,
    ) -> Generator[Picture | Warned | Finished, None, None]:
        """The chosen pictures in order, then warnings, then the end."""
        if self._probed is None:
            self.probe(stream=plan.stream)
        assert self._probed is not None
        if self._expecting is not None:
            size, facts = self._expecting.size, self._probed.facts
            self._expecting.expect(byte_ranges.needed(plan, facts, size=size, start_pts=start_pts, end_pts=end_pts))
        return pictures(Work(self._reader, self._probed, plan, self._limits, start_pts, end_pts, thumbnails, raw))
