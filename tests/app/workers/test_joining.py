"""The archive, made of segments in a store on a way that is bad both ways."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from app.database import open_session
from app.extractions import queries
from app.extractions.models import Segment, Step
from app.extractions.states import VideoState
from app.settings import get_settings
from app.storage import Storage, get_storage
from fotograma.extraction import extract
from fotograma.plan import All, Plan
from tests.app.workers.test_source import work, work_once
from tests.long_clips import make_noisy_clip
from tests.stores.doubles import Double
from tests.stores.faults import Faults
from tests.waiting import wait_until

ALL = Plan(All(), quality=100)


@pytest.fixture(params=["moto", "google", "azurite"])
def faults(request: pytest.FixtureRequest, stores: Callable[[str], Double]) -> Iterator[Faults]:
    with Faults(stores(request.param).port) as faults:
        yield faults


@pytest.fixture
def storage(
    request: pytest.FixtureRequest,
    environment: dict[str, str],  # noqa: ARG001
    stores: Callable[[str], Double],
    faults: Faults,
) -> Iterator[Storage]:
    """The store of this process is a cloud's, by a way that can fail."""
    double = stores(request.node.callspec.params["faults"])
    by_way = {
        name: value.replace(f":{double.port}", f":{faults.port}")
        for name, value in double.environment.items()
        if name in {"AWS_ENDPOINT_URL", "AZURE_STORAGE_ENDPOINT", "GOOGLE_BASE_URL"}
    }
    with double.reached(STORAGE_URL=double.new_folder(), **by_way):
        get_settings.cache_clear()
        get_storage.cache_clear()
        yield get_storage()
    get_settings.cache_clear()
    get_storage.cache_clear()


def segments_of(asked: VideoState) -> list[Segment]:
    with open_session() as session:
        return [*session.scalars(select(Segment).where(Segment.video_id == asked.video.id))]


def waiting(asked: VideoState) -> list[Segment]:
    return [segment for segment in segments_of(asked) if (segment.step, segment.status) == (Step.FRAMES, "PENDING")]


@pytest.mark.usefixtures("cut_short")
def test_three_requests_of_ten_fail_while_segments_are_joined(
    submit: Callable[..., VideoState], storage: Storage, faults: Faults, tmp_path: Path
):
    """Before or after they were done; what is read and what is written breaks off in its middle, too."""
    video = make_noisy_clip(tmp_path / "video.mp4", seconds=10)
    asked = submit(video, plan=ALL)
    # All but the last segment, whose worker goes on with the join.
    while not segments_of(asked)[1:] or len(waiting(asked)) > 1:
        assert work_once()

    def fail_from_the_join_on() -> None:
        wait_until(
            lambda: [one for one in segments_of(asked) if (one.step, one.status) == (Step.JOIN, "PROCESSING")], 60
        )
        faults.failing, faults.cut, faults.cut_up = 0.3, 0.1, 0.1

    with ThreadPoolExecutor(1) as pool:
        failing = pool.submit(fail_from_the_join_on)
        work()
        failing.result()
    faults.failing = faults.cut = faults.cut_up = 0
    with open_session() as session:
        state = queries.video_state(session, asked.video.id, user_id=asked.video.user_id)
    extract(video, ALL, sink=tmp_path / "frames.zip")

    assert state.status == "COMPLETED"
    assert state.newest is not None
    archive_key = state.newest.extraction.archive_key
    assert archive_key is not None
    assert b"".join(storage.read(archive_key)) == (tmp_path / "frames.zip").read_bytes()
    assert sum(segment.infra_failures for segment in segments_of(asked)) == 0
    assert all(faults.faults[name] for name in ("before", "after", "cut", "cut upload")), faults.faults
