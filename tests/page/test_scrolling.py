"""Twenty thousand frames, scrolled through as if they were twenty."""

import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.clips import draw_clip
from tests.end_to_end.service import Person, Service
from tests.page.conftest import OpenWindow

FRAMES = 20_000
STEPS = 150
# Scrolls on at each frame of the browser.
SCROLL = """(steps) => new Promise((give) => {
  const step = () => {
    if (!steps--) return give();
    scrollBy(0, 300);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""
# Of 60 frames a second. What else this machine does meanwhile is not in it: the page's own time on a processor is.
FRAME_MILLISECONDS = 1000 / 60


@pytest.fixture(scope="module")
def owner(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody who has taken all frames of a clip of 20,000."""
    person = Person(service)
    clip = draw_clip(tmp_path_factory.mktemp("many") / "many.mp4", frames=FRAMES, size=(64, 36))
    video = person.upload(clip.path, plan='{"mode": "all", "quality": 30}')
    person.wait_for(video, "COMPLETED", within_seconds=240)
    yield person
    person.client.close()


@pytest.fixture
def many(open_window: OpenWindow, owner: Person) -> Page:
    """A page that shows them."""
    page = open_window(owner).page
    page.goto(f"/extractions/{owner.videos()[0]['extraction_id']}")
    return page


def busy_seconds(devtools: CDPSession) -> float:
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def test_twenty_thousand_frames_scroll_smoothly(many: Page) -> None:
    sheet = many.get_by_role("list", name="Contact sheet")
    expect(sheet.locator("img").first).to_have_js_property("naturalWidth", 64)
    devtools = many.context.new_cdp_session(many)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = busy_seconds(devtools)
    many.evaluate(SCROLL, STEPS)
    milliseconds = (busy_seconds(devtools) - before) / STEPS * 1000
    cells = sheet.get_by_role("listitem").count()
    sheet.get_by_role("button").first.focus()
    many.keyboard.press("End")
    last = sheet.get_by_role("listitem").last

    assert 0 < milliseconds < FRAME_MILLISECONDS
    assert cells < 500
    expect(last).to_have_attribute("aria-posinset", str(FRAMES))
    expect(last.locator("img")).to_have_js_property("naturalWidth", 64)


def test_all_but_one_of_them_can_be_taken(many: Page) -> None:
    many.get_by_role("button", name="Choose all").click()
    many.get_by_role("list", name="Contact sheet").get_by_role("checkbox").nth(2).click()
    expect(many.get_by_text("19,999 chosen").first).to_be_visible()
    with many.expect_download(timeout=120_000) as download:
        many.get_by_role("button", name="Download the chosen").click()
    names = zipfile.ZipFile(download.value.path()).namelist()

    assert len(names) == FRAMES - 1 + 2
    assert "frame_00h00m00.080s.jpg" not in names


def test_the_manifest_is_the_archives(many: Page) -> None:
    many.get_by_role("button", name="Manifest").click()
    with many.context.expect_page() as opened:
        many.get_by_role("link", name="JSON").click()
    manifest = many.context.request.get(opened.value.url).json()

    assert [frame["sequence"] for frame in manifest["frames"]] == [*range(FRAMES)]
