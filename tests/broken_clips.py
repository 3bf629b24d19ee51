"""What goes wrong with video files, made out of drawn clips: cut, flipped, encrypted, restarted, or no video at all."""

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from tests import clips


def truncate(source: Path, target: Path, *, keep: float) -> Path:
    """The beginning of a file."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * keep)])
    return target


def flip_bits(source: Path, target: Path, *, flips: int, first: float, last: float, seed: int = 7) -> Path:
    """The file with some bits flipped between two places (fractions of its size)."""
    data = bytearray(source.read_bytes())
    dice = random.Random(seed)
    for _ in range(flips):
        data[dice.randrange(int(len(data) * first), int(len(data) * last))] ^= 1 << dice.randrange(8)
    target.write_bytes(data)
    return target


def concatenate(sources: list[Path], target: Path) -> Path:
    """Files one behind the other, as segments of a transport stream may be."""
    target.write_bytes(b"".join(source.read_bytes() for source in sources))
    return target


def drop_packets(source: Path, target: Path, *, drop: set[int]) -> Path:
    """The video's packets without some of them, by their place in the file."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = read.streams.video[0]
        copy = written.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in read.demux(stream) if packet.size):
            if number not in drop:
                packet.stream = copy
                written.mux_one(packet)
    return target


def shuffle_times(source: Path, target: Path, *, pts: list[int]) -> Path:
    """The video's packets, each a whole picture, with other presentation times (milliseconds, Matroska)."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = read.streams.video[0]
        copy = written.add_stream_from_template(stream)
        packets = [packet for packet in read.demux(stream) if packet.size]
        for number, (packet, time) in enumerate(zip(packets, pts, strict=True)):
            packet.stream = copy
            # The muxer wants rising decoding times that are never later than the presentation's.
            packet.pts, packet.dts = time, number - len(packets)
            written.mux_one(packet)
    return target


def draw_sound(path: Path, *, cover: bool) -> Path:
    """A second of silence, with or without a cover picture (Matroska)."""
    with av.open(str(path), "w") as output:
        sound = output.add_stream("aac", rate=clips.AUDIO_RATE, layout="mono")
        if cover:
            output.add_attachment("cover.jpg", "image/jpeg", picture_file(".jpg"))
        clips.add_silence(output, sound, seconds=1)
    return path


def picture_file(suffix: str) -> bytes:
    """A still picture's file."""
    encoded, data = cv2.imencode(suffix, clips.paint(7, width=160, height=96))
    assert encoded
    return np.asarray(data).tobytes()


def edit_start(path: Path, *, media_time: int) -> None:
    """Let the first edit of an MP4 begin at `media_time` (ticks of the track): what is before is not shown."""
    data = bytearray(path.read_bytes())
    # Version 0: flags 4, count 4, then duration and media time of the first edit.
    place = data.index(b"elst") + 4 + 8 + 4
    data[place : place + 4] = struct.pack(">i", media_time)
    path.write_bytes(data)


def encrypt(source: Path, target: Path) -> Path:
    """An MP4 that says its track is encrypted: `encv` with `sinf`, as Common Encryption has it.

    Its index must lie behind its pictures, so that no offset moves.
    """
    data = source.read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")
    scheme = _box(b"schm", bytes(4) + b"cenc" + struct.pack(">I", 0x10000))
    track = _box(b"tenc", bytes(4) + bytes([0, 0, 1, 8]) + bytes(range(16)))
    protection = _box(b"sinf", _box(b"frma", b"avc1") + scheme + _box(b"schi", track))
    path = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"]
    target.write_bytes(_append_in(data, path, protection).replace(b"avc1\0\0\0\0\0\0", b"encv\0\0\0\0\0\0", 1))
    return target


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def _append_in(data: bytes, path: list[bytes], addition: bytes) -> bytes:
    """`addition` at the end of the box that `path` leads to, and each box around it larger by as much."""
    if not path:
        return data + addition
    # What precedes the inner boxes: the description table's own head.
    head = 8 if path[0] == b"avc1" else 0
    parts = [data[:head]]
    for kind, content in _boxes(data[head:]):
        parts.append(_box(kind, _append_in(content, path[1:], addition) if kind == path[0] else content))
    return b"".join(parts)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        yield kind, data[place + 8 : place + size]
        place += size
