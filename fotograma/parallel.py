"""The fast path: decode only the spans that hold wanted frames, on all cores, in order.

It gives what decoding everything from the beginning gives, or it gives nothing: each span is checked against the packet
index (a frame for each packet handed in, at its packet's time), and the first thing that does not fit raises `Unfit`.
"""

import bisect
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import av
from av.video.stream import VideoStream

from fotograma import bitstream
from fotograma.bitstream import Framing
from fotograma.limits import Limits
from fotograma.packets import DISCARD, KEY, NO_TIME, PacketIndex
from fotograma.readers import OffsetReader
from fotograma.spans import Span, merged
from fotograma.video import Video, open_video

S = TypeVar("S")
T = TypeVar("T")

# Codecs whose key frames are known to leave nothing behind of what came before.
CODECS = frozenset({"h264", "hevc", "vp9", "vp8", "av1", "mpeg2video", "mjpeg", "prores", "dnxhd"})
# Those whose packets may come in another order than their pictures are shown.
REORDERED = frozenset({"h264", "hevc", "mpeg2video"})
# Containers that are read by seeking; the others are read through, which costs little beside decoding.
SEEKABLE = ("mov", "matroska")
# Seeking forward over less than this is slower than reading through.
SEEK_WORTH_BYTES = 2**20
SEEK_ATTEMPTS = 3
# What finished pictures may wait in memory until their turn comes.
WAITING_BYTES = 24 * 2**20


class Unfit(Exception):
    """The video does not keep what its packet index promises: decode it from the beginning."""


@dataclass(frozen=True)
class Wanted(Generic[T]):
    """What became of a wanted packet's frame."""

    packet: int
    result: T


Make = Callable[[av.VideoFrame, int], T]
"""Makes something of a wanted frame, given the number of its packet; called on any thread."""


def decode(
    reader: OffsetReader,
    index: PacketIndex,
    found: list[Span],
    make: Make[T],
    *,
    limits: Limits,
    stream: int | None,
    picture_bytes: int,
) -> Iterator[Wanted[T]]:
    """The wanted frames in presentation order, each made into something.

    Raises:
        Unfit: see above; what was yielded before holds.
    """
    times = [index.pts[number] for span in found for number in span.wanted]
    if any(after <= before for before, after in itertools.pairwise(times)):
        raise Unfit("times run backwards")
    cores = os.cpu_count() or 1
    tasks = merged(found, most_wanted=8)
    dense = max(len(task.wanted) for task in tasks) * picture_bytes > WAITING_BYTES
    if len(tasks) >= 2 * cores and not dense:
        return _by_span(reader, index, tasks, make, limits=limits, stream=stream, workers=cores)
    return _by_frame(reader, index, tasks, make, limits=limits, stream=stream, workers=cores)


def _by_span(
    reader: OffsetReader,
    index: PacketIndex,
    tasks: list[Span],
    make: Make[T],
    *,
    limits: Limits,
    stream: int | None,
    workers: int,
) -> Iterator[Wanted[T]]:
    """A decoder a core, each with one thread: no time is lost between threads."""
    with ExitStack() as opened, ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        idle: deque[_SpanDecoder] = deque()

        def work(task: Span) -> list[Wanted[T]]:
            try:
                decoder = idle.popleft()
            except IndexError:
                # The first task of a thread opens its own, beside the others.
                video = opened.enter_context(open_video(reader.clone(), limits=limits, stream=stream))
                decoder = _SpanDecoder(video, index, threads=1)
            try:
                return [Wanted(packet, make(frame, packet)) for packet, frame in decoder.frames(task)]
            finally:
                idle.append(decoder)

        for results in _in_order(pool, work, tasks, ahead=workers + 1):
            yield from results


def _by_frame(
    reader: OffsetReader,
    index: PacketIndex,
    tasks: list[Span],
    make: Make[T],
    *,
    limits: Limits,
    stream: int | None,
    workers: int,
) -> Iterator[Wanted[T]]:
    """One decoder with frame threads, and what is made of its frames on threads beside it."""
    with (
        open_video(reader.clone(), limits=limits, stream=stream) as video,
        ThreadPoolExecutor(workers, thread_name_prefix="make") as pool,
    ):
        decoder = _SpanDecoder(video, index, threads=2 * workers)
        frames = itertools.chain.from_iterable(decoder.frames(task) for task in tasks)

        def work(found: tuple[int, av.VideoFrame]) -> Wanted[T]:
            packet, frame = found
            return Wanted(packet, make(frame, packet))

        yield from _in_order(pool, work, frames, ahead=2 * workers)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[S], T], items: "Iterator[S] | list[S]", *, ahead: int
) -> Iterator[T]:
    """Do `work` on the pool, so many items ahead, and yield the results in the order of the items."""
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


