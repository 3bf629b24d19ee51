"""The path that holds for every video: decode all of it from the beginning, on one thread."""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from fotograma.errors import InputError
from fotograma.plan import Count
from fotograma.records import Finished, Picture, Warned
from fotograma.selection import Choice, Selector
from fotograma.video import Damage, Frame, Video, open_video, told_sizes
from fotograma.work import Work

if TYPE_CHECKING:
    from fotograma.looks import Seen


def pictures(work: Work, *, skip: int) -> Iterator[Picture | Warned | Finished]:
    """The pictures behind the first `skip` ones (which somebody else has given), then warnings, then the end.

    Raises:
        InputError: not one frame can be decoded.
        LimitExceeded: there are more frames than the limits allow.
    """
    end_ticks = _end_ticks(work) if isinstance(work.plan.mode, Count) else None
    selector = Selector(work.plan, time_base=work.facts.time_base, end_ticks=end_ticks)
    targets_left_out = 0
    with open_video(work.reader.clone(), limits=work.limits, stream=work.plan.stream) as video:
        found = work.seen(_seen(video, selector, work)) if work.looks else _chosen_pictures(video, selector, work)
        for number, picture in enumerate(work.within_limits(found)):
            targets_left_out += picture.targets_left_out
            if number >= skip:
                yield picture
        if not video.damage.frames_given:
            raise InputError("NO_FRAMES")
        yield from _warnings(video.damage, cut_off=work.probed.decoders.cut_off)
        if lost := work.probed.decoders.packets_lost:
            yield Warned("PACKETS_WITHOUT_FRAMES", f"{lost} packets, for want of a clock")
        if targets_left_out:
            yield Warned("TARGETS_CUT", f"{targets_left_out} targets are not listed")
        if video.damage.whole and selector.targets_past_the_end:
            yield Warned("PAST_THE_END", f"{selector.targets_past_the_end} times")
        yield Finished(path="linear")


def _chosen_pictures(video: Video, selector: Selector, work: Work) -> Generator[Picture, None, None]:
    for frame, choice in _chosen(video.frames(), selector, work):
        yield work.picture(frame, choice)


def _seen(video: Video, selector: Selector, work: Work) -> "Iterator[Seen]":
    """The frames that times choose, looked at, each with the look of the one before."""
    from fotograma.looks import Look, Seen, look

    seen: dict[int, Look] = {}

    def watched() -> Iterator[Frame]:
        for frame in video.frames():
            near = (selector.undecided or 0) - 1
            for index in [index for index in seen if index < near and index < frame.index - 1]:
                del seen[index]
            seen[frame.index] = look(frame.picture)
            yield frame

    for frame, choice in _chosen(watched(), selector, work):
        yield Seen(frame, choice, work.seconds(frame.pts), seen[frame.index], seen.get(frame.index - 1))


def _chosen(decoded: Iterator[Frame], selector: Selector, work: Work) -> Iterator[tuple[Frame, Choice]]:
    """Of all frames, one after another, those that times choose."""
    first_pts = work.facts.first_pts
    frames: dict[int, Frame] = {}
    frame = None
    for frame in decoded:
        frames[frame.index] = frame
        for choice in selector.feed(frame.pts - first_pts, key_frame=frame.key_frame):
            if work.holds(frames[choice.index].pts):
                yield frames[choice.index], choice
        frames = {index: kept for index, kept in frames.items() if index == selector.undecided}
        if selector.done or (
            work.end_pts is not None and all(kept.pts >= work.end_pts for kept in (frame, *frames.values()))
        ):
            return
    if frame is not None:
        for choice in selector.finish(end_ticks=frame.end_pts - first_pts):
            if work.holds(frames[choice.index].pts):
                yield frames[choice.index], choice


def _end_ticks(work: Work) -> int:
    """Where the last decoded frame ends: known only when all are decoded."""
    with open_video(work.reader.clone(), limits=work.limits, stream=work.plan.stream) as video:
        end_pts = work.facts.first_pts
        for frame in video.frames():
            end_pts = frame.end_pts
        return end_pts - work.facts.first_pts


def _warnings(damage: Damage, *, cut_off: bool) -> Iterator[Warned]:
    if cut_off or damage.read_errors or damage.ends_early:
        yield Warned("TRUNCATED", "bytes are missing at its end")
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
        yield Warned("SIZE_CHANGES", told_sizes(damage.sizes))
