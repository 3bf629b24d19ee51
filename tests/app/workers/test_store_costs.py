"""What an extraction costs in requests, on each cloud's store: docs/storage.md says so."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from app.database import open_session
from app.extractions import lifecycle, queries
from app.extractions.states import VideoState
from fotograma.plan import All, Every, Plan
from tests.app.workers.test_joining import faults, storage  # noqa: F401  fixtures for these tests, too
from tests.app.workers.test_source import work
from tests.clips import draw_clip
from tests.stores.faults import Faults

SPARSE, DENSE = Plan(Every(40)), Plan(All())
# S3 and Azure delete several objects by one request. Segments cost that, whatever the number of frames.
COSTS = {
    "moto": {"PUT": 6, "POST": 3, "GET": 5, "HEAD": 7},
    "google": {"PUT": 6, "DELETE": 3, "GET": 5, "HEAD": 7},
    "azurite": {"PUT": 6, "POST": 3, "GET": 5, "HEAD": 7},
}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of 25 pictures a second, which one request fetches."""
    return draw_clip(tmp_path_factory.mktemp("two_minutes") / "video.mp4", frames=3000).path


@pytest.mark.parametrize("plan", [SPARSE, DENSE], ids=["sparse", "dense"])
@pytest.mark.parametrize("faults", COSTS, indirect=True)
def test_requests_are_those_that_the_documents_say(
    request: pytest.FixtureRequest,
    submit: Callable[..., VideoState],
    video: Path,
    faults: Faults,  # noqa: F811
    plan: Plan,
):
    asked = submit(video, plan=None)
    work()
    with open_session() as session:
        lifecycle.request_extraction(session, asked.video, plan=plan)
    before = Counter(faults.requests)
    work()
    with open_session() as session:
        state = queries.video_state(session, asked.video.id, user_id=asked.video.user_id)

    assert state.status == "COMPLETED"
    assert faults.requests - before == COSTS[request.node.callspec.params["faults"]]
