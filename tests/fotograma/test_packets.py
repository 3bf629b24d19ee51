import contextlib
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fotograma.extraction import probe
from fotograma.packets import DISCARD, KEY, PacketIndex
from tests.fotograma.conftest import Draw, Take

ticks = st.integers(-(2**62), 2**62)
packets = st.fixed_dictionaries(
    {
        "pts": st.none() | ticks,
        "dts": st.none() | ticks,
        "duration": st.integers(0, 2**40),
        "size": st.integers(0, 2**40),
        "position": st.integers(-1, 2**50),
        "flags": st.integers(0, 7),
    }
)


def index_of(*given_packets: dict[str, Any], time_base: Fraction = Fraction(1, 90_000)) -> PacketIndex:
    index = PacketIndex(time_base)
    for packet in given_packets:
        index.add(**packet)
    return index


@given(st.lists(packets, max_size=30), st.booleans())
def test_an_index_is_stored_and_read_back(given_packets: list[dict[str, Any]], complete: bool) -> None:
    index = index_of(*given_packets)
    index.complete = complete

    assert PacketIndex.from_bytes(index.to_bytes()) == index


@given(st.binary(max_size=100), st.data())
def test_malformed_bytes_are_no_index(noise: bytes, data: st.DataObject) -> None:
    stored = bytearray(index_of(*[packet(number) for number in range(3)]).to_bytes())
    place = data.draw(st.integers(0, len(stored)))
    for malformed in (
        noise,
        bytes(stored[:place]) + noise,
        bytes(stored[:place] + noise + stored[place + len(noise) :]),
    ):
        with contextlib.suppress(ValueError):
            PacketIndex.from_bytes(malformed)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "lie",
    [
        {"packets": 4},
        {"packets": 2},
        {"packets": -1},
        {"packets": 10**12},
        {"time_base": "1e999999999"},
        {"time_base": "0"},
        {"version": 99},
    ],
)
def test_lies_about_an_index_are_refused(lie: dict[str, Any]) -> None:
    head_line, _, body = index_of(*[packet(number) for number in range(3)]).to_bytes().partition(b"\n")

    with pytest.raises(ValueError, match=r"."):
        PacketIndex.from_bytes(json.dumps(json.loads(head_line) | lie).encode() + b"\n" + body)


def test_an_index_that_would_fill_the_memory_is_refused_at_once() -> None:
    head_line = index_of().to_bytes().partition(b"\n")[0]
    head = json.loads(head_line) | {"packets": 10**9}
    bomb = zlib.compress(bytes(2**28), 9)
    began = time.monotonic()

    with pytest.raises(ValueError, match=r"."):
        PacketIndex.from_bytes(json.dumps(head).encode() + b"\n" + bomb)

    assert time.monotonic() - began < 0.5


def packet(number: int, *, flags: int = KEY) -> dict[str, Any]:
    return {"pts": number, "dts": number, "duration": 1, "size": 100, "position": -1, "flags": flags}


def test_a_timeline_is_in_the_order_of_presentation() -> None:
    index = index_of(packet(0), packet(3, flags=0), packet(1, flags=0), packet(2, flags=0), packet(4))

    timeline = index.timeline(first_pts=0)

    assert list(timeline.ticks) == [0, 1, 2, 3, 4]
    assert timeline.key_frames == [True, False, False, False, True]
    assert list(timeline.packets) == [0, 2, 3, 1, 4]
    assert timeline.end_ticks == 5


def test_what_is_not_shown_or_before_the_first_frame_is_no_frame() -> None:
    index = index_of(packet(0), packet(1), packet(2, flags=KEY | DISCARD), packet(3))

    assert list(index.timeline(first_pts=1).ticks) == [0, 2]


@pytest.mark.parametrize("order", [lambda place: place ^ 15, lambda place: -place], ids=["a little", "backwards"])
def test_a_timeline_of_many_packets_is_in_order_however_they_lie(order: Callable[[int], int]) -> None:
    times = [order(place) + 20_000 for place in range(20_000)]
    index = index_of(*(packet(time) for time in times))

    timeline = index.timeline(first_pts=min(times))

    assert [timeline.first_pts + ticks for ticks in timeline.ticks] == sorted(times)
    assert [times[number] for number in timeline.packets] == sorted(times)


def test_packets_of_one_time_stay_in_the_order_of_the_file() -> None:
    index = index_of(*(packet(number // 100 * 100) for number in range(10_000)))

    assert list(index.timeline(first_pts=0).packets) == list(range(10_000))


def test_an_hour_takes_little_memory_to_put_in_order() -> None:
    count = 108_000
    index = index_of(*(packet(number ^ 7) for number in range(count)))
    stored = index.to_bytes()
    tracemalloc.start()
    try:
        PacketIndex.from_bytes(stored).timeline(first_pts=0)
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert most_bytes / count < 100


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", {}),
        ("open_gop.mp4", {"options": {"x264-params": "open-gop=1:keyint=12"}}),
        ("a.mkv", {"codec": "libvpx-vp9"}),
        ("a.ts", {}),
        ("uneven.mp4", {"times": [0, 0.04, 0.5, 0.54, 2]}),
    ],
)
def test_the_index_lets_expect_what_is_decoded(name: str, how: dict[str, Any], draw: Draw, take: Take) -> None:
    clip = draw(name, **how)
    facts = probe(clip.path)
    timeline = PacketIndex.from_bytes(facts.packet_index).timeline(first_pts=facts.first_pts)

    frames = take(clip, {"mode": "all"}).frames

    assert [row["pts"] - facts.first_pts for row in frames] == list(timeline.ticks)
    assert [row["key_frame"] for row in frames] == timeline.key_frames
    assert timeline.time_base == facts.time_base


def test_positions_point_at_the_packets_of_the_file(draw: Draw) -> None:
    path: Path = draw("a.mp4").path
    index = PacketIndex.from_bytes(probe(path).packet_index)

    assert len(index) == 50
    assert all(position > 0 for position in index.position)
    assert (
        max(position + size for position, size in zip(index.position, index.size, strict=True)) <= path.stat().st_size
    )
