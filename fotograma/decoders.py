"""Decoders of one video, kept open from the probe on (`fotograma.span_decoder`): how many, and opened how."""

import os
import threading
from contextlib import ExitStack, suppress
from operator import add

import av

from fotograma import sample_table
from fotograma.errors import FotogramaError
from fotograma.limits import Limits
from fotograma.packets import DISCARD, KEY, PacketIndex
from fotograma.readers import READ_MOST_BYTES, OffsetReader
from fotograma.span_decoder import SpanDecoder, Unfit
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
# Whose threads read what others have not written yet where a stream is damaged: each run gives other pictures.
ONE_THREAD = frozenset({"vp8"})
# How such files begin: the type box of an MP4 or QuickTime file, the header of a Matroska one.
_MP4, _MATROSKA = b"ftyp", b"\x1a\x45\xdf\xa3"
# H.264 profiles with 8 bits and 4:2:0 alone (A.2).
_H264_PLAIN = frozenset({66, 77, 88, 100})


def _cores() -> int:
    """Those of this machine that are ours: `taskset`, or a container that is given some, leaves the others out."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
            if reader.is_far:
                sample_table.bring(reader, known=index is not None)
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
        return 1 if self.video.stream.codec_context.name in ONE_THREAD else 2 * self.cores

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
        if self._reader.is_far:
            # No more than that: FFmpeg would ask for as much as it has room for.
            start, end = index.position[0], max(map(add, index.position[: number + 1], index.size[: number + 1]))
            if 0 <= start < end <= start + READ_MOST_BYTES:
                self._reader.read_at(start, end - start)
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

    def take(self, span: Span, *, threads: int) -> SpanDecoder:
        """A decoder for a span, with so many threads; may be called on any thread."""
        with self._turn:
            for decoder in self._idle:
                if decoder.threads == threads and decoder.reaches(span):
                    self._idle.remove(decoder)
                    return decoder
        return self._decoder(self._open_again(), threads=threads)

    def give_back(self, decoder: SpanDecoder) -> None:
        """Let others have it."""
        self._idle.append(decoder)

    def close(self) -> None:
        """Close them all; nobody may decode any more."""
        self._idle.clear()
        self._opened.close()

    def _decoder(self, video: Video, *, threads: int, at_end: bool = False) -> SpanDecoder:
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
