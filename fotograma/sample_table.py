"""The packet index of an MP4 or QuickTime file from the table it carries, without reading the packets.

Boxes by ISO/IEC 14496-12 (8.6.1.2 `stts`, 8.6.1.3 `ctts`, 8.6.6 `elst`) and 14496-15 (8.3.3.1 `hvcC`). FFmpeg has built
its own index of them, with times, sizes, places and edit lists worked out; what it lacks is how much later than it is
decoded each picture is shown, which `ctts` tells.
"""

import itertools
import struct
from array import array
from collections.abc import Iterator
from contextlib import suppress

from av.video.stream import VideoStream

from fotograma.errors import InputError
from fotograma.packets import DISCARD, KEY, MOST_PACKETS, PacketIndex
from fotograma.readers import ByteRange, OffsetReader
from fotograma.video import Video

MOST_TABLE_BYTES = 2**28
# A file without its table among the first few is in pieces, each with a part of it.
MOST_BOXES_BEFORE = 8
# What is read of any other file to know it.
HEAD_BYTES = 2**20
# Those whose packets last as long as the table says; VP9's, for one, by the frame rate.
CODECS = frozenset({"h264", "hevc", "av1", "mpeg4", "mpeg2video", "mjpeg", "prores", "dnxhd"})
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")
# Boxes with which packets are not just what the tables say: fragments, encryption by sample.
_STRANGE = frozenset({b"mvex", b"saiz", b"saio", b"senc", b"sgpd"})

ENCRYPTED = frozenset({b"encv", b"drmi"})

Boxes = dict[bytes, memoryview]


def index(reader: OffsetReader, video: Video) -> PacketIndex | None:
    """The index of all packets; none where only the packets tell. Where the demuxer stands then is not said.

    Raises:
        InputError: a part of the track is encrypted.
    """
    stream = video.stream
    if not video.container.format.name.startswith("mov"):
        return None
    entries = stream.index_entries
    try:
        boxes = _track(reader, stream.id)
        if boxes is None:
            return None
        if ENCRYPTED & set(_formats(boxes[b"stsd"])):
            # FFmpeg would give what is before it, and not a word.
            raise InputError("ENCRYPTED")
        if (
            stream.codec_context.codec.canonical_name not in CODECS
            or not _is_plain(boxes)
            or not _has_one_layer(stream)
        ):
            return None
        durations = _runs(boxes[b"stts"], len(entries), "I")
        if 0 in durations:
            # The demuxer guesses there.
            return None
        delays = _runs(boxes[b"ctts"], len(entries), "i") if b"ctts" in boxes else None
    except (struct.error, KeyError, ValueError):
        return None
    found = PacketIndex(video.time_base)
    # The whole table is moved so that no picture is shown before it is decoded.
    shift = max(0, -min(delays, default=0)) if delays else 0
    for number, entry in enumerate(entries):
        dts = entry.timestamp
        found.add(
            pts=dts + shift + delays[number] if delays else dts,
            dts=dts,
            duration=durations[number],
            size=entry.size,
            position=entry.pos,
            flags=KEY * entry.is_keyframe | DISCARD * entry.is_discard,
        )
    if durations[-2:-1] != durations[-1:]:
        _correct_the_end(found, video)
    return found


def _correct_the_end(index: PacketIndex, video: Video) -> None:
    """Take the last packet's duration from itself: the demuxer cuts one that lasts longer than the track."""
    last = max(number for number, flags in enumerate(index.flags) if flags & KEY or number == 0)
    video.container.seek(index.pts[last], stream=video.stream)
    for packet in video.packets():
        if packet.pos == index.position[-1] and packet.duration:
            index.duration[-1] = packet.duration


def _is_plain(boxes: Boxes) -> bool:
    """Whether packet for packet the table is what the demuxer gives: one format, and at most one piece of the track."""
    return len(_formats(boxes[b"stsd"])) == 1 and not _STRANGE & boxes.keys() and _pieces(boxes.get(b"elst")) <= 1


