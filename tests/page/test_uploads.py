"""Videos that are brought through the page: what arrives is what was chosen, whatever dies or is closed meanwhile."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from tests.conftest import PASSWORD
from tests.end_to_end.service import Person, Service
from tests.page.conftest import OpenWindow
from tests.page.window import choose, slow_line
from tests.waiting import wait_until

MIB = 2**20


@pytest.fixture
def begin(page: Page, large_clip: Path) -> Callable[[], list[Request]]:
    """`begin()`: choose the large clip, on a slow line; gives the requests of its upload, as they come."""

    def begin() -> list[Request]:
        requests: list[Request] = []
        page.on("request", lambda request: requests.append(request) if "/uploads/" in request.url else None)
        page.goto("/")
        slow_line(page)
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


def allow(service: Service, person: Person, *, videos: int) -> None:
    """How many videos somebody may keep."""
    quotas = json.dumps({"videos": videos})
    service.rows("UPDATE users SET quotas = %s::jsonb WHERE email = %s RETURNING 1", quotas, person.email)


def test_what_was_paused_stays_so_after_a_reload(
    service: Service, person: Person, page: Page, begin: Callable[[], list[Request]], large_clip: Path
) -> None:
    requests = begin()
    wait_until(lambda: kept_bytes(service, person) >= 16 * MIB, 30)
    page.get_by_role("button", name="Pause large.mp4").click()
    uploads = page.get_by_role("region", name="Uploads")
    expect(uploads).to_contain_text("paused")
    told = uploads.get_by_text("paused").inner_text()
    sent = len(requests)
    page.reload()
    expect(uploads.get_by_role("listitem")).to_have_count(1)
    expect(uploads.get_by_text("paused")).to_have_text(told)
    sent_unasked = len(requests) - sent
    uploads.get_by_role("button", name="Go on with large.mp4").click()
    expect(page.get_by_text("Arrived", exact=True)).to_be_visible()

    assert sent_unasked == 0
    assert_it_went_on(service, person, requests, large_clip)


def test_a_file_that_could_not_be_kept_is_asked_for_once_it_goes_on(
    service: Service, person: Person, page: Page, begin: Callable[[], list[Request]], large_clip: Path
) -> None:
    room = {"origin": service.url, "quotaSize": 20 * MIB}
    page.context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", room)
    requests = begin()
    wait_until(lambda: kept_bytes(service, person) >= 16 * MIB, 30)
    page.get_by_role("button", name="Pause large.mp4").click()
    page.reload()
    uploads = page.get_by_role("region", name="Uploads")
    expect(uploads.get_by_text("paused")).to_be_visible()
    expect(uploads.get_by_role("button", name="Choose the file")).to_be_hidden()
    uploads.get_by_role("button", name="Go on with large.mp4").click()
    with page.expect_file_chooser() as chooser:
        uploads.get_by_role("button", name="Choose the file").click()
    chooser.value.set_files(large_clip)
    expect(page.get_by_text("Arrived", exact=True)).to_be_visible()

    assert_it_went_on(service, person, requests, large_clip)


def test_what_was_refused_stays_so_after_a_reload(
    service: Service,
    person: Person,
    page: Page,
    open_window: OpenWindow,
    begin: Callable[[], list[Request]],
    large_clip: Path,
) -> None:
    open_window.expect("status of 507")
    allow(service, person, videos=0)
    requests = begin()
    uploads = page.get_by_role("region", name="Uploads")
    why = uploads.get_by_text("You have as many videos as you may keep; delete some and try again.")
    expect(why).to_be_visible()
    refused = len(requests)
    page.reload()
    expect(why).to_be_visible()
    with page.expect_response(lambda answer: answer.status == 507):
        choose(page, large_clip)
    expect(why).to_be_visible()
    page.reload()
    expect(uploads.get_by_role("listitem")).to_have_count(1)
    expect(why).to_be_visible()
    allow(service, person, videos=1)
    uploads.get_by_role("button", name="Try large.mp4 again").click()
    expect(page.get_by_text("Arrived", exact=True)).to_be_visible()

    assert (refused, [request.method for request in requests].count("POST")) == (1, 3)
    person.wait_for(person.videos()[0], "COMPLETED")


def test_who_signs_in_next_sees_nothing_of_what_was_left(
    service: Service, person: Person, open_window: OpenWindow, begin: Callable[[], list[Request]], page: Page
) -> None:
    open_window.expect("status of 401")
    requests = begin()
    wait_until(lambda: kept_bytes(service, person) > 0, 30)
    other = Person(service)

    def change_to(somebody: Person) -> None:
        page.get_by_role("button", name="Your account").click()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("E-mail address").fill(somebody.email)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("button", name="Upload videos")).to_be_visible()

    change_to(other)
    sent = len(requests)
    expect(page.get_by_role("region", name="Uploads")).to_be_hidden()
    page.reload()
    expect(page.get_by_role("button", name="Upload videos")).to_be_visible()
    expect(page.get_by_role("region", name="Uploads")).to_be_hidden()
    sent_as_another = len(requests) - sent
    change_to(person)
    expect(page.get_by_text("Arrived", exact=True)).to_be_visible()

    others_videos = other.videos()
    other.client.close()

    assert (sent_as_another, others_videos) == (0, [])
    person.wait_for(person.videos()[0], "COMPLETED")


def test_of_two_pages_one_has_an_upload_and_the_other_takes_it_up(
    service: Service, person: Person, open_window: OpenWindow, begin: Callable[[], list[Request]], page: Page
) -> None:
    # What the closed page had sent last may still be on its way into storage.
    open_window.expect("status of 409", "status of 423")
    requests = begin()
    other = page.context.new_page()
    other.on("request", lambda request: requests.append(request) if "/uploads/" in request.url else None)
    other.goto("/")
    expect(other.get_by_role("button", name="Upload videos")).to_be_visible()
    wait_until(lambda: kept_bytes(service, person) >= 16 * MIB, 30)
    expect(other.get_by_role("region", name="Uploads")).to_be_hidden()
    page.goto("about:blank")
    expect(other.get_by_text("Arrived", exact=True)).to_be_visible()

    (video,) = person.videos()
    person.wait_for(video, "COMPLETED")
    assert [request.method for request in requests].count("POST") == 1
