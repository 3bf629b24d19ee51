"""Whether a file ends before its container says it does."""

import struct

from av.video.stream import VideoStream

from fotograma.readers import OffsetReader

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_TS_SYNC = 0x47
_TS_PACKETS = (188, 192, 204)
_HEAD_BYTES = 4096


def is_cut_off(reader: OffsetReader, stream: VideoStream) -> bool:
    """Whether bytes are missing at the end, as far as the container promises any."""
    head = reader.read_at(0, _HEAD_BYTES)
    container = stream.container.format.name
    if container.startswith("mov"):
        return any(entry.pos + entry.size > reader.size for entry in stream.index_entries)
    if container == "avi" and head[:4] == b"RIFF":
        return reader.size < 8 + int(struct.unpack_from("<I", head, 4)[0])
    if container.startswith("matroska"):
        return _segment_end(head) > reader.size
    if container == "mpegts":
        whole = next((size for size in _TS_PACKETS if _has_packets(head, size)), 1)
        return reader.size % whole != 0
    return False


def _segment_end(head: bytes) -> int:
    """Where a Matroska file's segment ends (0: it does not say), by RFC 8794 and RFC 9559."""
    place = head.find(_SEGMENT)
    if not head.startswith(_EBML) or place < 0 or place + 12 > len(head):
        return 0
    first = head[place + 4]
    length = 9 - first.bit_length()
    if not 1 <= length <= 8:
        return 0
    size = int.from_bytes(head[place + 4 : place + 4 + length], "big") & ((1 << 7 * length) - 1)
    unknown = (1 << 7 * length) - 1
    return 0 if size == unknown else place + 4 + length + size


def _has_packets(head: bytes, size: int) -> bool:
    offset = size - 188 if size == 192 else 0
    marks = head[offset::size][:8]
    return len(marks) == 8 and all(mark == _TS_SYNC for mark in marks)