def _formats(descriptions: memoryview) -> list[bytes]:
    """The kinds of samples that a track may hold."""
    return [name for name, _ in _boxes(descriptions[8:])]


def _pieces(edits: memoryview | None) -> int:
    """How many pieces of the track an edit list shows; empty ones only delay the rest."""
    if edits is None:
        return 0
    count, form = struct.unpack_from(">I", edits, 4)[0], ">Qqi" if edits[0] else ">Iii"
    size = struct.calcsize(form)
    return sum(struct.unpack_from(form, edits, 8 + size * number)[1] >= 0 for number in range(min(count, 1000)))


def _has_one_layer(stream: VideoStream) -> bool:
    """Whether no packet must be looked at to know the temporal layers of an HEVC stream."""
    context = stream.codec_context
    if context.name != "hevc":
        return True
    head = context.extradata or b""
    return len(head) > 21 and head[0] == 1 and head[21] >> 3 & 7 == 1


def _runs(table: memoryview, count: int, letter: str) -> "array[int]":
    """A value for each of `count` packets, out of a table of runs.

    Raises:
        ValueError: it has another number of values.
    """
    runs = struct.unpack_from(">I", table, 4)[0]
    form, pairs = struct.Struct(f">I{letter}"), table[8 : 8 + 8 * runs]
    if count > MOST_PACKETS or sum(length for length, _ in form.iter_unpack(pairs)) != count:
        raise ValueError("the table is not of these packets")
    values = (itertools.repeat(value, length) for length, value in form.iter_unpack(pairs))
    return array("q", itertools.chain.from_iterable(values))


def _track(reader: OffsetReader, track: int) -> Boxes | None:
    """The boxes of a track by their name, and the strange ones of the whole file."""
    table = _table(reader)
    if table is None:
        return None
    tracks = [_flat(content) for name, content in _boxes(table) if name == b"trak"]
    strange = {name: content for name, content in _boxes(table) if name in _STRANGE}
    return next((boxes | strange for boxes in tracks if _track_id(boxes[b"tkhd"]) == track), None)


def _track_id(header: memoryview) -> int:
    return int(struct.unpack_from(">I", header, 20 if header[0] else 12)[0])


def _flat(content: memoryview) -> Boxes:
    boxes: Boxes = {}
    for name, inner in _boxes(content):
        boxes |= _flat(inner) if name in _CONTAINERS else {name: inner}
    return boxes


def bring(reader: OffsetReader, *, known: bool) -> None:
    """Ask for the table at once, before FFmpeg asks for it little by little.

    What has none will be read on and on, unless its packets are `known`: then ask for its head.
    """
    place = None
    with suppress(struct.error):
        if reader.read_at(4, 4) == b"ftyp":
            place = _place(reader, most_boxes=MOST_BOXES_BEFORE)
    if place is None:
        if not known:
            reader.read_at(0, HEAD_BYTES)
    elif place.end - place.start <= MOST_TABLE_BYTES:
        reader.read_at(place.start, place.end - place.start)


def _table(reader: OffsetReader) -> memoryview | None:
    """The content of the file's `moov` box."""
    place = _place(reader)
    if place is None or place.end - place.start > MOST_TABLE_BYTES:
        return None
    return memoryview(reader.read_at(place.start, place.end - place.start))


def _place(reader: OffsetReader, *, most_boxes: int | None = None) -> ByteRange | None:
    """Where the content of the file's `moov` box is."""
    offset = 0
    for _ in itertools.count() if most_boxes is None else range(most_boxes):
        if offset + 8 > reader.size:
            return None
        size, name = struct.unpack(">I4s", reader.read_at(offset, 8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", reader.read_at(offset + 8, 8))[0], 16
        if size == 0:
            size = reader.size - offset
        if size < head:
            return None
        if name == b"moov":
            return ByteRange(offset + head, offset + size)
        offset += size
    return None


def _boxes(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    offset = 0
    while offset + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, offset)
        if size < 8 or offset + size > len(content):
            return
        yield name, content[offset + 8 : offset + size]
        offset += size
