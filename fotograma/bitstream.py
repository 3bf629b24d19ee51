"""The little that is read of coded pictures without decoding them: whether anything can refer to one, and whether a
decoder may begin at one.

H.264: ITU-T H.264 7.4.1 (nal_ref_idc, nal_unit_type), D.2.8 (recovery point). HEVC: ITU-T H.265 7.4.2.2, table 7-1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_H264_SLICES = frozenset({1, 2, 5})
_H264_IDR = 5
_H264_SEI = 6
_SEI_RECOVERY_POINT = 6
_HEVC_FIRST_NON_SLICE = 32
_HEVC_REFERENCE_FREE = frozenset({0, 2, 4, 6, 8, 10, 12, 14})
_HEVC_RANDOM_ACCESS = range(16, 24)


@dataclass(frozen=True)
class Framing:
    """How a stream's packets are divided into NAL units."""

    codec: str
    """`h264` or `hevc`."""
    length_bytes: int
    """Size of the length before each unit; 0: start codes (Annex B)."""

    @classmethod
    def of(cls, codec: str, extradata: bytes | None) -> "Framing | None":
        """The framing of a stream; none where its codec has no NAL units."""
        if codec not in ("h264", "hevc"):
            return None
        if not extradata or extradata[0] != 1:
            return cls(codec, 0)
        place = 4 if codec == "h264" else 21
        return cls(codec, (extradata[place] & 3) + 1) if len(extradata) > place else None

    def units(self, packet: memoryview) -> Iterator[memoryview]:
        """The NAL units of a packet."""
        if self.length_bytes == 0:
            yield from _start_coded_units(packet)
            return
        offset = 0
        while offset + self.length_bytes < len(packet):
            size = int.from_bytes(packet[offset : offset + self.length_bytes], "big")
            offset += self.length_bytes
            if size == 0 or offset + size > len(packet):
                return
            yield packet[offset : offset + size]
            offset += size


def reference_free_layer(framing: Framing, packet: memoryview) -> int | None:
    """The temporal layer of a picture to which none of its own layer refers; none where one may."""
    for unit in framing.units(packet):
        if framing.codec == "h264":
            if unit[0] & 31 in _H264_SLICES:
                return 0 if unit[0] & 0x60 == 0 else None
        elif len(unit) > 1:
            kind = unit[0] >> 1 & 63
            if kind < _HEVC_FIRST_NON_SLICE:
                return (unit[1] & 7) - 1 if kind in _HEVC_REFERENCE_FREE else None
    return None


def temporal_layer(framing: Framing, packet: memoryview) -> int:
    """The temporal layer of a picture (H.264 streams count as one layer: its nal_ref_idc holds for all)."""
    if framing.codec == "hevc":
        for unit in framing.units(packet):
            if len(unit) > 1 and unit[0] >> 1 & 63 < _HEVC_FIRST_NON_SLICE:
                return (unit[1] & 7) - 1
    return 0


def is_entry(framing: Framing, packet: memoryview) -> bool:
    """Whether a decoder that begins here gives the same pictures as one that comes from before."""
    recovery_point = False
    for unit in framing.units(packet):
        if framing.codec == "hevc":
            kind = unit[0] >> 1 & 63
            if kind < _HEVC_FIRST_NON_SLICE:
                return kind in _HEVC_RANDOM_ACCESS
        else:
            kind = unit[0] & 31
            if kind == _H264_SEI:
                recovery_point = recovery_point or _is_immediate_recovery_point(unit)
            elif kind in _H264_SLICES:
                return kind == _H264_IDR or recovery_point
    return False


def _is_immediate_recovery_point(unit: memoryview) -> bool:
    """Whether an SEI unit says that pictures are right from this one on (recovery_frame_cnt 0, exact_match_flag 1)."""
    data = bytes(unit[1:64]).replace(b"\x00\x00\x03", b"\x00\x00")
    offset = 0
    while offset + 2 < len(data):
        kind, size = 0, 0
        while offset < len(data) and data[offset] == 255:
            kind, offset = kind + 255, offset + 1
        if offset >= len(data):
            return False
        kind, offset = kind + data[offset], offset + 1
        while offset < len(data) and data[offset] == 255:
            size, offset = size + 255, offset + 1
        if offset >= len(data):
            return False
        size, offset = size + data[offset], offset + 1
        if kind == _SEI_RECOVERY_POINT:
            # ue(v) 0 is the single bit 1; exact_match_flag is the next.
            return offset < len(data) and data[offset] & 0xC0 == 0xC0
        offset += size
    return False


def _start_coded_units(packet: memoryview) -> Iterator[memoryview]:
    data = bytes(packet)
    begin = data.find(b"\x00\x00\x01")
    while begin >= 0:
        begin += 3
        end = data.find(b"\x00\x00\x01", begin)
        if begin < len(data):
            yield packet[begin : end if end >= 0 else len(data)]
        begin = end
