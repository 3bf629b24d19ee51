"""The page in a real browser, in front of the real service. It is built as `main.py` builds it, and kept."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app import page_folder
from app.local_stack import page as builder
from app.local_stack.processes import Process
from tests.clips import Clip, draw_clip
from tests.conftest import Inbox, needs
from tests.end_to_end.service import Person, Service
from tests.page.window import Window

NAMES = ("chromium", "chromium-browser", "google-chrome")
UPLOAD_MAX_BYTES = 64 * 2**20
expect.set_options(timeout=30_000)

FLAGS = (
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="package")
def chromium() -> str:
    """The browser to use: its path."""
    found = os.environ.get("FOTOGRAMA_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    needs(found, "Chromium (`apt install chromium`, or a path in FOTOGRAMA_CHROMIUM)")
    assert found
    return found


@pytest.fixture(scope="package")
def built_page(chromium: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """The page of the present sources, from one run of the tests to the next."""
    folder = builder.folder_for(pytestconfig.cache.mkdir("page"))
    if page_folder.state(folder).status != "ready":
        log = tmp_path_factory.mktemp("build") / "log"
        builder.build(folder, run=lambda part: Process(part, log=log).wait_until_done())
    return folder


@contextmanager
def running(service: Service, **more: str) -> Iterator[Service]:
    """The service with these settings and one worker."""
    service.more |= more
    try:
        service.start()
        service.start_workers()
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="package")
def service(built_page: Path, tmp_path_factory: pytest.TempPathFactory, mailbox: Inbox) -> Iterator[Service]:
    """The service with the page and one worker."""
    # Long videos are cut into many parts, whose frames come one part after the other.
    more = {"PAGE_FOLDER": str(built_page), "UPLOAD_MAX_BYTES": str(UPLOAD_MAX_BYTES), "SEGMENT_SECONDS": "2"}
    with running(Service.embedded(tmp_path_factory.mktemp("page"), inbox=mailbox), **more) as service:
        yield service


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    """One for all tests, each of which has windows of its own."""
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *root])
        yield browser
        browser.close()


class OpenWindow:
    """`open_window(person)`: a browser of their own, signed in."""

    def __init__(self, browser: Browser, service: Service) -> None:
        self._browser = browser
        self._service = service
        self._windows: list[Window] = []
        self._expected: list[str] = []

    def __call__(
        self, person: Person | None = None, *, locale: str = "en-US", service: Service | None = None, **more: Any
    ) -> Window:
        window = Window(self._browser, service or self._service, locale=locale, **more)
        self._windows.append(window)
        if person:
            window.sign_in(person)
        return window

    def expect(self, *complaints: str) -> None:
        """What the test provokes on purpose: pieces of what a browser complains of then."""
        self._expected += complaints

    def close(self) -> list[str]:
        """Close all; what they complained of beside that."""
        heard = [complaint for window in self._windows for complaint in window.close()]
        return [complaint for complaint in heard if not any(piece in complaint for piece in self._expected)]


@pytest.fixture
def open_window(browser: Browser, service: Service) -> Iterator[OpenWindow]:
    """Whatever goes wrong in a window fails the test at its end."""
    opener = OpenWindow(browser, service)
    yield opener
    assert "\n".join(opener.close()) == ""


@pytest.fixture(scope="package")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Five seconds, 25 pictures each."""
    return draw_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=125, size=(320, 192))


@pytest.fixture(scope="package")
def large_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seconds to send; most of it is a box that players skip."""
    path = draw_clip(tmp_path_factory.mktemp("large") / "large.mp4", frames=50).path
    filling = os.urandom(40 * 2**20)
    with path.open("ab") as file:
        file.write((len(filling) + 8).to_bytes(4, "big") + b"free" + filling)
    return path


@pytest.fixture
def person(service: Service) -> Iterator[Person]:
    """Somebody who has signed up."""
    person = Person(service)
    yield person
    person.client.close()


@pytest.fixture
def page(open_window: OpenWindow, person: Person) -> Page:
    """A page where `person` is signed in."""
    return open_window(person).page
