"""Just enough of MP4, AVI, Matroska, IVF and bit streams to write files that no honest program would."""

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence

UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"


def box(kind: bytes, content: bytes = b"") -> bytes:
    """A box of MP4 or QuickTime."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box."""
    place = 0
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        yield kind, data[place + 8 : place + size]
        place += size


def change_box(data: bytes, path: Sequence[bytes], change: Callable[[bytes], bytes]) -> bytes:
    """The file with the content of the first box at `path` changed, and those around it as large as they now must be.

    Where boxes grow, `mdat` must come before `moov`.
    """
    parts, done = [], False
    for kind, content in boxes(data):
        fits = kind == path[0] and not done
        done = done or fits
        inside = (change(content) if len(path) == 1 else change_box(content, path[1:], change)) if fits else content
        parts.append(box(kind, inside))
    assert done, path
    return b"".join(parts)


TRACK = (b"moov", b"trak")
MEDIA = (*TRACK, b"mdia")
SAMPLES = (*MEDIA, b"minf", b"stbl")


def patch(place: int, value: bytes) -> Callable[[bytes], bytes]:
    """A change: these bytes at this place."""
    return lambda content: content[:place] + value + content[place + len(value) :]


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of RIFF."""
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def avi(
    picture: bytes,
    *,
    codec: bytes = b"MJPG",
    pictures: int = 3,
    size: tuple[int, int] = (160, 96),
    rate: tuple[int, int] = (1, 25),
    claimed: int | None = None,
    subtitle: bytes = b"",
) -> bytes:
    """An AVI that shows one picture so many times, and claims whatever it is told to."""
    width, height = size
    claimed = pictures if claimed is None else claimed
    streams = 1 + bool(subtitle)
    main = struct.pack("<14I", 40_000, 0, 0, 0x10, claimed, 0, streams, 2**20, width, height, 0, 0, 0, 0)
    head = struct.pack("<4s4sIHHIIIIIIII4H", b"vids", codec, 0, 0, 0, 0, *rate, 0, claimed, 2**20, 0, 0, 0, 0, 0, 0)
    form = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, codec, width * height * 3, 0, 0, 0, 0)
    lists = chunk(b"avih", main) + chunk(b"LIST", b"strl" + chunk(b"strh", head) + chunk(b"strf", form))
    blocks = [chunk(b"00dc", picture)] * pictures
    if subtitle:
        head = struct.pack("<4s4sIHHIIIIIIII4H", b"txts", b"\0" * 4, 0, 0, 0, 0, 1, 25, 0, 1, 2**20, 0, 0, 0, 0, 0, 0)
        lists += chunk(b"LIST", b"strl" + chunk(b"strh", head) + chunk(b"strf", b""))
        blocks.insert(0, chunk(b"01tx", subtitle))
    body = chunk(b"LIST", b"hdrl" + lists) + chunk(b"LIST", b"movi" + b"".join(blocks))
    return chunk(b"RIFF", b"AVI " + body)


def gab2(content: bytes) -> bytes:
    """A subtitle packet of AVI that carries a file."""
    name = "subtitle".encode("utf-16-le")
    return b"GAB2\0" + struct.pack("<HI", 2, len(name)) + name + struct.pack("<HI", 4, len(content)) + content


def element(number: int, content: bytes | int) -> bytes:
    """An element of Matroska; a number is written as one."""
    if isinstance(content, int):
        content = content.to_bytes(max(1, (content.bit_length() + 7) // 8), "big")
    name = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return name + (2**56 + len(content)).to_bytes(8, "big") + content


def matroska(tracks: Sequence[bytes], clusters: Sequence[bytes], *, ticks_ns: int = 1_000_000) -> bytes:
    """A Matroska file of these track entries and clusters."""
    head = element(0x1A45DFA3, element(0x4282, b"matroska") + element(0x4287, 4) + element(0x4285, 2))
    info = element(0x1549A966, element(0x2AD7B1, ticks_ns))
    body = info + element(0x1654AE6B, b"".join(tracks)) + b"".join(clusters)
    return head + b"\x18\x53\x80\x67" + UNKNOWN_SIZE + body


def video_track(number: int, *, more: bytes = b"") -> bytes:
    """A track entry of Matroska, of JPEGs."""
    codec, video = b"V_MJPEG", element(0xE0, element(0xB0, 160) + element(0xBA, 96))
    return element(
        0xAE, element(0xD7, number) + element(0x73C5, number) + element(0x83, 1) + element(0x86, codec) + video + more
    )


def cluster(blocks: Sequence[bytes], *, ticks: int = 0, track: int = 1) -> bytes:
    """A cluster of Matroska, its blocks a tick apart."""
    simple = (
        element(0xA3, bytes([0x80 | track]) + struct.pack(">hB", number, 0x80) + block)
        for number, block in enumerate(blocks)
    )
    return element(0x1F43B675, element(0xE7, ticks) + b"".join(simple))


def ivf(codec: bytes, packets: Sequence[bytes], *, size: tuple[int, int] = (160, 96)) -> bytes:
    """An IVF file."""
    head = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, codec, *size, 25, 1, len(packets), 0)
    return head + b"".join(struct.pack("<IQ", len(packet), number) + packet for number, packet in enumerate(packets))


class Bits:
    """Writes bits, the highest first."""

    def __init__(self) -> None:
        self._bits = ""

    def put(self, value: int, bits: int = 1) -> "Bits":
        """A number of so many bits."""
        self._bits += f"{value:0{bits}b}"
        return self

    def golomb(self, *values: int) -> "Bits":
        """Exp-Golomb codes without sign, as in H.264 and HEVC."""
        for value in values:
            self.put(value + 1, 2 * (value + 1).bit_length() - 1)
        return self

    def bytes(self) -> bytes:
        """All of them, with a stop bit and zeros to fill the last byte."""
        bits = self._bits + "1"
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, more: bytes = b"", rows: bytes | None = None) -> bytes:
    """A black PNG of one bit a pixel."""
    if rows is None:
        rows = zlib.compress(bytes((1 + (width + 7) // 8) * height), 9)
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + more + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
