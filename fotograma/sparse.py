"""The fast path: choose by the packet index, decode only what the chosen frames need, on all cores."""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import av

from fotograma import parallel, spans
from fotograma.parallel import Wanted
from fotograma.plan import Count
from fotograma.records import Finished, Picture, Warned
from fotograma.selection import Choice, Selector, choose, looked_at
from fotograma.span_decoder import Unfit
from fotograma.video import Frame, told_sizes
from fotograma.work import Work

if TYPE_CHECKING:
    from fotograma.looks import Seen

# A JPEG of quality 90 takes about so many bytes a pixel.
BYTES_A_PIXEL = 0.2


def fits(work: Work) -> bool:
    """Whether the video's packets can be believed so far that frames are known before they are decoded."""
    media = work.facts.media
    return spans.are_frames(work.probed.index, work.timeline, codec=media["codec"], container=media["container"])


def pictures(work: Work) -> Iterator[Picture | Warned | Finished]:
    """The chosen pictures, then warnings, then the end.

    Raises:
        Unfit: the video is not what its index says; what was yielded before holds.
        LimitExceeded: there are more frames than the limits allow.
    """
    timeline = work.timeline
    sizes = work.probed.decoders.sizes
    # Of what was asked before, nothing but the first picture's, whichever process decodes this range.
    sizes.clear()
    sizes.add((work.facts.media["width"], work.facts.media["height"]))
    choices = choose(
        work.plan, timeline.ticks, timeline.key_frames, time_base=timeline.time_base, end_ticks=timeline.end_ticks
    )
    if isinstance(work.plan.mode, Count):
        # Its targets hang on where the last frame ends: only the decoder knows whether there is that frame.
        _prove_the_end(work)
    choices = [choice for choice in choices if work.holds(timeline.first_pts + timeline.ticks[choice.index])]
    found = work.seen(_seen(work, choices)) if work.looks else _encoded(work, choices)
    targets_left_out = 0
    for picture in work.within_limits(found):
        targets_left_out += picture.targets_left_out
        yield picture
    if work.probed.decoders.cut_off:
        yield Warned("TRUNCATED", "bytes are missing at its end")
    if targets_left_out:
        yield Warned("TARGETS_CUT", f"{targets_left_out} targets are not listed")
    if lost := work.probed.decoders.packets_lost:
        yield Warned("PACKETS_WITHOUT_FRAMES", f"{lost} packets, for want of a clock")
    if len(sizes) > 1:
        yield Warned("SIZE_CHANGES", told_sizes(sizes))
    if past := _targets_past_the_end(work):
        yield Warned("PAST_THE_END", f"{past} times")
    yield Finished(path="sparse")


def _encoded(work: Work, choices: list[Choice]) -> Generator[Picture, None, None]:
    """The chosen frames, encoded where they are decoded."""
    by_packet = {work.timeline.packets[choice.index]: choice for choice in choices}

    def make(picture: av.VideoFrame, packet: int) -> Picture:
        choice = by_packet[packet]
        return work.picture(_frame(work, picture, choice.index), choice)

    for wanted in _decoded(work, [choice.index for choice in choices], make):
        yield wanted.result


def _seen(work: Work, choices: list[Choice]) -> "Iterator[Seen]":
    """The chosen frames, looked at, each with the look of the one before where that matters."""
    from fotograma.looks import Look, Seen, look

    by_index = {choice.index: choice for choice in choices}
    before: dict[int, Look] = {}

    def make(picture: av.VideoFrame, _: int) -> tuple[av.VideoFrame, Look]:
        return picture, look(picture)

    indexes = looked_at(work.plan, choices)
    for index, wanted in zip(indexes, _decoded(work, indexes, make, held=True), strict=True):
        picture, its_look = wanted.result
        if index in by_index:
            frame = _frame(work, picture, index)
            yield Seen(frame, by_index[index], work.seconds(frame.pts), its_look, before.get(index - 1))
        before = {index: its_look}


def _decoded(
    work: Work, indexes: list[int], make: parallel.Make[parallel.T], *, held: bool = False
) -> Iterator[Wanted[parallel.T]]:
    """The frames of that place in presentation order; `held`: what is made of them keeps the decoded picture."""
    found = spans.spans(work.probed.index, (work.timeline.packets[place] for place in indexes))
    # It takes as much memory as each that a decoder works on.
    first, work.probed.first = work.probed.first, None
    if first is not None and found and found[0].wanted == (work.timeline.packets[0],):
        # The probe has decoded that one, and nothing more of its span is wanted.
        yield Wanted(found[0].wanted[0], make(first, found[0].wanted[0]))
        found = found[1:]
    del first
    if found:
        media = work.facts.media
        picture_bytes = round(media["width"] * media["height"] * (100 if held else BYTES_A_PIXEL))
        yield from parallel.decode(work.probed.decoders, found, make, picture_bytes=picture_bytes)


def _frame(work: Work, picture: av.VideoFrame, index: int) -> Frame:
    timeline = work.timeline
    if bool(picture.key_frame) != timeline.key_frames[index]:
        raise Unfit("the container and the decoder differ on key frames")
    assert picture.pts is not None
    return Frame(picture, index, picture.pts, timeline.key_frames[index], picture.pts + (picture.duration or 0))


def _prove_the_end(work: Work) -> None:
    """Decode the last frame.

    Raises:
        Unfit: it is not there, or does not end where the index says.
    """
    timeline = work.timeline
    last = len(timeline.ticks) - 1
    found = spans.spans(work.probed.index, [timeline.packets[last]])
    for wanted in parallel.decode(work.probed.decoders, found, lambda picture, _: picture.duration, picture_bytes=0):
        if wanted.result and timeline.ticks[last] + wanted.result != timeline.end_ticks:
            raise Unfit("the last frame ends elsewhere")


def _targets_past_the_end(work: Work) -> int:
    """Times asked for that lie behind the last frame."""
    timeline = work.timeline
    selector = Selector(work.plan, time_base=timeline.time_base, end_ticks=timeline.end_ticks)
    for place in (0, len(timeline.ticks) - 1):
        list(selector.feed(timeline.ticks[place], key_frame=True))
    list(selector.finish(end_ticks=timeline.end_ticks))
    return selector.targets_past_the_end
