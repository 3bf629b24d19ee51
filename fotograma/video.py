"""Open a video safely, say what it is, index its packets and decode its frames.

Everything here parses what strangers wrote, and belongs into the jail. A video is opened through a reader without a
name, with lists of the formats, codecs and protocols that may be used at all, so that no file can name another one.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import av
import av.error
import av.logging
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.frame import PictureType
from av.video.stream import VideoStream

from fotograma import bitstream
from fotograma.bitstream import Framing
from fotograma.errors import InputError, LimitExceeded
from fotograma.limits import Limits
from fotograma.packets import CORRUPT, DISCARD, KEY, MOST_PACKETS, NO_TIME, PacketIndex

# Demuxers of single files that hold their own pictures. Playlists and manifests (hls, dash, concat, sdp...) and picture
# sequences name other files, and stay out.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,ogg,gif,apng,ivf,h264,hevc,vvc,obu,av1,m4v,mpegvideo,"
    "mxf,rm,dv,dirac,vc1,vc1test,h263,mjpeg,nut,wtv,yuv4mpegpipe,mp3,aac,flac,wav"
)
# What cameras, phones, editors, screens and the web produce.
CODECS = (
    "h264,hevc,vvc,av1,libdav1d,vp9,vp8,mpeg4,mpeg2video,mpeg1video,mjpeg,prores,dnxhd,cfhd,theora,gif,apng,png,"
    "rawvideo,vc1,wmv1,wmv2,wmv3,h263,h263p,h263i,flv,dvvideo,ffv1,huffyuv,ffvhuff,dirac,svq1,svq3,rv10,rv20,rv30,rv40,"
    "camtasia,qtrle,msmpeg4,msmpeg4v1,msmpeg4v2"
)
# Large enough that a call into Python for each read costs nothing beside the decoding.
READ_BYTES = 2**18
# Containers that are read by seeking; the others are read through, which costs little beside decoding.
SEEKABLE = ("mov", "matroska")
# Has FFmpeg try no decoder on what it opens, and read no more than it must.
UNTRIED = {"codec_whitelist": "none", "probesize": "32", "analyzeduration": "1"}
ENCRYPTED_TAGS = frozenset({"encv", "drmi"})
# The Content Encryption and Extended Content Encryption objects of ASF (Windows Media).
ENCRYPTED_ASF = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)


class Reader(Protocol):
    """Where a video is read from: a seekable binary file without a name."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, whence: int, /) -> int: ...

    def tell(self) -> int: ...


@dataclass(frozen=True)
class Frame:
    """A decoded frame."""

    picture: av.VideoFrame
    index: int
    """Place in presentation order, counted from the first decoded one."""
    pts: int
    """Ticks of the stream's time base; never falls."""
    key_frame: bool
    end_pts: int
    """Where the next frame is expected."""


@dataclass
class Damage:
    """What was wrong on the way."""

    packets_failed: int = 0
    frames_corrupt: int = 0
    read_errors: int = 0
    frames_without_time: int = 0
    frames_held: int = 0
    packets_seen: int = 0
    frames_given: int = 0
    whole: bool = False
    """The video was decoded to its end."""
    ends_early: bool = False
    """The last packet is cut off."""
    field_pairs: bool = False
    """Two packets make a frame (field-coded interlaced video)."""
    sizes: set[tuple[int, int]] = field(default_factory=set)

    @property
    def frames_missing(self) -> int:
        """How many packets gave no frame, once all are decoded."""
        if not self.whole:
            return 0
        missing = self.packets_seen - self.frames_given
        return 0 if self.field_pairs and self.packets_seen <= 2 * self.frames_given + 1 else missing


class _Clock:
    """Which of a frame's two times to believe: pts, unless fewer dts than pts have run backwards so far.

    The method is that of FFmpeg's `best_effort_timestamp` (libavcodec/decode.c, guess_correct_pts).
    """

    def __init__(self) -> None:
        self._last_pts = self._last_dts = NO_TIME
        self._faulty_pts = self._faulty_dts = 0

    def read(self, pts: int | None, dts: int | None) -> int | None:
        """The time of the next frame, None where it has none."""
        if dts is not None:
            self._faulty_dts += dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        return pts if pts is not None and (self._faulty_pts <= self._faulty_dts or dts is None) else dts


