"""Videos that the page puts straight into a cloud's store, by the doubles of three."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Page, Request, expect

from app.settings import Settings
from app.storage.rules import Place, azure, google, rules_of, send
from tests.clips import Clip
from tests.conftest import PROJECT, Inbox
from tests.end_to_end.service import Person, Service
from tests.page.conftest import UPLOAD_MAX_BYTES, OpenWindow, running
from tests.page.window import choose, slow_line
from tests.stores.doubles import BUCKET, Double
from tests.waiting import wait_until

MIB = 2**20
WAY = re.compile("upload-url|/complete|/uploads/")
PLACE = re.compile("[0-9a-f-]{36}")


@pytest.fixture(scope="module", params=["moto", "google", "azurite"])
def double(request: pytest.FixtureRequest, stores: Callable[[str], Double]) -> Double:
    return stores(request.param)


@pytest.fixture(scope="module")
def service(
    built_page: Path, tmp_path_factory: pytest.TempPathFactory, mailbox: Inbox, double: Double
) -> Iterator[Service]:
    """The service on that store, which lets its page in."""
    more = {
        **double.environment,
        "STORAGE_URL": double.new_folder(),
        "DIRECT_UPLOAD": "true",
        "PAGE_FOLDER": str(built_page),
        "UPLOAD_MAX_BYTES": str(UPLOAD_MAX_BYTES),
    }
    with running(Service.embedded(tmp_path_factory.mktemp("direct"), inbox=mailbox), **more) as service:
        # Others' rules are for other pages, and one double heeds only the first.
        shut_out(double, service)
        let_the_page_in(service)
        yield service
        shut_out(double, service)


def let_the_page_in(service: Service) -> None:
    """As an operator does."""
    command = [sys.executable, "-m", "app.admin", "storage-rules", "apply"]
    subprocess.run(command, cwd=PROJECT, env={"PATH": "/usr/bin", **service.environment}, check=True)


def shut_out(double: Double, service: Service) -> None:
    """No page of another site may send to the store any more."""
    with double.reached():
        place = _place(service)
        if double.url.startswith("gs:"):
            url, headers = f"{place.endpoint}/storage/v1/b/{BUCKET}", {"Authorization": f"Bearer {google._token()}"}
            request = httpx2.Request("PATCH", url, json={"cors": []}, headers=headers)
        elif double.url.startswith("s3:"):
            request = httpx2.Request("DELETE", f"{place.endpoint}/{BUCKET}?cors")
        else:
            none = b"<StorageServiceProperties><Cors /></StorageServiceProperties>"
            request = azure._request(place, "PUT", body=none)
        send(request)


def _place(service: Service) -> Place:
    url = service.environment["STORAGE_URL"]
    settings = Settings(_env_file=None, secret_key="a key that only this test knows of", storage_url=url)
    return rules_of(settings)[1]


@pytest.fixture
def shut(double: Double, service: Service) -> Iterator[None]:
    """The store lets no page in."""
    shut_out(double, service)
    yield
    let_the_page_in(service)


@contextmanager
def sent_by(page: Page, service: Service) -> Iterator[tuple[list[Request], list[Request]]]:
    """What the page sends to the store, and what to the service, as it begins."""
    to_store: list[Request] = []
    to_service: list[Request] = []

    def note(request: Request) -> None:
        (to_service if request.url.startswith(service.url) else to_store).append(request)

    page.on("request", note)
    yield to_store, to_service
    page.remove_listener("request", note)


def wait_for_the_middle(page: Page) -> None:
    """More of the large clip than a piece was sent, and not yet all."""
    bar = page.get_by_role("progressbar", name="large.mp4")
    wait_until(lambda: 50 <= int(bar.get_attribute("aria-valuenow") or 0) < 90, 30)


def of_the_way(requests: list[Request]) -> list[str]:
    """What the page has asked the service for its uploads."""
    paths = [(request.method, urlsplit(request.url).path) for request in requests]
    return [f"{method} {PLACE.sub('ID', path)}" for method, path in paths if WAY.search(path) and method != "GET"]


def assert_it_is_there(person: Person, path: Path) -> None:
    """One video, of just those bytes."""
    (video,) = person.videos()
    person.wait_for(video, "COMPLETED")

    assert person.client.get(f"/videos/{video['id']}/source").content == path.read_bytes()
    assert person.call("get", "/users/me/usage", 200)["videos"] == 1


def test_the_page_puts_a_video_into_the_store_by_itself(
    service: Service, person: Person, page: Page, short_clip: Clip
) -> None:
    with sent_by(page, service) as (to_store, to_service):
        page.goto("/")
        choose(page, short_clip.path)
        expect(page.get_by_text("Arrived", exact=True)).to_be_visible()
    assert_it_is_there(person, short_clip.path)

    assert {request.method for request in to_store} == {"PUT"}
    assert of_the_way(to_service) == ["POST /videos/upload-url", "POST /videos/ID/complete"]
    assert sum(request.sizes()["requestBodySize"] for request in to_service if request.method == "POST") < 2000


def test_a_reload_in_the_middle_goes_on_or_begins_anew(
    double: Double, service: Service, person: Person, page: Page, large_clip: Path
) -> None:
    with sent_by(page, service) as (to_store, to_service):
        page.goto("/")
        slow_line(page)
        choose(page, large_clip)
        wait_for_the_middle(page)
        page.reload()
        expect(page.get_by_text("Arrived", exact=True)).to_be_visible()
    assert_it_is_there(person, large_clip)

    way = of_the_way(to_service)
    if double.url.startswith("gs:"):
        said = " ".join(request.headers["content-range"] for request in to_store)
        starts = [int(start) for start in re.findall(r"bytes (\d+)-", said)]
        # What had come of the piece that the reload has cut counts, too.
        assert starts == sorted(starts)
        assert (starts[:2], starts.count(0)) == ([0, 16 * MIB], 1)
        assert way == ["POST /videos/upload-url", "POST /videos/ID/complete"]
    else:
        anew = ["DELETE /videos/upload-url/ID", "POST /videos/upload-url"]
        assert way == ["POST /videos/upload-url", *anew, "POST /videos/ID/complete"]


def test_what_is_paused_goes_on_when_it_is_told_to(
    service: Service, person: Person, page: Page, large_clip: Path
) -> None:
    with sent_by(page, service) as (to_store, to_service):
        page.goto("/")
        slow_line(page)
        choose(page, large_clip)
        wait_for_the_middle(page)
        page.get_by_role("button", name="Pause large.mp4").click()
        expect(page.get_by_text("paused")).to_be_visible()
        sent = len(to_store)
        page.get_by_role("button", name="Go on with large.mp4").click()
        expect(page.get_by_text("Arrived", exact=True)).to_be_visible()
    assert_it_is_there(person, large_clip)

    assert len(to_store) > sent
    assert of_the_way(to_service) == ["POST /videos/upload-url", "POST /videos/ID/complete"]


def test_no_room_is_kept_for_what_is_given_up(person: Person, page: Page, large_clip: Path) -> None:
    page.goto("/")
    slow_line(page)
    choose(page, large_clip)
    wait_for_the_middle(page)
    kept = person.call("get", "/users/me/usage", 200)["stored_bytes"]
    with page.expect_response(lambda answer: "/videos/upload-url/" in answer.url and answer.status == 204):
        page.get_by_role("button", name="Give up large.mp4").click()
    expect(page.get_by_role("region", name="Uploads")).to_be_hidden()
    page.reload()
    expect(page.get_by_role("button", name="Upload videos")).to_be_visible()

    assert kept == large_clip.stat().st_size
    assert person.call("get", "/users/me/usage", 200)["stored_bytes"] == 0
    expect(page.get_by_role("region", name="Uploads")).to_be_hidden()
    assert person.videos() == []


def test_a_network_that_goes_and_comes_changes_nothing(
    service: Service, person: Person, page: Page, open_window: OpenWindow, large_clip: Path
) -> None:
    open_window.expect("net::ERR_", "blocked by CORS policy")
    with sent_by(page, service) as (_, to_service):
        page.goto("/")
        cut = slow_line(page)
        choose(page, large_clip)
        wait_for_the_middle(page)
        cut(True)
        expect(page.get_by_text("Connection lost; it goes on by itself.")).to_be_visible()
        cut(False)
        expect(page.get_by_text("Arrived", exact=True)).to_be_visible()
    assert_it_is_there(person, large_clip)

    # Some of what it told the service was lost, too.
    begun, *told = of_the_way(to_service)
    assert (begun, {*told}) == ("POST /videos/upload-url", {"POST /videos/ID/complete"})


@pytest.mark.usefixtures("shut")
def test_what_the_store_lets_no_page_send_goes_through_the_api(
    service: Service, person: Person, page: Page, open_window: OpenWindow, short_clip: Clip, large_clip: Path
) -> None:
    # And the row of the first moves when that of the second comes above it.
    open_window.expect("blocked by CORS policy", "net::ERR_FAILED", "layout shift")
    with sent_by(page, service) as (to_store, to_service):
        page.goto("/")
        choose(page, short_clip.path)
        expect(page.get_by_text("Arrived", exact=True)).to_be_visible()
    assert_it_is_there(person, short_clip.path)
    with sent_by(page, service) as (of_the_second, _):
        choose(page, large_clip)
        expect(page.get_by_role("link", name="Open")).to_have_count(2)

    first, given_up, *by_tus = of_the_way(to_service)
    assert (first, given_up) == ("POST /videos/upload-url", "DELETE /videos/upload-url/ID")
    assert by_tus[0] == "POST /uploads/"
    assert len(to_store) == 1
    assert of_the_second == []
    sizes = short_clip.path.stat().st_size + large_clip.stat().st_size
    wait_until(lambda: person.call("get", "/users/me/usage", 200)["videos"] == 2, 30)
    assert sum(video["bytes"] for video in person.videos()) == sizes
