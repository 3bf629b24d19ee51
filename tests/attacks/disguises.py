"""Files that are two things at once, and videos that carry hostile text."""

import io
import struct
import zipfile
from pathlib import Path

import av

from tests import broken_clips
from tests.attacks.bombs import gif
from tests.attacks.containers import box, change_box
from tests.attacks.references import SECRET, concat, playlist
from tests.clips import Clip

LONG = 10 * 2**20
# What terminals, databases, headers, pages and programs in C take for more than text.
HOSTILE_TEXTS = {
    "bytes": bytes(range(128, 256)),
    "cut": "é".encode()[:1],
    "surrogates": b"\xed\xa0\x80\xed\xbf\xbf",
    "zeros": b"a\0b\0\0c",
    "controls": bytes(range(1, 32)) + b"\x7f\x1b]0;owned\x07\x1b[2J",
    "lines": b"a\r\nBcc: everybody@example.com\r\n\r\n",
    "page": b"<script>alert(1)</script>",
    "formats": b"%n%s%x{0.__class__}${jndi:ldap://127.0.0.1/x}",
    "turned": "\u202egpj.exe\u2066".encode(),
}


def two_at_once(clip: Clip) -> dict[str, bytes]:
    """A clip (an MP4) together with another kind of file, by what it is named."""
    movie = clip.path.read_bytes()
    archive = io.BytesIO(movie)
    # A ZIP is read from its end; what is before it is nobody's business.
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("../../escaped.txt", SECRET)
    page = b"<!doctype html><script>fetch('/videos/status')</script><!--"
    return {
        "zip-behind.mp4": archive.getvalue(),
        "page-behind.mp4": movie + page,
        "page-in-a-box.mp4": _with_first(movie, box(b"free", page)),
        "script-in-a-box.mp4": _with_first(movie, box(b"free", b"\n" + concat("file victim.mp4"))),
        "playlist-in-a-box.mp4": _with_first(movie, box(b"free", b"\n" + playlist("#EXTINF:2,", "victim.ts"))),
        "program-behind.mp4": movie + b"\x7fELF" + bytes(60),
        "picture-behind.mp4": movie + broken_clips.picture_file(".jpg"),
        "two-movies.mp4": movie + movie,
    }


def other_first(clip: Clip) -> dict[str, bytes]:
    """Another kind of file, with a clip behind it."""
    movie = clip.path.read_bytes()
    return {
        "document.mp4": b"%PDF-1.7\n1 0 obj\n<</Length 99999>>\nstream\n" + movie + b"\nendstream\n%%EOF",
        "page.mp4": b"<!doctype html><img src=x onerror=alert(1)><!--" + movie,
        "script.mp4": b"#!/bin/sh\ntouch owned\nexit\n" + movie,
        "program.mp4": b"\x7fELF\x02\x01\x01" + bytes(57) + movie,
        "zip.mp4": _zip_of(movie),
        "jpeg.mp4": broken_clips.picture_file(".jpg") + movie,
        "list.mp4": concat("file victim.mp4") + movie,
        "playlist.mp4": playlist("#EXTINF:2,", "victim.ts") + movie,
        "picture.mp4": gif(4, 4, pictures=1) + movie,
    }


def _with_first(movie: bytes, first: bytes) -> bytes:
    """A movie whose first box is another, in the place that is kept for offsets of 64 bits."""
    kind, size = movie[4:8], struct.unpack(">I", movie[:4])[0]
    assert kind == b"ftyp"
    moved = movie[:size] + first + movie[size:]
    path = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stco")

    def shift(content: bytes) -> bytes:
        offsets = struct.unpack(f">{(len(content) - 8) // 4}I", content[8:])
        return content[:8] + b"".join(struct.pack(">I", offset + len(first)) for offset in offsets)

    return change_box(moved, path, shift)


def _zip_of(movie: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("movie.mp4", movie)
    return packed.getvalue()


def tagged_movie(clip: Clip, text: bytes) -> bytes:
    """An MP4 with this text in each tag that QuickTime, iTunes and phones know, and as the name of its handler."""
    apple = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    value = box(b"data", struct.pack(">II", 1, 0) + text)
    item = b"".join(box(kind, value) for kind in (b"\xa9nam", b"\xa9cmt", b"\xa9xyz", b"covr"))
    old = b"".join(box(kind, struct.pack(">HH", len(text) % 2**16, 0) + text) for kind in (b"\xa9ART", b"\xa9swr"))
    user = box(b"udta", old + box(b"meta", bytes(4) + apple + box(b"ilst", item)))
    named = change_box(
        clip.path.read_bytes(),
        (b"moov", b"trak", b"mdia", b"hdlr"),
        lambda content: content[:20] + text[:1000] + b"\0",
    )
    return change_box(named, (b"moov",), lambda content: content + user)


def tagged_matroska(clip: Clip, path: Path, text: bytes) -> Path:
    """A Matroska file with this text as title, tag, chapter, attachment and name of its track."""
    marker = "MARKER" * 20
    # Writers want text; readers get what stands in the file.
    with av.open(str(clip.path)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        target.metadata["title"] = target.metadata["whatever"] = marker
        stream.metadata["title"] = marker
        target.add_attachment(marker, "text/plain", marker.encode())
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    data = path.read_bytes()
    assert data.count(marker.encode()) >= 4
    path.write_bytes(data.replace(marker.encode(), text[: len(marker)].ljust(len(marker))))
    return path
