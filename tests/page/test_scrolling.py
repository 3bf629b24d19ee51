"""Twenty thousand frames, scrolled through as if they were twenty."""

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.clips import draw_clip
from tests.end_to_end.service import Person
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


@pytest.fixture
def many(open_window: OpenWindow, person: Person, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A page that shows the frames of a clip of 20,000, all of them."""
    clip = draw_clip(tmp_path_factory.mktemp("many") / "many.mp4", frames=FRAMES, size=(64, 36))
    video = person.upload(clip.path, plan='{"mode": "all", "quality": 30}')
    done = person.wait_for(video, "COMPLETED", within_seconds=240)
    page = open_window(person).page
    page.goto(f"/extractions/{done['extraction_id']}")
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
