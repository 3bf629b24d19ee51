"""What lies over the screens, and what screens become: each can be used by everybody, in both languages and themes."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app.local_stack.processes import PROJECT
from tests.clips import Clip
from tests.end_to_end.service import Person, Service
from tests.long_clips import make_long_clip
from tests.page.conftest import OpenWindow
from tests.page.test_screens import SIGHTS, Sight
from tests.page.window import THEMES, Window

TEXT = re.compile(r'^  "([\w.-]+)":\s+"(.+?)",$', re.MULTILINE)
EVERY_FIFTH = '{"mode": "every", "seconds": 0.2, "scores": true}'


# WebP takes its time, so that there is something to see of how it goes on.
SLOW = '{"mode": "every", "seconds": 0.1, "width": 480, "format": "webp"}'


@pytest.fixture(params=SIGHTS, ids=lambda sight: f"{sight.locale}-{sight.width}")
def sight(request: pytest.FixtureRequest) -> Sight:
    return request.param


@pytest.fixture
def words(sight: Sight) -> dict[str, str]:
    """The page's texts by their key."""
    catalogue = "pt-BR" if "pt" in sight.locale else "en"
    return dict(TEXT.findall((PROJECT / f"web/src/i18n/{catalogue}.ts").read_text()))


@pytest.fixture
def window(open_window: OpenWindow, person: Person, sight: Sight) -> Window:
    person.call("patch", "/users/me", 200, json={"locale": "pt-BR" if "pt" in sight.locale else "en"})
    return sight.open(open_window, person)


@pytest.fixture
def check(window: Window, subtests: pytest.Subtests) -> Callable[[str], None]:
    """`check("what")`: nothing of what is shown keeps anybody out, whichever the theme."""

    def check(what: str) -> None:
        for theme in THEMES:
            with subtests.test(f"{what}, {theme}"):
                window.show_theme(theme)
                assert "\n".join(window.accessibility_violations()) == ""
                assert window.overflow_pixels() == 0

    return check


@pytest.fixture
def done(person: Person, short_clip: Clip) -> dict[str, Any]:
    return person.wait_for(person.upload(short_clip.path, plan=EVERY_FIFTH), "COMPLETED")


def test_frames_looked_at_and_chosen(
    window: Window, check: Callable[[str], None], words: dict[str, str], done: dict[str, Any]
) -> None:
    page = window.page
    page.goto(f"/extractions/{done['extraction_id']}")
    sheet = page.get_by_role("list", name=words["frame.sheet"])
    expect(sheet.locator("img").first).to_have_js_property("complete", True)
    check("sheet with sliders")
    for number in (1, 3):
        sheet.get_by_role("checkbox").nth(number).click()
    check("chosen")
    sheet.get_by_role("button").nth(2).click()
    expect(page.locator("dialog img.full")).to_be_visible()
    check("viewer")
    page.keyboard.press("z")
    check("viewer in actual size")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.get_by_role("button", name=words["selection.clear"]).click()
    page.get_by_role("button", name=words["manifest.open"]).click()
    expect(page.get_by_role("dialog").get_by_text(".jpg").first).to_be_visible()
    check("manifest")


def test_settings_in_all_their_states(
    open_window: OpenWindow, window: Window, check: Callable[[str], None], words: dict[str, str]
) -> None:
    open_window.expect("403 (Forbidden)", "401 (Unauthorized)", "422 (")
    page = window.page
    page.goto("/settings")
    page.get_by_label(words["keys.name"]).fill("nightly script")
    page.get_by_role("button", name=words["keys.make"]).click()
    expect(page.get_by_text(re.compile("^fg_.{20}"))).to_be_visible()
    check("a key")
    page.get_by_role("button", name=words["confirm.again"]).click()
    check("told")
    page.get_by_label(words["account.currentPassword"]).fill("not that password")
    page.get_by_label(words["account.newPassword"], exact=True).fill("a new long password")
    page.get_by_role("button", name=words["account.changePassword"]).click()
    expect(page.get_by_role("alert").filter(has_text=words["problem.WRONG_PASSWORD"])).to_be_visible()
    check("wrong password")
    page.get_by_role("button", name=words["account.delete"]).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    check("leaving")


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Minutes long, and many parts."""
    return make_long_clip(tmp_path_factory.mktemp("long") / "long.mp4", frames=4500)


@pytest.fixture
def held(person: Person, service: Service, long_clip: Clip) -> Iterator[dict[str, Any]]:
    """A video whose frames don't come."""
    video = person.upload(long_clip.path, plan='{"mode": "every", "seconds": 0.5}')
    _, decoders = service.hold(video)
    yield video
    for decoder in decoders:
        if decoder.is_running():
            decoder.resume()


def test_an_extraction_that_runs_and_is_cancelled(
    window: Window, check: Callable[[str], None], words: dict[str, str], held: dict[str, Any]
) -> None:
    page = window.page
    page.goto("/")
    expect(page.get_by_role("progressbar").first).to_be_visible()
    check("running, in the history")
    page.goto(f"/extractions/{held['extraction_id']}")
    expect(page.get_by_role("progressbar")).to_be_visible()
    check("running")
    page.get_by_role("button", name=words["video.cancel"]).click()
    expect(page.get_by_text(words["failure.CANCELLED"], exact=True)).to_be_visible()
    check("cancelled")


def test_an_extraction_that_failed(
    window: Window,
    check: Callable[[str], None],
    words: dict[str, str],
    person: Person,
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    failed = person.wait_for(person.upload(broken), "FAILED")
    for address in (f"/extractions/{failed['extraction_id']}", f"/videos/{failed['id']}"):
        window.page.goto(address)
        expect(window.page.get_by_text(words["failure.NOT_A_VIDEO"]).first).to_be_visible()
        check(address.split("/")[1])


# Everything that is shown of the progress, as it is shown.
LISTEN = """() => {
  window.told = [];
  const look = () => {
    const bar = document.querySelector("[role=progressbar]");
    const now = bar && [Number(bar.getAttribute("aria-valuenow") ?? -1),
      document.querySelectorAll("ol li img").length,
      document.querySelector("main [role=status]")?.textContent];
    if (now && String(now) !== String(told.at(-1))) told.push(now);
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true,
    characterData: true});
  look();
}"""


def test_frames_appear_while_the_extraction_runs(page: Page, person: Person, long_clip: Clip) -> None:
    video = person.upload(long_clip.path, plan=SLOW)
    page.goto(f"/extractions/{video['extraction_id']}")
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.evaluate(LISTEN)
    strip = page.get_by_role("group", name="Frames so far")
    expect(strip.get_by_role("img").first).to_have_js_property("naturalWidth", 160)
    assert page.get_by_role("link", name="Download all").count() == 0
    expect(strip.get_by_role("img").first).to_have_accessible_name(re.compile(r"Frame at \d+:\d\d\.\d"))
    expect(page.get_by_role("link", name="Download all")).to_be_visible(timeout=120_000)
    told = page.evaluate("told")
    expect(page.get_by_role("list", name="Contact sheet").locator("img").first).to_be_visible()

    shares = [share for share, _, _ in told if share >= 0]
    assert shares == sorted(shares)
    assert len({*shares}) >= 4, told
    # Of the strip's places more and more are taken, and long before the end.
    shown = [count for _, count, _ in told]
    assert shown == sorted(shown)
    assert any(count > 0 and share < 90 for share, count, _ in told), told
    spoken = [text for _, _, text in told if text and "done" in text]
    assert 1 <= len(dict.fromkeys(spoken)) <= 11
