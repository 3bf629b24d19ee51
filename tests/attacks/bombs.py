"""Small files that ask for much: memory, time, streams, or trust in what they claim."""

import struct
import zlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import av

from tests import broken_clips
from tests.attacks.containers import (
    MEDIA,
    SAMPLES,
    TRACK,
    Bits,
    avi,
    box,
    boxes,
    change_box,
    cluster,
    element,
    ivf,
    matroska,
    patch,
    png,
    png_chunk,
    video_track,
)
from tests.clips import Clip, draw_clip

MOST_INT = 2**31 - 1


def gif(width: int, height: int, *, pictures: int) -> bytes:
    """A GIF whose screen is large and whose pictures are of one pixel."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    control = b"\x21\xf9\x04\x04\x01\x00\x00\x00"
    dot = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return screen + (control + dot) * pictures + b"\x3b"


def h264(width: int, height: int) -> bytes:
    """A stream of H.264 (Annex B) that says how large it is, and then hardly anything."""
    parameters = Bits().put(66, 8).put(0, 8).put(51, 8)
    # Id, frame numbers, order type 2, one reference, no gaps, then the size in macroblocks.
    parameters.golomb(0, 0, 2, 1).put(0).golomb(width // 16 - 1, height // 16 - 1).put(1).put(1).put(0).put(0)
    picture = Bits().golomb(0, 0).put(0).put(0).golomb(0, 0, 0).put(0).put(0, 2).golomb(0, 0, 0).put(0, 3)
    slice_head = Bits().golomb(0, 7, 0).put(0, 4).golomb(0).put(0, 2).golomb(0)
    units = ((0x67, parameters.bytes()), (0x68, picture.bytes()), (0x65, slice_head.bytes() + bytes(3000)))
    return b"".join(b"\0\0\0\1" + bytes([kind]) + _escaped(content) for kind, content in units)


def _escaped(content: bytes) -> bytes:
    """With bytes between, so that nothing in it looks like the begin of a unit."""
    out = bytearray()
    for byte in content:
        if byte <= 3 and out[-2:] == b"\0\0":
            out.append(3)
        out.append(byte)
    return bytes(out)


def vp9(width: int, height: int) -> bytes:
    """A key frame of VP9 in an IVF that claims to be small."""
    head = Bits().put(0b10, 2).put(0, 2).put(0).put(0).put(1).put(0).put(0x498342, 24).put(1, 3).put(0)
    head.put(width - 1, 16).put(height - 1, 16).put(0).put(0, 200)
    return ivf(b"VP90", [head.bytes() + bytes(500)] * 3)


def vp8(width: int, height: int) -> bytes:
    """A key frame of VP8 in an IVF that claims to be small."""
    packet = b"\x10\x02\x00\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(500)
    return ivf(b"VP80", [packet] * 3)


def jpeg(width: int, height: int) -> bytes:
    """A JPEG that says it is larger than it is."""
    data = broken_clips.picture_file(".jpg")
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def movie_of(picture: bytes, folder: Path, *, pictures: int = 3) -> bytes:
    """A QuickTime movie of PNGs that claims to be small."""
    path = folder / "png.mov"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "rgb24"  # type: ignore[union-attr]
        for number in range(pictures):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, number, number, True
            packet.time_base = Fraction(1, 25)
            output.mux(packet)
    return path.read_bytes()


def pixels(folder: Path) -> dict[str, bytes]:
    """Pictures beyond the limit, by the name of their file."""
    return {
        "screen-16000.gif": gif(16_000, 16_000, pictures=2000),
        "screen-65535.gif": gif(65_535, 65_535, pictures=1),
        "one-row-more.gif": gif(8192, 8193, pictures=2),
        "head-16000.h264": h264(16_000, 16_000),
        "head-one-block-more.h264": h264(8192, 8208),
        "head-65536.ivf": vp9(65_536, 65_536),
        "head-16383.ivf": vp8(16_383, 16_383),
        "head-65500.avi": avi(jpeg(65_500, 65_500)),
        "head-16000-claimed.avi": avi(broken_clips.picture_file(".jpg"), size=(16_000, 16_000)),
        "png-16000.mov": movie_of(png(16_000, 16_000), folder),
    }


def text_bomb(*, inflated: int) -> bytes:
    """A PNG with a text that is small only as long as nobody inflates it."""
    return png(160, 96, more=png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(inflated), 9)))


def squeezed(folder: Path) -> dict[str, bytes]:
    """What inflates, by the name of its file."""
    moov = zlib.compress(bytes(2**25), 9)
    head = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", 2**30) + moov)
    # Content encodings: one, of the block, by zlib.
    encoding = element(0x5031, 0) + element(0x5032, 1) + element(0x5033, 0) + element(0x5034, element(0x4254, 0))
    zlib_track = video_track(1, more=element(0x6D80, element(0x6240, encoding)))
    return {
        "text.mov": movie_of(text_bomb(inflated=2**26), folder),
        "index.mov": box(b"ftyp", b"qt  " + bytes(4) + b"qt  ") + box(b"moov", box(b"cmov", head)),
        "block.mkv": matroska([zlib_track], [cluster([zlib.compress(bytes(2**25), 9)] * 5)]),
    }


def streams() -> dict[str, bytes]:
    """Very many streams, by the name of the file."""
    picture = broken_clips.picture_file(".jpg")
    return {
        "300.mkv": matroska([video_track(number) for number in range(1, 301)], [cluster([picture])]),
        "900.mkv": matroska([video_track(number) for number in range(1, 901)], [cluster([picture])]),
        "300.ts": _crowded_transport_stream(300),
    }


def many_tracks(movie: bytes, count: int) -> bytes:
    """An MP4 with its one track so many times."""

    def copy(content: bytes) -> bytes:
        parts = list(boxes(content))
        track = next(inside for kind, inside in parts if kind == b"trak")
        place = next(inside for kind, inside in boxes(track) if kind == b"tkhd")
        others = []
        for number in range(2, count + 1):
            head = patch(12, struct.pack(">I", number))(place)
            others.append((b"trak", change_box(track, (b"tkhd",), lambda _, head=head: head)))
        return b"".join(box(kind, inside) for kind, inside in (*parts, *others))

    return change_box(movie, (b"moov",), copy)


def _crowded_transport_stream(count: int) -> bytes:
    """A transport stream whose table of programs lists so many."""
    packets = []
    # As many elementary streams a program as fit into one packet.
    each = 30
    programs = range(1, count // each + 1)
    packets.append(_section(0, 0, b"".join(struct.pack(">HH", number, 0xE000 | 0x100 + number) for number in programs)))
    for number in programs:
        entries = b"".join(
            bytes([0x1B]) + struct.pack(">HH", 0xE000 | 0x200 + number * each + one, 0xF000) for one in range(each)
        )
        packets.append(_section(0x100 + number, 2, struct.pack(">HH", 0xE000 | 0x1FF, 0xF000) + entries, number))
    body = []
    for pid in range(0x200 + each, 0x200 + each + count):
        start = b"\0\0\1\xe0\0\0\x80\x80\x05\x21\0\1\0\1" + h264(160, 96)[:100]
        body.append(_packet(pid, start))
    return b"".join(packets + body) * 3


def _section(pid: int, table: int, content: bytes, number: int = 1) -> bytes:
    head = struct.pack(">HBBB", number, 0xC1, 0, 0)
    length = len(head) + len(content) + 4
    section = bytes([table]) + struct.pack(">H", 0xB000 | length) + head + content
    remainder = 0xFFFFFFFF
    for byte in section:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x04C11DB7 if remainder & 0x80000000 else 0)
            remainder &= 0xFFFFFFFF
    return _packet(pid, b"\0" + section + struct.pack(">I", remainder))


def _packet(pid: int, content: bytes) -> bytes:
    return (b"\x47" + struct.pack(">HB", 0x4000 | pid, 0x10) + content).ljust(188, b"\xff")[:188]


Change = Callable[[bytes], bytes]
_U32 = struct.Struct(">I").pack


def lies() -> Mapping[str, tuple[tuple[bytes, ...], Change]]:
    """What an MP4 may claim: the box, and how it is changed."""
    times, sizes, chunks = (*SAMPLES, b"stts"), (*SAMPLES, b"stsz"), (*SAMPLES, b"stsc")
    offsets = (*SAMPLES, b"stco")
    full = bytes(4)
    return {
        "one-duration-for-2-billion": (times, lambda _: full + _U32(1) + _U32(MOST_INT) + _U32(1)),
        "2-billion-durations": (times, patch(4, _U32(MOST_INT))),
        "durations-of-136-years": (times, lambda _: full + _U32(1) + _U32(50) + _U32(2**32 - 1)),
        "durations-of-nothing": (times, lambda _: full + _U32(1) + _U32(50) + _U32(0)),
        "no-durations": (times, lambda _: full + _U32(0)),
        "one-size-for-2-billion": (sizes, lambda _: full + _U32(1) + _U32(MOST_INT)),
        "2-billion-sizes": (sizes, patch(8, _U32(MOST_INT))),
        "sizes-of-4-gigabytes": (sizes, lambda _: full + _U32(2**32 - 1) + _U32(50)),
        "chunks-of-2-billion": (chunks, lambda _: full + _U32(1) + _U32(1) + _U32(MOST_INT) + _U32(1)),
        "2-billion-chunks": (chunks, patch(4, _U32(MOST_INT))),
        "2-billion-offsets": (offsets, patch(4, _U32(MOST_INT))),
        "offsets-past-the-end": (offsets, lambda content: content[:8] + b"\x7f" * (len(content) - 8)),
        "2-billion-descriptions": ((*SAMPLES, b"stsd"), patch(4, _U32(MOST_INT))),
        "timescale-0": ((*MEDIA, b"mdhd"), patch(12, _U32(0))),
        "timescale-4-billion": ((*MEDIA, b"mdhd"), patch(12, _U32(2**32 - 1))),
        "movie-timescale-0": ((b"moov", b"mvhd"), patch(12, _U32(0))),
        "movie-of-136-years": ((b"moov", b"mvhd"), patch(16, _U32(2**32 - 2))),
        "edit-of-136-years": ((*TRACK, b"edts", b"elst"), patch(8, _U32(2**32 - 1))),
        "2-billion-edits": ((*TRACK, b"edts", b"elst"), patch(4, _U32(MOST_INT))),
        "track-of-65535": ((*TRACK, b"tkhd"), patch(76, _U32(0xFFFF0000) * 2)),
        "matrix-of-garbage": ((*TRACK, b"tkhd"), patch(40, bytes(range(100, 136)))),
        "media-data-without-end": ((*MEDIA, b"hdlr"), patch(0, bytes(8) + b"vide" + b"A" * 20)),
    }


def lie(clip: Clip, name: str) -> bytes:
    """The clip with this lie in it."""
    path, change = lies()[name]
    return change_box(clip.path.read_bytes(), path, change)


def nested(depth: int) -> bytes:
    """An MP4 of boxes in boxes in boxes."""
    inside = b""
    for _ in range(depth):
        inside = box(b"moov", inside)
    return box(b"ftyp", b"isom" + bytes(4) + b"isom") + inside


def nested_matroska(depth: int) -> bytes:
    """A Matroska file of tags in tags in tags."""
    inside = b""
    for _ in range(depth):
        inside = element(0x67C8, inside)
    return matroska([video_track(1)], [element(0x1254C367, element(0x7373, inside))])


def far_apart(path: Path, *seconds: float) -> Clip:
    """A Matroska clip of whole pictures at these times."""
    return draw_clip(path, codec="mjpeg", times=seconds, frames=len(seconds))


def endless_av1(path: Path, *, packets: int, size: tuple[int, int]) -> bytes:
    """A picture and its tiny successors, the last of which comes over and over."""
    draw_clip(path, codec="libsvtav1", frames=4, size=size, gop=400)
    with av.open(str(path)) as source:
        parts = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    return ivf(b"AV01", parts + parts[-1:] * packets, size=size)