class _SpanDecoder:
    """An open video that decodes one span after another."""

    def __init__(self, video: Video, index: PacketIndex, *, threads: int) -> None:
        self._video = video
        self._index = index
        self._context = video.stream.codec_context
        self._context.thread_type = "FRAME" if threads > 1 else "NONE"
        self._context.thread_count = threads
        self._framing = Framing.of(self._context.name, self._context.extradata)
        self._packets: Iterator[Any] = video.packets()
        self._next = 0
        """Number of the packet that the demuxer gives next."""
        self._numbers = {pts: number for number, pts in enumerate(index.pts)}
        self._keys = [number for number, flags in enumerate(index.flags) if flags & KEY]
        self._seekable = video.container.format.name.startswith(SEEKABLE)

    def frames(self, span: Span) -> Iterator[tuple[int, av.VideoFrame]]:
        """The wanted frames of a span in presentation order, each with its packet's number."""
        self._context.flush_buffers()
        numbers = {self._index.pts[number]: number for number in span.wanted}
        waiting: dict[int, av.VideoFrame] = {}
        order = iter(span.wanted)
        upcoming = next(order, None)
        fed: set[int] = set()
        last_pts = NO_TIME
        for frame in self._decoded(span, fed):
            if frame.pts not in fed or frame.pts < last_pts or frame.is_corrupt:
                raise Unfit("a frame at a time that no packet has")
            fed.discard(frame.pts)
            last_pts = frame.pts
            if frame.pts in numbers:
                waiting[numbers[frame.pts]] = frame
            while upcoming in waiting:
                yield upcoming, waiting.pop(upcoming)
                upcoming = next(order, None)
        if fed or upcoming is not None:
            raise Unfit("packets that gave no frame")

    def _decoded(self, span: Span, fed: set[int]) -> Iterator[av.VideoFrame]:
        try:
            for number, packet in self._needed(span):
                if not self._index.flags[number] & DISCARD:
                    fed.add(self._index.pts[number])
                yield from self._context.decode(packet)
            yield from self._context.decode(None)
        except av.FFmpegError as error:
            raise Unfit(str(error)) from error

    def _needed(self, span: Span) -> "Iterator[tuple[int, av.Packet[VideoStream]]]":
        """The packets of a span that must be handed to the decoder."""
        wanted = set(span.wanted)
        for number, packet in self._read(span):
            if self._framing is not None:
                data = memoryview(packet)
                if number == span.first and not bitstream.is_entry(self._framing, data):
                    raise Unfit("a key frame at which no decoder may begin")
                if number not in wanted and (
                    bitstream.reference_free_layer(self._framing, data) == self._index.top_layer
                ):
                    continue
            yield number, packet

    def _read(self, span: Span) -> "Iterator[tuple[int, av.Packet[VideoStream]]]":
        """The packets of a span but its key frame's leading pictures, which need what was before."""
        self._go_to(span.first)
        first_pts = self._index.pts[span.first]
        while self._next <= span.last:
            number = self._next
            packet = self._take()
            if number >= span.first and (self._index.pts[number] >= first_pts or number == span.first):
                yield number, packet

    def _go_to(self, number: int) -> None:
        """Make the demuxer stand at or before a packet."""
        index = self._index
        gap = index.position[number] - (index.position[self._next] if self._next < len(index) else 0)
        if number >= self._next and (not self._seekable or gap < SEEK_WORTH_BYTES):
            return
        # A demuxer may land before the packet asked for, or (without a table) behind it: then from earlier on.
        for attempt in range(SEEK_ATTEMPTS):
            place = max(0, bisect.bisect_right(self._keys, number) - 1 - attempt)
            self._video.container.seek(index.pts[self._keys[place]], stream=self._video.stream)
            packets = self._video.packets()
            landed = next(packets, None)
            self._next = self._numbers.get(landed.pts, len(index)) if landed and landed.pts is not None else len(index)
            if self._next <= number:
                self._packets = itertools.chain([landed], packets)
                return
        raise Unfit("seeking does not find a key frame")

    def _take(self) -> Any:
        """The next packet, which must be the one that the index has there."""
        packet = next(self._packets, None)
        number, self._next = self._next, self._next + 1
        # Not by dts: some demuxers work it out from what came before, which a seek has skipped.
        if packet is None or (packet.pts, packet.size) != (self._index.pts[number], self._index.size[number]):
            raise Unfit("another packet than the index has")
        return packet
