"""A video that lies elsewhere: the same frames, and no more of its bytes than they need."""

import mmap
import threading
import time
import tracemalloc
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from fotograma import ahead, byte_ranges, sample_table
from fotograma.ahead import AheadReader, Fetch
from fotograma.errors import StorageUnavailable
from fotograma.extraction import extract, probe
from fotograma.jail import Jail
from fotograma.limits import Limits
from fotograma.plan import Plan
from fotograma.readers import BorrowedReader, ByteRange
from fotograma.records import Picture
from tests.fotograma.conftest import Draw, Take
from tests.long_clips import make_noisy_clip
from tests.waiting import wait_until

CHUNK_BYTES = 2**16


class Store:
    """Gives ranges of a file as a far one would: after a while, in chunks; and keeps account."""

    def __init__(self, path: Path, *, latency_seconds: float = 0.0) -> None:
        with path.open("rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.asked: list[ByteRange] = []
        self.at_once = self.most_at_once = 0
        self._latency_seconds = latency_seconds
        self._turn = threading.Lock()

    def fetch(self, offset: int, size: int) -> Generator[bytes, None, None]:
        with self._turn:
            self.asked.append(ByteRange(offset, offset + size))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            time.sleep(self._latency_seconds)
            for place in range(offset, offset + size, CHUNK_BYTES):
                yield self.data[place : min(place + CHUNK_BYTES, offset + size)]
        finally:
            with self._turn:
                self.at_once -= 1

    def open(self) -> AheadReader:
        """The file, read by range."""
        return AheadReader(self.fetch, size=len(self.data))

    @property
    def bytes_moved(self) -> int:
        """How many bytes were asked for."""
        return sum(part.end - part.start for part in self.asked)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of more than 20 MB, with its table behind the pictures."""
    return make_noisy_clip(tmp_path_factory.mktemp("large") / "a.mp4", seconds=40)


SPARSE: list[dict[str, Any]] = [
    {"mode": "every", "seconds": 10},
    {"mode": "at", "seconds": [3.5, 20, 39.9]},
    {"mode": "count", "n": 3},
    {"mode": "keyframes", "start": 10, "end": 14},
    {"mode": "every_nth", "n": 200, "scores": True},
    {"mode": "scenes", "threshold": 1, "start": 20, "end": 22},
    {"mode": "best", "seconds": 1, "start": 5, "end": 7},
    {"mode": "every", "seconds": 7, "snap": "keyframe", "limit": 3},
    {"mode": "all", "start": 31, "end": 32, "dedupe": 2},
]


@pytest.mark.parametrize("plan", SPARSE, ids=lambda plan: plan["mode"])
def test_a_sparse_plan_moves_the_table_and_its_own_bytes(plan: dict[str, Any], large: Path, take: Take) -> None:
    of_file = take(large, plan)
    store = Store(large)
    with store.open() as reader:
        of_store = take(reader, plan, name=large.name)

    assert of_store.data == of_file.data
    assert of_store.summary is not None
    assert of_store.summary.engine["path"] == "sparse"

    exact = set(byte_ranges.needed(Plan.from_json(plan), probe(large), size=len(store.data)))
    # The head, and where the table is.
    besides = ahead.FIRST_BYTES + ahead.LEAST_BYTES
    needed_bytes = sum(part.end - part.start for part in exact)
    assert store.bytes_moved <= 1.03 * needed_bytes + besides < len(store.data) / 4


def test_of_two_gigabytes_a_frame_a_minute_moves_no_more_than_it_needs(tmp_path: Path, take: Take) -> None:
    """Beside its frames the index, and the first 64 KiB, which is less than 3 % of them."""
    path = make_noisy_clip(tmp_path / "a.mp4", seconds=3500, sound=False)
    plan = {"mode": "every", "seconds": 60.9}
    store = Store(path)
    with store.open() as reader:
        taken = take(reader, plan, name=path.name)
    needed = byte_ranges.needed(Plan.from_json(plan), probe(path), size=len(store.data))
    needed_bytes = sum(part.end - part.start for part in needed)
    end_of_pictures = max(part.end for part in needed)
    table_bytes = sum(part.end - part.start for part in store.asked if part.start >= end_of_pictures)

    assert len(store.data) > 2 * 10**9
    assert len(taken.manifest["frames"]) == 58
    assert store.bytes_moved <= needed_bytes + table_bytes + ahead.FIRST_BYTES
    assert store.bytes_moved <= 1.03 * needed_bytes
    # The head, the table in two, and where the decoder was sooner than who knows what it will read.
    assert len(store.asked) <= len(needed) + 4


def test_a_table_in_front_comes_with_the_first_bytes(tmp_path: Path, take: Take) -> None:
    """And the first picture behind it with the next."""
    store = Store(make_noisy_clip(tmp_path / "a.mp4", seconds=20, faststart=True))
    with store.open() as reader:
        take(reader, {"mode": "at", "seconds": [0]})

    first, least = ahead.FIRST_BYTES, ahead.LEAST_BYTES
    assert store.asked == [ByteRange(0, first), ByteRange(first, first + least)]


def box(name: bytes, size: int) -> bytes:
    return size.to_bytes(4, "big") + name + bytes(size - 8)


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_large_table_takes_one_request_more(at_the_end: bool, tmp_path: Path) -> None:
    """And where it is at the end, one that finds it there."""
    table, pictures = box(b"moov", 700_000), box(b"mdat", 9 * 2**20)
    file = tmp_path / "a.mp4"
    file.write_bytes(box(b"ftyp", 32) + (pictures + table if at_the_end else table + pictures))
    store = Store(file)
    with store.open() as reader:
        sample_table.bring(BorrowedReader(reader), known=False)
    start = 32 + (len(pictures) if at_the_end else 0)
    found = [ByteRange(start, start + ahead.LEAST_BYTES)] if at_the_end else []
    rest = ByteRange(found[0].end if found else ahead.FIRST_BYTES, start + len(table))

    assert store.asked == [ByteRange(0, ahead.FIRST_BYTES), *found, rest]


def test_a_file_in_pieces_is_not_looked_through_for_its_table(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(box(b"ftyp", 32) + 100 * (box(b"moof", 1000) + box(b"mdat", 2**20)))
    store = Store(file)
    with store.open() as reader:
        sample_table.bring(BorrowedReader(reader), known=False)

    assert store.bytes_moved <= 4 * 2**20


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi"])
def test_what_must_be_read_through_is_fetched_once(suffix: str, tmp_path: Path, take: Take) -> None:
    path = make_noisy_clip(tmp_path / f"a.{suffix}", seconds=20)
    plan = {"mode": "count", "n": 5}
    of_file = take(path, plan)
    store = Store(path)
    with store.open() as reader:
        of_store = take(reader, plan, name=path.name)

    assert of_store.data == of_file.data
    assert len(store.data) > byte_ranges.SMALL_BYTES
    assert store.bytes_moved <= len(store.data)


def test_with_its_index_known_a_matroska_file_moves_its_own_bytes(tmp_path: Path) -> None:
    path = make_noisy_clip(tmp_path / "a.mkv", seconds=20)
    plan, facts = Plan.from_json({"mode": "every", "seconds": 5}), probe(path)
    store = Store(path)
    with store.open() as reader, Jail(reader, limits=Limits()) as jail:
        again = jail.probe(packet_index=facts.packet_index)
        records = list(jail.pictures(plan))
    with Jail(path, limits=Limits()) as jail:
        jail.probe()
        of_file = list(jail.pictures(plan))

    assert again == facts
    assert records == of_file
    needed_bytes = sum(part.end - part.start for part in byte_ranges.needed(plan, facts, size=len(store.data)))
    # The head, the first picture, and the cues at the end, too.
    assert store.bytes_moved <= 1.03 * needed_bytes + ahead.FIRST_BYTES + 2 * ahead.LEAST_BYTES + 2**16


def test_of_a_wrong_index_come_the_same_frames(draw: Draw) -> None:
    path, other = draw("a.mkv").path, draw("b.mkv", frames=30, gop=5).path
    plan = Plan.from_json({"mode": "every", "seconds": 0.5})
    with Jail(path, limits=Limits()) as jail:
        jail.probe(packet_index=probe(other).packet_index)
        misled = list(jail.pictures(plan))
    with Jail(path, limits=Limits()) as jail:
        jail.probe()
        right = list(jail.pictures(plan))

    assert [picture.data for picture in misled if isinstance(picture, Picture)] == [
        picture.data for picture in right if isinstance(picture, Picture)
    ]


def test_a_small_file_comes_at_once(draw: Draw, take: Take) -> None:
    path = draw("a.mp4").path
    store = Store(path)
    with store.open() as reader:
        of_store = take(reader, {"mode": "every", "seconds": 1}, name=path.name)

    assert of_store.data == take(path, {"mode": "every", "seconds": 1}).data
    assert store.asked == [ByteRange(0, len(store.data))]


def test_in_this_process_it_is_read_the_same_way(large: Path, take: Take) -> None:
    store = Store(large)
    with store.open() as reader:
        of_store = take(reader, SPARSE[0], name=large.name, jail=False)

    assert of_store.data == take(large, SPARSE[0]).data
    assert store.bytes_moved < len(store.data) / 4


def test_several_ranges_are_on_their_way_at_once_and_not_too_many(large: Path, take: Take) -> None:
    store = Store(large, latency_seconds=0.05)
    with store.open() as reader:
        take(reader, {"mode": "keyframes"})

    assert 4 <= store.most_at_once <= ahead.CONNECTIONS + 1


def zeros(_: int, size: int) -> Generator[bytes, None, None]:
    for _ in range(size // 2**18):
        yield bytes(2**18)
    yield bytes(size % 2**18)


@pytest.mark.parametrize("foreseen", [True, False])
def test_a_large_file_is_read_in_little_memory(foreseen: bool) -> None:
    size = 300 * 2**20
    tracemalloc.start()
    with AheadReader(zeros, size=size) as reader:
        if foreseen:
            reader.expect([ByteRange(0, size)])
        place = 0
        while place < size:
            place += len(reader.read_at(place, 2**18))
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert place == size
    assert peak < ahead.AHEAD_BYTES + ahead.BEHIND_BYTES + ahead.KEPT_BYTES


def test_what_nobody_reads_is_not_fetched_for_ever() -> None:
    size = 300 * 2**20
    with AheadReader(zeros, size=size) as reader:
        reader.expect([ByteRange(0, size)])
        wait_until(lambda: reader.bytes_fetched >= ahead.AHEAD_BYTES)

        assert reader.bytes_fetched <= ahead.AHEAD_BYTES + byte_ranges.PIECE_BYTES + ahead.FIRST_BYTES


def failing(store: Store, *, after: int, how: str) -> Fetch:
    """The store, until so many bytes were asked for."""

    def fetch(offset: int, size: int) -> Generator[bytes, None, None]:
        if store.bytes_moved < after:
            yield from store.fetch(offset, size)
            return
        match how:
            case "refuses":
                raise ConnectionRefusedError("Connection refused")
            case "breaks off":
                yield store.data[offset : offset + size // 2]
                raise TimeoutError("timed out")
            case "gives too little":
                yield store.data[offset : offset + size - 1]
            case "gives too much":
                yield store.data[offset : offset + size] + b"."
            case "gives nothing":
                pass

    return fetch


@pytest.mark.parametrize(
    ("how", "after"),
    [
        ("refuses", 0),
        ("breaks off", ahead.FIRST_BYTES),
        ("breaks off", 3 * 2**20),
        ("gives too little", 3 * 2**20),
        ("gives too much", 3 * 2**20),
        ("gives nothing", 3 * 2**20),
    ],
)
def test_a_store_that_fails_is_never_taken_for_a_damaged_video(how: str, after: int, large: Path) -> None:
    store = Store(large)
    plan = Plan.from_json({"mode": "every", "seconds": 0.5, "width": 16})
    with (
        AheadReader(failing(store, after=after, how=how), size=len(store.data)) as reader,
        pytest.raises(StorageUnavailable),
    ):
        extract(reader, plan, sink=lambda _: None)


@pytest.fixture
def silent() -> Iterator[Fetch]:
    """A store that takes each request and says no more."""
    over = threading.Event()

    def fetch(_: int, size: int) -> Generator[bytes, None, None]:
        over.wait()
        yield bytes(size)

    yield fetch
    over.set()


def test_a_store_that_falls_silent_is_waited_for_only_so_long(silent: Fetch) -> None:
    with (
        AheadReader(silent, size=100, silence_seconds=0.1) as reader,
        pytest.raises(StorageUnavailable, match=r"no byte came for 0\.1 s"),
    ):
        reader.read_at(0, 100)


def test_whoever_waits_is_told_that_the_reader_was_closed(silent: Fetch) -> None:
    reader = AheadReader(silent, size=100)
    threading.Timer(0.1, reader.close).start()

    with pytest.raises(StorageUnavailable, match="no more"):
        reader.read_at(0, 100)