class Video:
    """An open video and its chosen stream. It is read once, by `index`, `frames` or `packets`: seeking back to the
    beginning is not exact in every container, so that whoever reads again opens again."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.container = container
        self.stream = stream
        self.damage = Damage()
        self._key_dts: deque[int] = deque(maxlen=64)
        # AVI stores none; what stands there is guessed from the first packets, and wrong with B-frames.
        self._has_no_pts = container.format.name == "avi"
        assert stream.time_base is not None
        self.time_base: Fraction = stream.time_base

    def index(self) -> PacketIndex:
        """The index of all packets; nothing is decoded."""
        index = PacketIndex(self.time_base)
        context = self.stream.codec_context
        framing = Framing.of(context.name, context.extradata) if context.name == "hevc" else None
        for packet in self.packets():
            if not packet.size:
                continue
            if len(index) == MOST_PACKETS:
                index.complete = False
                break
            if framing is not None:
                index.top_layer = max(index.top_layer, bitstream.temporal_layer(framing, memoryview(packet)))
            index.add(
                pts=None if self._has_no_pts else packet.pts,
                dts=packet.dts,
                duration=packet.duration or 0,
                size=packet.size,
                position=-1 if packet.pos is None else packet.pos,
                flags=KEY * packet.is_keyframe | DISCARD * packet.is_discard | CORRUPT * packet.is_corrupt,
            )
        index.complete = index.complete and not self.damage.read_errors
        return index

    def frames(self) -> Iterator[Frame]:
        """Decode all frames in presentation order, on one thread. What can't be decoded is counted in `damage`."""
        clock = _Clock()
        previous_pts: int | None = None
        duration = self._usual_duration()
        for picture in self._pictures():
            pts = clock.read(None if self._has_no_pts else picture.pts, picture.dts)
            if pts is None:
                self.damage.frames_without_time += not self._has_no_pts
                pts = 0 if previous_pts is None else previous_pts + duration
            if previous_pts is not None and pts <= previous_pts:
                self.damage.frames_held += 1
                pts = previous_pts
            duration = picture.duration or (pts - previous_pts if previous_pts is not None else 0) or duration
            previous_pts = pts
            self.damage.sizes.add((picture.width, picture.height))
            self.damage.frames_corrupt += picture.is_corrupt
            self.damage.field_pairs = self.damage.field_pairs or picture.interlaced_frame
            self.damage.frames_given += 1
            yield Frame(picture, self.damage.frames_given - 1, pts, self._is_key(picture), pts + duration)
        self.damage.whole = True

    def _usual_duration(self) -> int:
        """Ticks that a frame stays on screen where nothing better is known."""
        rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        return max(1, round(1 / rate / self.time_base))

    def _is_key(self, picture: av.VideoFrame) -> bool:
        if picture.pict_type == PictureType.NONE:
            # The decoder tells nothing about its pictures (CineForm, TechSmith): the container's word counts.
            return picture.dts in self._key_dts
        return bool(picture.key_frame)

    def _pictures(self) -> Iterator[av.VideoFrame]:
        self.stream.thread_type = "NONE"
        for packet in self.packets():
            self.damage.packets_seen += packet.size > 0 and not packet.is_discard
            if packet.size:
                self.damage.ends_early = packet.is_corrupt
            if packet.is_keyframe and packet.dts is not None:
                self._key_dts.append(packet.dts)
            try:
                yield from packet.decode()
            except av.error.MemoryError as error:
                raise LimitExceeded("LIMIT_MEMORY") from error
            except av.FFmpegError:
                self.damage.packets_failed += 1

    def packets(self) -> "Iterator[av.Packet[VideoStream]]":
        """The stream's packets from where the container stands; a read error ends them."""
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.EOFError:
                return
            except av.FFmpegError:
                self.damage.read_errors += 1
                return
            if packet is None:
                return
            # In each, not in the first alone: protected video often begins with a part that is not.
            if packet.has_sidedata("encryption_info"):
                raise InputError("ENCRYPTED")
            yield packet


