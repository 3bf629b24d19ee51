"""Videos that are encrypted, as shops and studios have it, or that say so."""

import struct
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

from tests.attacks.containers import box, boxes, change_box
from tests.clips import draw_clip

SCHEMES = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "00112233445566778899aabbccddeeff",
    "encryption_kid": "ffeeddccbbaa99887766554433221100",
}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
ASF_HEADER = uuid.UUID("75B22630-668E-11CF-A6D9-00AA0062CE6C").bytes_le
ASF_ENCRYPTION = uuid.UUID("2211B3FB-BD23-11D2-B4B7-00A0C955FC6E").bytes_le
ASF_EXTENDED_ENCRYPTION = uuid.UUID("298AE614-2622-4C17-B935-DAE07EE9289C").bytes_le


def draw_encrypted(path: Path, **how: Any) -> Path:
    """An MP4 whose every sample is encrypted, with all that a player with the key must know."""
    options = {**SCHEMES, **how.pop("container_options", {})}
    return draw_clip(path, container_options=options, **how).path


def draw_clear_lead(path: Path, *, clear_fragments: int, descriptions: int, **how: Any) -> Path:
    """An MP4 of fragments, the first of which are clear and the others encrypted, as shops have it for a quick start.

    With two descriptions of its samples the second is that of the encrypted ones; a single one serves for both, under
    its clear name.
    """
    folder = path.parent / f"{path.stem}-parts"
    folder.mkdir()
    clear = draw_clip(folder / "clear.mp4", container_options=FRAGMENTS, **how).path.read_bytes()
    secret = draw_encrypted(folder / "secret.mp4", container_options=FRAGMENTS, **how).read_bytes()
    description = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    entries: list[bytes] = []
    for movie in (clear, secret):
        change_box(movie, description, lambda content: entries.append(content[8:]) or content)
    if descriptions == 1:
        entries = [entries[1].replace(entries[1][4:8], entries[0][4:8], 1)]
    both = change_box(
        clear, description, lambda _: bytes(4) + struct.pack(">I", descriptions) + b"".join(entries[:descriptions])
    )
    parts = [(kind, content) for kind, content in boxes(both) if kind in (b"ftyp", b"moov")]
    lead, rest = _fragments(clear)[:clear_fragments], _fragments(secret)[clear_fragments:]
    parts += [part for fragment in lead for part in fragment]
    for (_, head), data in rest:
        parts += [(b"moof", _of_second_description(head) if descriptions == 2 else head), data]
    path.write_bytes(b"".join(box(kind, content) for kind, content in parts))
    return path


Box = tuple[bytes, bytes]


def _fragments(movie: bytes) -> list[tuple[Box, Box]]:
    parts = [part for part in boxes(movie) if part[0] in (b"moof", b"mdat")]
    return list(zip(parts[::2], parts[1::2], strict=True))


def _of_second_description(moof: bytes) -> bytes:
    """The fragment's head, which now says that its samples are of the second description."""

    def point(head: bytes) -> bytes:
        flags = int.from_bytes(head[:4], "big")
        assert not flags & 3
        return struct.pack(">I", flags | 2) + head[4:8] + struct.pack(">I", 2) + head[8:]

    def shift(place: int) -> Callable[[bytes], bytes]:
        # The head grew by four bytes, and offsets count from its begin.
        def change(content: bytes) -> bytes:
            [offset] = struct.unpack_from(">I", content, place)
            return content[:place] + struct.pack(">I", offset + 4) + content[place + 4 :]

        return change

    moof = change_box(moof, (b"traf", b"tfhd"), point)
    moof = change_box(moof, (b"traf", b"trun"), shift(8))
    return change_box(moof, (b"traf", b"saio"), shift(8)) if b"saio" in moof else moof


def protect_asf(source: Path, target: Path, *, extended: bool = False) -> Path:
    """A WMV with the head of Windows Media DRM, and its pictures as unreadable as that makes them."""
    data = source.read_bytes()
    assert data.startswith(ASF_HEADER)
    size, count = struct.unpack_from("<QI", data, 16)
    if extended:
        content = struct.pack("<I", 8) + b"\xff" * 8
    else:
        content = b"".join(
            struct.pack("<I", len(part)) + part for part in (b"\0" * 16, b"DRM\0", b"key\0", b"http://x\0")
        )
    guid = ASF_EXTENDED_ENCRYPTION if extended else ASF_ENCRYPTION
    added = guid + struct.pack("<Q", 24 + len(content)) + content
    head = data[:16] + struct.pack("<QI", size + len(added), count + 1) + data[28:size] + added
    body = data[size:]
    with av.open(str(source)) as read:
        for packet in read.demux(video=0):
            picture = bytes(packet)
            body = body.replace(picture, bytes(byte ^ 0x5A for byte in picture)) if picture else body
    target.write_bytes(head + body)
    return target
