"""Decoders of spans, kept open from the probe on.

Each span is checked against the packet index (a frame for each packet handed in, at its packet's time); the first thing
that does not fit raises `Unfit`.
"""

import bisect
import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import av
from av.video.stream import VideoStream

from fotograma import bitstream, sample_table
from fotograma.bitstream import Framing
from fotograma.errors import FotogramaError
from fotograma.limits import Limits
from fotograma.packets import DISCARD, KEY, NO_TIME, PacketIndex
from fotograma.readers import OffsetReader
from fotograma.spans import Span, is_regular
from fotograma.truncation import is_cut_off
from fotograma.video import SEEKABLE, Video, open_video

# What is there before the first frame, and what a decoder holds beside its frames.
LOADED_BYTES = 350 * 2**20
DECODER_BYTES = 32 * 2**20
# Frames that a decoder keeps: H.264 and HEVC allow so many.
FRAMES_HELD = 16
# Of one frame; those of 4K video are larger.
SIDE_BY_SIDE_BYTES = 10 * 2**20
SEEK_ATTEMPTS = 3
# How such files begin: the type box of an MP4 or QuickTime file, the header of a Matroska one.
_MP4, _MATROSKA = b"ftyp", b"\x1a\x45\xdf\xa3"
# H.264 profiles with 8 bits and 4:2:0 alone (A.2).
_H264_PLAIN = frozenset({66, 77, 88, 100})


def _cores() -> int:
    """Those of this machine that are ours: `taskset`, or a container that is given some, leaves the others out."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Unfit(Exception):
    """The video does not keep what its packet index promises: decode it from the beginning."""


class Decoders:
    """Opens decoders of one video, keeps them for the next span, and closes them all in the end."""

    def __init__(
        self, reader: OffsetReader, *, limits: Limits, stream: int | None, index: PacketIndex | None = None
    ) -> None:
        """`index`: where it is known; it is believed as far as the file's own table would be."""
        self._reader = reader
        self._limits = limits
        self._stream = stream
        self._opened = ExitStack()
        self._idle: list[SpanDecoder] = []
        self._turn = threading.Lock()
        self._in_fields = False
        self.sizes: set[tuple[int, int]] = set()
        """Widths and heights of the pictures that were decoded so far."""
        with ExitStack() as opening:
            opening.callback(self.close)
            untried = self._open_untried() if index is None else None
            self.video = untried or self._open()
            self.cut_off = is_cut_off(reader, self.video.stream)
            """The file ends before its container says so."""
            if index is None and not self.cut_off:
                index = sample_table.index(reader, self.video)
            if index is None and untried is not None and not _is_plain_vpx(untried):
                self.video = self._open()
            self.index = index or self.video.index()
            self.frame_bytes = _frame_bytes(self.video)
            room = (limits.memory_bytes - LOADED_BYTES) // (DECODER_BYTES + FRAMES_HELD * self.frame_bytes)
            self.cores = max(1, min(_cores(), room))
            """As many as we may use, as far as a decoder each finds room."""
            self.side_by_side = self.frame_bytes <= SIDE_BY_SIDE_BYTES
            """Whether several decoders are better than one with several threads, which holds fewer frames."""
            opening.pop_all()

    @property
    def frame_threads(self) -> int:
        """Of a decoder that has the machine to itself: some of its threads always wait for others."""
        return 2 * self.cores

    @property
    def packets_lost(self) -> int:
        """How many packets of an MP4 with no clock (FFmpeg takes one tick a second) come to nothing, told by nobody."""
        lost = self.video.stream.frames - len(self.index)
        clockless = self.video.container.format.name.startswith("mov") and self.video.time_base == 1
        return max(0, lost) if clockless and not self.cut_off else 0

    def first(self) -> av.VideoFrame | None:
        """The first picture, as decoding from the beginning gives it; none where only that can tell."""
        index = self.index
        codec, container = self.video.stream.codec_context.codec.canonical_name, self.video.container.format.name
        if not is_regular(index, codec=codec, container=container):
            return None
        shown = (number for number, flags in enumerate(index.flags) if not flags & DISCARD)
        number = min(shown, key=index.pts.__getitem__)
        if index.pts[number] < index.pts[0]:
            return None
        span = Span(0, number, (number,))
        # What has so few key frames is decoded by threads of the decoder's, whatever the plan.
        keys = sum(flags & KEY for flags in index.flags)
        threads = 1 if self.side_by_side and keys >= self.cores else self.frame_threads
        decoder = self._decoder(self.video, threads=threads, at_end=True)
        if not decoder.reaches(span):
            decoder = self.take(span, threads=threads)
        # Twice, because pictures made of fields are told by the first that comes.
        for _ in range(2):
            with suppress(Unfit):
                [(_, picture)] = decoder.frames(span)
                self.give_back(decoder)
                self._in_fields = decoder.in_fields
                return picture
        return None

    def take(self, span: Span, *, threads: int) -> "SpanDecoder":
        """A decoder for a span, with so many threads; may be called on any thread."""
        with self._turn:
            for decoder in self._idle:
                if decoder.threads == threads and decoder.reaches(span):
                    self._idle.remove(decoder)
                    return decoder
        return self._decoder(self._open_again(), threads=threads)

    def give_back(self, decoder: "SpanDecoder") -> None:
        """Let others have it."""
        self._idle.append(decoder)

    def close(self) -> None:
        """Close them all; nobody may decode any more."""
        self._idle.clear()
        self._opened.close()

    def _decoder(self, video: Video, *, threads: int, at_end: bool = False) -> "SpanDecoder":
        return SpanDecoder(
            video,
            self.index,
            threads=threads,
            seek_worth_bytes=self._reader.seek_worth_bytes,
            sizes=self.sizes,
            in_fields=self._in_fields,
            at_end=at_end,
        )

    def _open(self, *, untried: bool = False) -> Video:
        return self._opened.enter_context(
            open_video(self._reader.clone(), limits=self._limits, stream=self._stream, untried=untried)
        )

    def _open_untried(self) -> Video | None:
        """The video, where its container's word on it is as good as a decoder's."""
        head = self._reader.read_at(0, 12)
        if head[4:8] != _MP4 and head[:4] != _MATROSKA:
            return None
        try:
            video = self._open(untried=True)
        except FotogramaError:
            # Tried, it may be better, or worse in other words.
            return None
        told = _is_plain_h264(video) or _is_plain_vpx(video)
        return video if told and video.stream.average_rate else None

    def _open_again(self) -> Video:
        """The video for one more decoder: all is known of it, but what only trying tells."""
        known = self.video.stream
        if not known.container.format.name.startswith(SEEKABLE):
            return self._open()
        video = self._open(untried=True)
        if video.stream.average_rate != known.average_rate:
            # Then its packets may last for other times, too.
            return self._open()
        video.stream.codec_context.reorder_depth = known.codec_context.reorder_depth
        return video


