"""Videos in a store whose objects are no files of this machine: read by range, through whatever the network does."""

import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.database import open_session
from app.extractions import queries
from app.extractions.models import Segment, Status
from app.extractions.states import VideoState
from app.settings import Settings, get_settings
from app.storage import OPENERS, Storage, StorageUnavailable, get_storage
from app.storage.local import open_local_storage
from app.workers.extraction import work_on_next_segment
from fotograma.extraction import extract
from fotograma.plan import Count, Every, Plan
from tests.long_clips import make_noisy_clip
from tests.stores.doubles import Double

GOES_ON = threading.Event()
Chunks = Generator[bytes, None, None]


class FarStorage:
    """A Storage whose objects can't be opened as files, and which keeps account of what is read of them."""

    def __init__(self, kept: Storage) -> None:
        self._kept = kept
        self._numbers = itertools.count()
        self.spoil: Callable[[int, Chunks], Chunks] = lambda _, chunks: chunks
        """What becomes of the chunks of a video's read, by the number of that."""
        self.bytes_read: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kept, name)

    @property
    def patient(self) -> "FarStorage":
        return self

    def open_descriptor(self, key: str) -> None:
        self._kept.stat(key)

    def read(self, key: str, **part: Any) -> Chunks:
        chunks = self._kept.read(key, **part)
        return self._counted(key, self.spoil(next(self._numbers), chunks) if key.startswith("videos/") else chunks)

    def _counted(self, key: str, chunks: Chunks) -> Chunks:
        for chunk in chunks:
            self.bytes_read[key] = self.bytes_read.get(key, 0) + len(chunk)
            yield chunk


