from pathlib import Path

import pytest

from fotograma.byte_ranges import GAP_BYTES, PIECE_BYTES, REQUEST_BYTES, is_whole_cheaper, needed, pieces
from fotograma.extraction import probe
from fotograma.packets import PacketIndex
from fotograma.plan import Plan
from fotograma.readers import ByteRange
from tests.fotograma.conftest import Draw
from tests.long_clips import make_noisy_clip

MEGABYTE = 10**6


def spread(number: int, *, each: int, over: int) -> list[ByteRange]:
    """So many ranges at equal distances."""
    return [ByteRange(place * over // number, place * over // number + each) for place in range(number)]


@pytest.mark.parametrize(
    ("size", "ranges", "whole"),
    [
        # One frame each ten seconds of two hours in 2 GB, and each key frame: by range.
        (2000 * MEGABYTE, spread(720, each=MEGABYTE // 4, over=2000 * MEGABYTE), False),
        (2000 * MEGABYTE, spread(3600, each=MEGABYTE // 10, over=2000 * MEGABYTE), False),
        # Six key frames a second: to wait for each takes longer than to fetch what lies between.
        (2000 * MEGABYTE, spread(43_200, each=MEGABYTE // 100, over=2000 * MEGABYTE), True),
        # All of it.
        (2000 * MEGABYTE, [ByteRange(0, 2000 * MEGABYTE)], True),
        (2000 * MEGABYTE, [ByteRange(0, 1900 * MEGABYTE)], False),
        (10 * MEGABYTE, spread(2, each=MEGABYTE, over=10 * MEGABYTE), False),
        (10 * MEGABYTE, spread(10, each=MEGABYTE, over=10 * MEGABYTE), True),
        (MEGABYTE, [ByteRange(0, 1000), ByteRange(MEGABYTE - 1000, MEGABYTE)], False),
        (REQUEST_BYTES, [ByteRange(0, 1000), ByteRange(5000, 6000)], True),
        (0, [], True),
    ],
)
def test_the_whole_file_is_fetched_where_that_takes_no_longer(size: int, ranges: list[ByteRange], whole: bool) -> None:
    assert is_whole_cheaper(size, ranges) is whole


def test_pieces_are_the_same_bytes() -> None:
    found = list(pieces([ByteRange(5, 6), ByteRange(10, 10 + 2 * PIECE_BYTES + 1)]))

    assert found == [
        (5, 6),
        (10, 10 + PIECE_BYTES),
        (10 + PIECE_BYTES, 10 + 2 * PIECE_BYTES),
        (10 + 2 * PIECE_BYTES, 11 + 2 * PIECE_BYTES),
    ]


def test_each_range_goes_from_a_key_frame_to_the_last_wanted_frame(tmp_path: Path) -> None:
    path = make_noisy_clip(tmp_path / "a.mp4", seconds=4)
    facts = probe(path)
    index = PacketIndex.from_bytes(facts.packet_index)
    plan = Plan.from_json({"mode": "at", "seconds": [0, 1.2, 3.96]})

    def bytes_of(first: int, last: int) -> tuple[int, int]:
        return index.position[first], index.position[last] + index.size[last]

    # The very first frame is the probe's; 1.2 s is packet 30, and 3.96 s the last of them all.
    assert needed(plan, facts, size=path.stat().st_size) == [bytes_of(25, 30), bytes_of(75, 99)]
    assert needed(plan, facts, size=path.stat().st_size, start_pts=index.pts[50]) == [bytes_of(75, 99)]
    assert needed(plan, facts, size=path.stat().st_size, end_pts=index.pts[50]) == [bytes_of(25, 30)]


def test_what_an_index_claims_stays_within_the_file(draw: Draw) -> None:
    facts = probe(draw("a.mp4").path)
    every = Plan.from_json({"mode": "keyframes"})

    assert all(0 <= start < end <= 1000 for start, end in needed(every, facts, size=1000))


def test_a_video_that_must_be_read_through_is_needed_from_the_beginning(draw: Draw) -> None:
    facts = probe(draw("a.avi", codec="mpeg4", frames=20).path)

    assert needed(Plan.from_json({"mode": "keyframes"}), facts, size=99) == [(0, 99)]
    assert needed(Plan.from_json({"mode": "count", "n": 2}), facts, size=99) == [(0, 99), (0, 99)]


def test_small_gaps_are_read_along(draw: Draw) -> None:
    """Sound lies between the pictures of a GOP."""
    path = draw("a.mp4", frames=50, gop=50, audio=True).path
    facts = probe(path)
    [part] = needed(Plan.from_json({"mode": "at", "seconds": [1.9]}), facts, size=path.stat().st_size)

    index = PacketIndex.from_bytes(facts.packet_index)
    assert part.end - part.start > sum(index.size)
    assert part.end - part.start < sum(index.size) + GAP_BYTES
