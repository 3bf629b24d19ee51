"""Decodes one span after another of an open video.

Each span is checked against the packet index (a frame for each packet handed in, at its packet's time); the first thing
that does not fit raises `Unfit`.
"""

import bisect
import itertools
from array import array
from collections.abc import Iterator
from typing import Any

import av
from av.video.stream import VideoStream

from fotograma import bitstream
from fotograma.bitstream import Framing
from fotograma.packets import DISCARD, KEY, NO_TIME, PacketIndex
from fotograma.spans import Span
from fotograma.video import SEEKABLE, Video

SEEK_ATTEMPTS = 3


class Unfit(Exception):
    """The video does not keep what its packet index promises: decode it from the beginning."""


class SpanDecoder:
    """An open video that decodes one span after another."""

    def __init__(
        self,
        video: Video,
        index: PacketIndex,
        *,
        threads: int,
        seek_worth_bytes: int,
        sizes: set[tuple[int, int]],
        in_fields: bool = False,
        at_end: bool = False,
    ) -> None:
        self.threads = threads
        self._sizes = sizes
        self.in_fields = in_fields
        """Pictures are made of fields: a packet more shows whether the next is of the same picture."""
        self._seek_worth_bytes = seek_worth_bytes
        self._video = video
        self._index = index
        self._context = video.stream.codec_context
        self._context.thread_type = "FRAME" if threads > 1 else "NONE"
        self._context.thread_count = threads
        # What it would only conceal is told: then the whole video is decoded from its beginning, as it conceals that.
        self._context.options = {**self._context.options, "err_detect": "explode"}
        self._framing = Framing.of(self._context.name, self._context.extradata)
        self._packets: Iterator[Any] = video.packets()
        self._next = len(index) if at_end else 0
        """Number of the packet that the demuxer gives next."""
        self._keys = array("q", (number for number, flags in enumerate(index.flags) if flags & KEY))
        self._seekable = video.container.format.name.startswith(SEEKABLE)

    def reaches(self, span: Span) -> bool:
        """Whether it can go to that span from where it is."""
        return self._seekable or span.first >= self._next

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
            if frame.interlaced_frame and not self.in_fields:
                self.in_fields = True
                raise Unfit("pictures made of fields")
            fed.discard(frame.pts)
            last_pts = frame.pts
            self._sizes.add((frame.width, frame.height))
            if frame.pts in numbers:
                waiting[numbers[frame.pts]] = frame
            while upcoming in waiting:
                yield upcoming, waiting.pop(upcoming)
                upcoming = next(order, None)
            # Its memory is what the decoder takes for the next one.
            del frame
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
            if self._framing is not None and number <= span.last:
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
        behind = span.last + 1
        last = (
            behind
            if self.in_fields and behind < len(self._index) and not self._index.flags[behind] & KEY
            else span.last
        )
        while self._next <= last:
            number = self._next
            packet = self._take()
            if number >= span.first and (self._index.pts[number] >= first_pts or number == span.first):
                yield number, packet

    def _go_to(self, number: int) -> None:
        """Make the demuxer stand at or before a packet."""
        index = self._index
        gap = index.position[number] - (index.position[self._next] if self._next < len(index) else 0)
        if number >= self._next and (not self._seekable or gap < self._seek_worth_bytes):
            return
        # A demuxer may land before the packet asked for, or (without a table) behind it: then from earlier on.
        for attempt in range(SEEK_ATTEMPTS):
            place = max(0, bisect.bisect_right(self._keys, number) - 1 - attempt)
            self._video.container.seek(index.pts[self._keys[place]], stream=self._video.stream)
            packets = self._video.packets()
            landed = next(packets, None)
            self._next = self._number_of(landed, near=self._keys[place])
            if self._next <= number:
                self._packets = itertools.chain([landed], packets)
                return
        raise Unfit("seeking does not find a key frame")

    def _number_of(self, landed: Any, *, near: int) -> int:
        """The number of the packet that a seek landed at; behind all where the index has none of its time."""
        if landed is None or landed.pts is None:
            return len(self._index)
        if self._index.pts[near] == landed.pts:
            return near
        try:
            return self._index.pts.index(landed.pts)
        except ValueError:
            return len(self._index)

    def _take(self) -> Any:
        """The next packet, which must be the one that the index has there."""
        packet = next(self._packets, None)
        number, self._next = self._next, self._next + 1
        # Not by dts: some demuxers work it out from what came before, which a seek has skipped.
        known = self._index.pts[number], self._index.size[number], bool(self._index.flags[number] & KEY)
        if packet is None or (packet.pts, packet.size, packet.is_keyframe) != known:
            raise Unfit("another packet than the index has")
        return packet
