"""What runs where the video is parsed: probe and pictures, joined from video, selection and image.

Inside the jail this is all there is; without a jail the same functions run in the caller's process.
"""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import cv2
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from fotograma import __version__, image
from fotograma.errors import InputError, LimitExceeded
from fotograma.jail import Source
from fotograma.limits import Limits
from fotograma.packets import Timeline
from fotograma.plan import Count, Plan
from fotograma.readers import BorrowedReader, DescriptorReader, OffsetReader
from fotograma.records import Facts, Finished, Picture, Warned
from fotograma.selection import Choice, Selector
from fotograma.video import Damage, Frame, Reader, Video, open_video

ENGINE = {
    "fotograma": __version__,
    "av": av.__version__,
    "ffmpeg": av.ffmpeg_version_info,
    "opencv": cv2.__version__,
}


def probe(reader: Reader, *, limits: Limits, stream: int | None = None) -> Facts:
    """What the video is, its packet index, and the time of its first frame.

    Raises:
        InputError: it is no video, or not one frame of it can be decoded.
        LimitExceeded: it is larger than `limits`.
    """
    with open_video(reader, limits=limits, stream=stream) as video:
        index = video.packet_index()
    with open_video(reader, limits=limits, stream=stream) as video:
        first = next(video.frames(), None)
        if first is None:
            raise InputError("NO_FRAMES")
        timeline = index.timeline(first_pts=first.pts)
        return Facts(
            media=_media(video, first, timeline),
            engine=ENGINE,
            time_base=video.time_base,
            first_pts=first.pts,
            packet_index=index.to_bytes(),
        )


def pictures(
    reader: Reader,
    plan: Plan,
    *,
    limits: Limits,
    facts: Facts,
    start_pts: int | None = None,
    end_pts: int | None = None,
) -> Iterator[Picture | Warned | Finished]:
    """The frames that `plan` wants with start_pts <= pts < end_pts, encoded, in order; then warnings; then the end.

    Raises:
        InputError: not one frame can be decoded.
        LimitExceeded: there are more frames than `limits` allows.
    """
    end_ticks = _end_ticks(reader, limits=limits, plan=plan, facts=facts) if isinstance(plan.mode, Count) else None
    selector = Selector(plan, time_base=facts.time_base, end_ticks=end_ticks)
    given = 0
    targets_left_out = 0
    last_end = facts.first_pts
    with open_video(reader, limits=limits, stream=plan.stream) as video:
        for frame, choice in _chosen(video, selector, first_pts=facts.first_pts):
            last_end = frame.pts + (frame.picture.duration or video.usual_duration())
            if start_pts is not None and frame.pts < start_pts:
                continue
            if (end_pts is not None and frame.pts >= end_pts) or given == plan.limit:
                break
            if given == limits.max_frames:
                raise LimitExceeded("LIMIT_FRAMES", f"allowed are {limits.max_frames}")
            targets_left_out += choice.targets_left_out
            yield _picture(frame, choice, plan)
            given += 1
        if not video.damage.frames_given:
            raise InputError("NO_FRAMES")
        yield from _warnings(video.damage)
        if targets_left_out:
            yield Warned("TARGETS_CUT", f"{targets_left_out} targets are not listed")
        if selector.targets_past_the_end and (plan.limit is None or given < plan.limit):
            end = float((last_end - facts.first_pts) * facts.time_base)
            yield Warned("PAST_THE_END", f"{selector.targets_past_the_end} times from {end:.3f} s on")
        yield Finished(video.damage.frames_given)


def _chosen(video: Video, selector: Selector, *, first_pts: int) -> Iterator[tuple[Frame, Choice]]:
    """Decode all frames one after another and pass on those that are wanted, with why."""
    frames: dict[int, Frame] = {}
    frame = None
    for frame in video.frames():
        frames[frame.index] = frame
        for choice in selector.feed(frame.pts - first_pts, key_frame=frame.key_frame):
            yield frames[choice.index], choice
        if selector.done:
            return
        frames = {index: kept for index, kept in frames.items() if index == selector.undecided}
    if frame is not None:
        end_ticks = frame.pts - first_pts + (frame.picture.duration or video.usual_duration())
        for choice in selector.finish(end_ticks=end_ticks):
            yield frames[choice.index], choice


