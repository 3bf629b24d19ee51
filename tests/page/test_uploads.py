"""Videos that are brought through the page: what arrives is what was chosen, whatever dies or is closed meanwhile."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from tests.clips import draw_clip
from tests.end_to_end.service import Person, Service
from tests.page.conftest import OpenWindow
from tests.page.window import choose
from tests.waiting import wait_until

MIB = 2**20
BYTES_PER_SECOND = 12 * MIB


@pytest.fixture(scope="module")
def large_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seconds to send; most of it is a box that players skip."""
    path = draw_clip(tmp_path_factory.mktemp("large") / "large.mp4", frames=50).path
    filling = os.urandom(40 * MIB)
    with path.open("ab") as file:
        file.write((len(filling) + 8).to_bytes(4, "big") + b"free" + filling)
    return path


@pytest.fixture
def begin(page: Page, large_clip: Path) -> Callable[[], list[Request]]:
    """`begin()`: choose the large clip, on a slow line; gives the requests of its upload, as they come."""

    def begin() -> list[Request]:
        requests: list[Request] = []
        page.on("request", lambda request: requests.append(request) if "/uploads/" in request.url else None)
        page.goto("/")
        line = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": BYTES_PER_SECOND}
        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", line)
        choose(page, large_clip)
        return requests

    return begin


def kept_bytes(service: Service, person: Person) -> int:
    user_id = person.call("get", "/users/me", 200)["id"]
    return sum(n for (n,) in service.rows("SELECT offset_bytes FROM resumable_uploads WHERE user_id = %s", user_id))


def assert_it_went_on(service: Service, person: Person, requests: list[Request], large_clip: Path) -> None:
    """One upload, never begun anew, and in storage what was on the disk."""
    methods = [request.method for request in requests]
    offsets = [int(request.headers["upload-offset"]) for request in requests if request.method == "PATCH"]
    video = person.wait_for(person.videos()[0], "COMPLETED")
    # What the extraction leaves there goes away again.
    kept = [path for path in service.objects_of(video) if "results" not in path.parts]
    sums = {hashlib.sha256(path.read_bytes()).digest() for path in kept}

    assert methods.count("POST") == 1
    assert offsets.count(0) == 1
    assert offsets == sorted(offsets)
    assert hashlib.sha256(large_clip.read_bytes()).digest() in sums


def test_an_upload_goes_on_when_the_api_is_back(
    service: Service,
    person: Person,
    page: Page,
    open_window: OpenWindow,
    begin: Callable[[], list[Request]],
    large_clip: Path,
) -> None:
    # For a while the next API leaves the upload to the one that was killed.
    open_window.expect("net::ERR_", "status of 423")
    requests = begin()
    wait_until(lambda: kept_bytes(service, person) >= 8 * MIB, 30)
    service.processes["api"].kill()
    expect(page.get_by_text("Connection lost; it goes on by itself.")).to_be_visible()

    service.begin_again("api")
    expect(page.get_by_text("Arrived", exact=True)).to_be_visible()
    assert_it_went_on(service, person, requests, large_clip)


def test_an_upload_goes_on_after_a_reload(
    service: Service,
    person: Person,
    page: Page,
    open_window: OpenWindow,
    begin: Callable[[], list[Request]],
    large_clip: Path,
) -> None:
    # What the closed page had sent last may still be on its way into storage.
    open_window.expect("status of 409", "status of 423")
    requests = begin()
    wait_until(lambda: kept_bytes(service, person) >= 16 * MIB, 30)
    page.reload()

    expect(page.get_by_text("Arrived", exact=True)).to_be_visible()
    assert_it_went_on(service, person, requests, large_clip)


def test_an_upload_can_be_paused_and_given_up(
    service: Service, person: Person, page: Page, begin: Callable[[], list[Request]]
) -> None:
    begin()
    wait_until(lambda: kept_bytes(service, person) > 0, 30)
    page.get_by_role("button", name="Pause large.mp4").click()
    expect(page.get_by_role("button", name="Go on with large.mp4")).to_be_visible()
    page.get_by_role("button", name="Give up large.mp4").click()

    expect(page.get_by_role("region", name="Uploads")).to_be_hidden()
    wait_until(lambda: kept_bytes(service, person) == 0, 10)
    assert person.videos() == []