@pytest.fixture
def far(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    stores: Callable[[str], Double],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[FarStorage]:
    """The store of this process is far from now on; as a parameter, the name of a cloud's."""

    def open_far(settings: Settings) -> FarStorage:
        name = getattr(request, "param", None)
        return FarStorage(stores(name).open() if name else open_local_storage(settings))

    monkeypatch.setitem(OPENERS, "far", open_far)  # type: ignore[arg-type]
    monkeypatch.setenv("STORAGE_URL", environment["STORAGE_URL"].replace("file:", "far:"))
    get_settings.cache_clear()
    get_storage.cache_clear()
    yield get_storage()  # type: ignore[misc]
    monkeypatch.undo()
    get_settings.cache_clear()
    get_storage.cache_clear()


@pytest.fixture
def storage(far: FarStorage) -> FarStorage:
    return far


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 20 MB and 30 s."""
    return make_noisy_clip(tmp_path_factory.mktemp("videos") / "video.mp4", seconds=30)


def work() -> None:
    while work_once():
        pass


def work_once() -> bool:
    """What failed waits a moment, and is not taken again."""
    return work_on_next_segment(stopping=GOES_ON)


def state_of(asked: VideoState) -> VideoState:
    with open_session() as session:
        return queries.video_state(session, asked.video.id, user_id=asked.video.user_id)


def segment_of(asked: VideoState) -> Segment:
    with open_session() as session:
        return session.scalars(select(Segment).where(Segment.video_id == asked.video.id)).one()


def archive_of(asked: VideoState, storage: FarStorage) -> bytes:
    state = state_of(asked)
    assert state.status == "COMPLETED"
    return b"".join(storage.read(state.newest.extraction.archive_key))


def extracted(path: Path, plan: Plan, folder: Path) -> bytes:
    """What the engine gives of the file."""
    extract(path, plan, sink=folder / "frames.zip")
    return (folder / "frames.zip").read_bytes()


SPARSE = Plan(Every(seconds=10))


@pytest.mark.parametrize("plan", [Plan(Count(3)), Plan(Every(Fraction(1, 2)))], ids=["sparse", "dense"])
def test_the_frames_are_those_of_the_file(submit, video: Path, storage: FarStorage, plan: Plan, tmp_path: Path):
    asked = submit(video, plan=plan)
    work()

    assert archive_of(asked, storage) == extracted(video, plan, tmp_path)


@pytest.mark.parametrize("far", ["moto"], indirect=True)
def test_the_frames_are_those_of_the_file_in_a_clouds_store_too(submit, video: Path, storage, tmp_path: Path):
    asked = submit(video, plan=SPARSE)
    work()

    assert archive_of(asked, storage) == extracted(video, SPARSE, tmp_path)
    assert storage.bytes_read[asked.video.object_key] < 0.1 * video.stat().st_size


@pytest.mark.usefixtures("cut_short")
def test_each_part_reads_its_own_bytes(submit, video: Path, storage: FarStorage, tmp_path: Path):
    plan = Plan(Every(seconds=5))
    asked = submit(video, plan=plan)
    work()

    assert archive_of(asked, storage) == extracted(video, plan, tmp_path)
    assert storage.bytes_read[asked.video.object_key] < 0.6 * video.stat().st_size


@pytest.mark.usefixtures("cut_short")
def test_a_file_without_a_table_is_read_through_once(submit, storage: FarStorage, tmp_path: Path):
    video = make_noisy_clip(tmp_path / "video.mkv", seconds=20)
    plan = Plan(Every(seconds=5))
    asked = submit(video, plan=plan)
    work()

    assert archive_of(asked, storage) == extracted(video, plan, tmp_path)
    # Each of four parts reads the first MiB and its own; one of them all.
    assert storage.bytes_read[asked.video.object_key] < video.stat().st_size + 5 * 2**20


def breaks_off(chunks: Chunks) -> Chunks:
    """A chunk, and then the connection is gone."""
    yield next(chunks)
    raise ConnectionResetError("Connection reset by peer")


def ends_early(chunks: Chunks) -> Chunks:
    """A chunk, and it looks as if that were all."""
    yield next(chunks)


def refuses(_: Chunks) -> Chunks:
    """Nothing at all."""
    raise StorageUnavailable
    yield


@pytest.mark.parametrize("fault", [breaks_off, ends_early, refuses])
def test_what_fails_now_and_then_is_asked_for_again(
    fault: Callable[[Chunks], Chunks], submit, video: Path, storage: FarStorage, tmp_path: Path
):
    asked = submit(video, plan=SPARSE)
    storage.spoil = lambda number, chunks: fault(chunks) if number % 2 else chunks
    work()

    assert archive_of(asked, storage) == extracted(video, SPARSE, tmp_path)
    assert state_of(asked).newest.extraction.warnings == []


@pytest.mark.parametrize("fault", [ends_early, refuses])
def test_what_fails_for_good_is_the_stores_fault(fault: Callable[[Chunks], Chunks], submit, video: Path, storage):
    asked = submit(video, plan=SPARSE)
    # After the head and the table.
    storage.spoil = lambda number, chunks: fault(iter([b""])) if number >= 2 else chunks  # type: ignore[arg-type]
    work_once()
    segment = segment_of(asked)

    assert (segment.status, segment.infra_failures, segment.crashes) == (Status.PENDING, 1, 0)
    assert state_of(asked).error is None


def test_an_object_of_another_size_is_not_decoded(submit, video: Path, storage: FarStorage):
    asked = submit(video, plan=SPARSE)
    with storage.open_writer(asked.video.object_key, content_type="application/octet-stream") as writer:
        writer.write(video.read_bytes()[:-1])
    work_once()

    assert segment_of(asked).infra_failures == 1
    assert asked.video.object_key not in storage.bytes_read


def test_an_object_that_is_replaced_on_the_way_is_not_decoded_on(submit, video: Path, storage: FarStorage):
    asked = submit(video, plan=SPARSE)

    def replace(number: int, chunks: Chunks) -> Chunks:
        # After the head and the table.
        if number == 1:
            with storage.open_writer(asked.video.object_key, content_type="application/octet-stream") as writer:
                writer.write(video.read_bytes())
        return chunks

    storage.spoil = replace
    work_once()

    assert (segment_of(asked).status, segment_of(asked).infra_failures) == (Status.PENDING, 1)


def test_a_worker_told_to_stop_does_not_wait_for_a_silent_store(submit, video: Path, storage: FarStorage, wait_until):
    asked = submit(video, plan=SPARSE)
    silent, over, stopping = threading.Event(), threading.Event(), threading.Event()

    def fall_silent(chunks: Chunks) -> Chunks:
        silent.set()
        over.wait(60)
        yield from chunks

    storage.spoil = lambda number, chunks: fall_silent(chunks) if number >= 2 else chunks
    working = threading.Thread(target=work_on_next_segment, kwargs={"stopping": stopping})
    working.start()
    wait_until(silent.is_set)
    stopping.set()
    working.join(8)
    ended = not working.is_alive()
    over.set()

    assert ended
    assert segment_of(asked).status == Status.PENDING
    assert segment_of(asked).infra_failures == 0