def _end_ticks(reader: Reader, *, limits: Limits, plan: Plan, facts: Facts) -> int:
    """Where the last decoded frame ends: known only when all are decoded."""
    with open_video(reader, limits=limits, stream=plan.stream) as video:
        end = 0
        for frame in video.frames():
            end = frame.pts - facts.first_pts + (frame.picture.duration or video.usual_duration())
        return end


def _picture(frame: Frame, choice: Choice, plan: Plan) -> Picture:
    encoded = image.encode(frame.picture, plan)
    return Picture(
        pts=frame.pts,
        index=frame.index,
        key_frame=frame.key_frame,
        width=encoded.width,
        height=encoded.height,
        targets=choice.targets,
        data=encoded.data,
        md5=image.checksum(frame.picture) if plan.checksums else None,
    )


def _warnings(damage: Damage) -> Iterator[Warned]:
    if damage.read_errors or damage.ends_early:
        yield Warned("TRUNCATED", f"{damage.frames_given} frames could be decoded")
    if damage.packets_failed or damage.frames_corrupt:
        yield Warned(
            "DAMAGED", f"{damage.packets_failed} packets failed, {damage.frames_corrupt} frames are marked as corrupt"
        )
    if damage.frames_without_time:
        yield Warned("MISSING_TIMES", f"{damage.frames_without_time} frames")
    if damage.frames_held:
        yield Warned("BACKWARD_TIMES", f"{damage.frames_held} frames")
    if damage.frames_missing > 0:
        yield Warned("PACKETS_WITHOUT_FRAMES", f"{damage.packets_seen} packets gave {damage.frames_given} frames")
    if len(damage.sizes) > 1:
        yield Warned("SIZE_CHANGES", ", ".join(f"{width} x {height}" for width, height in sorted(damage.sizes)))


def _media(video: Video, first: Frame, timeline: Timeline) -> dict[str, Any]:
    """The manifest's `source`, but for name and bytes, which the child does not know."""
    context = video.stream.codec_context
    picture = first.picture
    ratio = video.stream.sample_aspect_ratio
    rate = video.stream.average_rate
    return {
        "container": video.container.format.name,
        "codec": context.codec.canonical_name,
        "profile": context.profile,
        "pixel_format": picture.format.name,
        "width": picture.width,
        "height": picture.height,
        "rotation": image.quarter_turns(picture) * 90,
        "sample_aspect_ratio": str(ratio or Fraction(1)),
        "frame_rate": str(rate) if rate else None,
        "variable_frame_rate": timeline.is_variable,
        "duration_seconds": float(round(timeline.end_ticks * timeline.time_base, 9)),
        "frames": len(timeline.ticks),
        "first_pts": first.pts,
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
        self._facts: Facts | None = None
        self._descriptor: int | None = None
        self._reader: OffsetReader
        if isinstance(source, Path | int):
            self._descriptor = (
                os.dup(source) if isinstance(source, int) else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
            )
            self._reader = DescriptorReader(self._descriptor)
        else:
            self._reader = BorrowedReader(source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def probe(self, *, stream: int | None = None) -> Facts:
        """What the video is."""
        self._facts = probe(self._reader, limits=self._limits, stream=stream)
        return self._facts

    def pictures(
        self, plan: Plan, *, start_pts: int | None = None, end_pts: int | None = None
    ) -> Iterator[Picture | Warned | Finished]:
        """The chosen pictures in order, then warnings, then the end."""
        facts = self._facts or self.probe(stream=plan.stream)
        return pictures(self._reader, plan, limits=self._limits, facts=facts, start_pts=start_pts, end_pts=end_pts)