def _is_plain_h264(video: Video) -> bool:
    """Whether it is H.264 of 8 bits and 4:2:0 in an MP4 file, which tells how pictures are reordered."""
    context = video.stream.codec_context
    head = context.extradata or b""
    in_mp4 = video.container.format.name.startswith("mov") and len(head) > 1
    return context.name == "h264" and in_mp4 and head[0] == 1 and head[1] in _H264_PLAIN


def _is_plain_vpx(video: Video) -> bool:
    """Whether it is VP8 or VP9 of 8 bits and 4:2:0, whose pictures come in order."""
    context = video.stream.codec_context
    plain = context.name == "vp8" or (context.name == "vp9" and context.profile == "Profile 0")
    return plain and video.container.format.name.startswith("matroska")


def _frame_bytes(video: Video) -> int:
    context = video.stream.codec_context
    # What is not known for want of trying is plain.
    bits = context.format.padded_bits_per_pixel if context.format else 12
    return context.width * context.height * bits // 8


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
        self._framing = Framing.of(self._context.name, self._context.extradata)
        self._packets: Iterator[Any] = video.packets()
        self._next = len(index) if at_end else 0
        """Number of the packet that the demuxer gives next."""
        self._numbers = {pts: number for number, pts in enumerate(index.pts)}
        self._keys = [number for number, flags in enumerate(index.flags) if flags & KEY]
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
        known = self._index.pts[number], self._index.size[number], bool(self._index.flags[number] & KEY)
        if packet is None or (packet.pts, packet.size, packet.is_keyframe) != known:
            raise Unfit("another packet than the index has")
        return packet
