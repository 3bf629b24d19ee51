"""The trusted side believes nothing of what comes out of a jail."""

import contextlib
import io
import json
import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fotograma.records import (
    LAYERS,
    ON,
    Attempted,
    Facts,
    Failed,
    Finished,
    Locked,
    Picture,
    Record,
    Warned,
)
from fotograma.wire import ProtocolError, read_record, write_record

RECORDS: list[Record] = [
    Facts({"codec": "h264", "streams": []}, {"av": "18"}, Fraction(1, 12_800), -1024, b"index"),
    Picture(
        512,
        1,
        True,
        160,
        96,
        (Fraction(1, 3), Fraction(2)),
        0,
        b"jpeg",
        "00" * 16,
        {"sharpness": 1.5, "brightness": 2.0, "difference": 0.0},
        b"small",
    ),
    Picture(512, None, False, 1, 1, (), 7, b"", None, None, b""),
    Warned("TRUNCATED", "here"),
    Failed("NO_FRAMES", ""),
    Finished("linear"),
    Locked(dict.fromkeys(LAYERS, ON) | {"landlock": "Function not implemented"}),
    Attempted(False, "Operation not permitted"),
]


def sent(record: Record) -> bytes:
    out = io.BytesIO()
    write_record(record, out.write)
    return out.getvalue()


def received(data: bytes) -> Record:
    source = io.BytesIO(data)

    def read(size: int) -> bytes:
        part = source.read(size)
        if len(part) < size:
            raise EOFError
        return part

    return read_record(read)


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_arrives_as_it_was_sent(record: Record) -> None:
    assert received(sent(record)) == record


def refused_or_read(data: bytes) -> None:
    with contextlib.suppress(ProtocolError, EOFError):
        received(data)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    refused_or_read(data)


@given(st.sampled_from(RECORDS), st.data())
def test_mutated_records_are_refused_or_read(record: Record, data: st.DataObject) -> None:
    mutated = bytearray(sent(record))
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))

    refused_or_read(bytes(mutated))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(RECORDS), st.data())
def test_a_head_of_other_values_is_refused_or_read(record: Record, data: st.DataObject) -> None:
    kind, head, blobs = taken_apart(sent(record))
    name = data.draw(st.sampled_from(sorted(head)))
    head[name] = data.draw(json_values)

    refused_or_read(put_together(kind, head, blobs))


def taken_apart(data: bytes) -> tuple[bytes, dict[str, object], list[bytes]]:
    kind, head_size, count = struct.unpack_from("<4sII", data)
    sizes = struct.unpack_from(f"<{count}I", data, 12)
    place = 12 + 4 * count
    head = json.loads(data[place : place + head_size])
    place += head_size
    blobs = []
    for size in sizes:
        blobs.append(data[place : place + size])
        place += size
    return kind, head, blobs


def put_together(kind: bytes, head: object, blobs: list[bytes]) -> bytes:
    packed = json.dumps(head).encode()
    sizes = struct.pack(f"<{len(blobs)}I", *(len(blob) for blob in blobs))
    return struct.pack("<4sII", kind, len(packed), len(blobs)) + sizes + packed + b"".join(blobs)


FACTS, PICTURE, LOCKED, ATTEMPTED = (sent(RECORDS[place]) for place in (0, 1, -2, -1))
ALL_ON = dict.fromkeys(LAYERS, ON)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("data", "name", "value"),
    [
        (FACTS, "time_base", "1e999999999"),
        (FACTS, "time_base", "0"),
        (FACTS, "time_base", "-1/25"),
        (FACTS, "time_base", "1/0"),
        (FACTS, "first_pts", 2**63),
        (FACTS, "first_pts", 0.5),
        (FACTS, "media", []),
        (FACTS, "media", {"duration_seconds": float("nan")}),
        (FACTS, "media", {"codec": "h264\0"}),
        (PICTURE, "targets", ["1e999999999"]),
        (PICTURE, "targets", "12"),
        (PICTURE, "pts", True),
        (PICTURE, "index", -1),
        (PICTURE, "width", 0),
        (PICTURE, "height", 10**9),
        (PICTURE, "key_frame", 1),
        (PICTURE, "md5", "no"),
        (PICTURE, "md5", "00" * 2**10),
        (PICTURE, "scores", {"sharpness": float("inf")}),
        (PICTURE, "scores", {"sharpness": 1.0, "brightness": 1.0}),
        (PICTURE, "scores", {"sharpness": 1.0, "brightness": 1.0, "difference": "inf"}),
        (PICTURE, "scores", {"sharpness": 1.0, "brightness": 1.0, "difference": 1.0, "beauty": 1.0}),
        (PICTURE, "targets", ["1"] * 1001),
        (sent(RECORDS[3]), "code", "UNHEARD_OF"),
        (LOCKED, "layers", {}),
        (LOCKED, "layers", None),
        (LOCKED, "layers", list(LAYERS)),
        (LOCKED, "layers", dict.fromkeys(LAYERS[1:], ON)),
        (LOCKED, "layers", ALL_ON | {"root": ON}),
        (LOCKED, "layers", ALL_ON | {"seccomp": True}),
        (LOCKED, "layers", ALL_ON | {"seccomp": None}),
        (LOCKED, "layers", ALL_ON | {"seccomp": {"on": ON}}),
        (LOCKED, "layers", ALL_ON | {"seccomp": "on\0"}),
        (ATTEMPTED, "done", 0),
        (ATTEMPTED, "done", "no"),
        (ATTEMPTED, "detail", None),
    ],
)
def test_a_lie_ends_the_conversation(data: bytes, name: str, value: object) -> None:
    kind, head, blobs = taken_apart(data)

    with pytest.raises(ProtocolError):
        received(put_together(kind, head | {name: value}, blobs))


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("<4sII", b"PICT", 2**20 + 1, 2),
        struct.pack("<4sII", b"PICT", 2, 3),
        struct.pack("<4sII", b"PICT", 2, 2) + struct.pack("<2I", 2**30, 1),
        struct.pack("<4sII", b"LIES", 2, 0),
    ],
)
def test_a_size_beyond_the_bounds_is_refused_before_it_is_read(head: bytes) -> None:
    with pytest.raises(ProtocolError):
        received(head)


def test_a_thumbnail_is_small() -> None:
    kind, head, [picture, _] = taken_apart(PICTURE)
    large = put_together(kind, head, [picture, bytes(2**17 + 1)])

    with pytest.raises(ProtocolError):
        received(large)


@pytest.mark.parametrize(("data", "old", "new"), [(FACTS, b'"h264"', b"1e9999"), (PICTURE, b"1.5", b"1e9999")])
def test_a_number_beyond_all_numbers_is_refused(data: bytes, old: bytes, new: bytes) -> None:
    """1e9999 is JSON, and infinite once it is read."""
    kind, head, blobs = taken_apart(data)
    packed = json.dumps(head).encode()
    assert old in packed
    changed = packed.replace(old, new)
    sizes = struct.pack(f"<{len(blobs)}I", *(len(blob) for blob in blobs))
    told = struct.pack("<4sII", kind, len(changed), len(blobs)) + sizes + changed + b"".join(blobs)

    with pytest.raises(ProtocolError):
        received(told)