def told_sizes(sizes: set[tuple[int, int]]) -> str:
    """Widths and heights in words."""
    return ", ".join(f"{width} x {height}" for width, height in sorted(sizes))


def quarter_turns(picture: av.VideoFrame) -> int:
    """How often the picture must be turned by 90 degrees, counter-clockwise; a garbage matrix counts as none."""
    degrees = picture.rotation
    return degrees // 90 % 4 if degrees % 90 == 0 else 0


@contextmanager
def open_video(reader: Reader, *, limits: Limits, stream: int | None = None, untried: bool = False) -> Iterator[Video]:
    """Open the video that `reader` holds.

    Args:
        reader: the file.
        limits: on streams and pixels.
        stream: another than the first video stream.
        untried: take the container's word for what its streams are. Otherwise the first pictures are decoded to know,
            which takes as long as to decode them once more.

    Raises:
        InputError: it is no video that may be decoded.
        LimitExceeded: it has too many streams or too many pixels.
    """
    # None, not PANIC: at any level a decoder's own thread would wait for Python's lock to have its message dropped, and
    # never get it while a decoder is being closed.
    av.logging.set_level(None)
    guards = {"format_whitelist": FORMATS, "codec_whitelist": CODECS, "protocol_whitelist": "none"}
    guards |= {"max_pixels": str(limits.max_pixels), "max_streams": str(limits.max_streams)}
    if untried:
        guards |= UNTRIED
    reader.seek(0, 0)
    try:
        container = av.open(reader, mode="r", options=guards, metadata_errors="ignore", buffer_size=READ_BYTES)
    except av.error.MemoryError as error:
        # That is how a demuxer says that it may make no more streams; memory itself runs out in Python's words too.
        raise LimitExceeded("LIMIT_STREAMS", f"allowed are {limits.max_streams}") from error
    except av.FFmpegError as error:
        raise InputError("ENCRYPTED" if _looks_encrypted(reader) else "NOT_A_VIDEO") from error
    with container:
        # Windows Media opens all the same, and gives garbage.
        if container.format.name.startswith("asf") and _looks_encrypted(reader):
            raise InputError("ENCRYPTED")
        chosen = _choose_stream(container, stream)
        _check_codec(chosen, limits)
        if container.format.name.startswith(SEEKABLE):
            # So that their bytes, wherever in the file they lie, are not read at all.
            for other in container.streams:
                if other.index != chosen.index:
                    other.discard = Discard.all
        yield Video(container, chosen)


def _looks_encrypted(reader: Reader) -> bool:
    """Whether a file says in its head that it is encrypted."""
    place = reader.tell()
    reader.seek(0, 0)
    head = reader.read(2**20)
    # FFmpeg reads on where it was.
    reader.seek(place, 0)
    return (b"ftyp" in head[:64] and b"encv" in head) or any(guid in head for guid in ENCRYPTED_ASF)


def _choose_stream(container: InputContainer, index: int | None) -> VideoStream:
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if index is not None:
        moving = [s for s in container.streams.video if s.index == index]
    if not moving:
        raise InputError("NO_VIDEO_STREAM", "" if index is None else f"stream {index} is no video stream")
    return moving[0]


def _check_codec(stream: VideoStream, limits: Limits) -> None:
    context = stream.codec_context
    if context is None:
        raise InputError("CODEC_NOT_ALLOWED", "unknown codec")
    if context.codec_tag.lower() in ENCRYPTED_TAGS:
        raise InputError("ENCRYPTED")
    name = context.name
    if name not in CODECS.split(","):
        raise InputError("CODEC_NOT_ALLOWED", name)
    if context.width * context.height > limits.max_pixels:
        size = f"{context.width} x {context.height}"
        raise LimitExceeded("LIMIT_PIXELS", f"{size}, allowed are {limits.max_pixels} pixels")
    context.options = {"codec_whitelist": CODECS, "max_pixels": str(limits.max_pixels)}
