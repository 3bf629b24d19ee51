"""What is laid over the screens for a moment, and each way to choose frames: for everybody, too, in both languages and
themes, on a phone and on a desk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.clips import Clip
from tests.end_to_end.service import Person
from tests.page.test_screens import EVERYBODY, Sight
from tests.page.test_states import check, window, words
from tests.page.window import Window, choose

__all__ = ["check", "window", "words"]

MODES = ("every", "count", "at", "scenes", "best", "keyframes", "every_nth", "all")


@pytest.fixture(params=EVERYBODY, ids=lambda sight: f"{sight.locale}-{sight.width}")
def sight(request: pytest.FixtureRequest) -> Sight:
    return request.param


def test_the_sheet_of_keys(window: Window, check: Callable[[str], None], words: dict[str, str]) -> None:
    window.page.goto("/")
    expect(window.page.get_by_role("heading", level=1)).to_be_visible()
    window.page.keyboard.press("?")
    expect(window.page.get_by_role("dialog")).to_contain_text(words["keysheet.help"])
    check("sheet of keys")


def test_a_video_that_is_deleted_and_brought_back(
    window: Window, check: Callable[[str], None], words: dict[str, str], person: Person, short_clip: Clip
) -> None:
    page = window.page
    person.wait_for(person.upload(short_clip.path, extract="false"), "READY")
    person.wait_for(person.upload(short_clip.path, extract="false"), "READY")
    page.goto("/")
    videos = page.get_by_role("article")
    expect(videos).to_have_count(2)
    videos.first.get_by_role("button").last.click()
    check("what else can be done")
    delete = page.get_by_role("button", name=words["video.delete"])
    delete.click()
    expect(videos).to_have_count(1)
    check("deleted for now")
    find = page.get_by_role("searchbox")
    place = find.bounding_box()
    for is_wanted_back in (True, False):
        videos.first.get_by_role("button").last.click()
        delete.click()
        expect(videos).to_have_count(0)
        assert find.bounding_box() == place
        if is_wanted_back:
            page.get_by_role("button", name=words["video.undo"]).last.click()
            expect(videos).to_have_count(1)
            assert find.bounding_box() == place
    check("all deleted")


def test_a_refused_upload(
    window: Window, check: Callable[[str], None], person: Person, short_clip: Clip, tmp_path: Path
) -> None:
    person.wait_for(person.upload(short_clip.path, extract="false"), "READY")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    window.page.goto("/")
    choose(window.page, empty)
    expect(window.page.get_by_text("empty.mp4").first).to_be_visible()
    check("refused")


def test_each_way_to_choose(
    window: Window,
    check: Callable[[str], None],
    words: dict[str, str],
    person: Person,
    short_clip: Clip,
) -> None:
    video: dict[str, Any] = person.wait_for(person.upload(short_clip.path, extract="false"), "READY")
    window.page.goto(f"/videos/{video['id']}")
    for mode in MODES:
        window.page.get_by_text(words[f"plan.mode.{mode}"], exact=True).first.click()
        expect(window.page.locator("input[type=radio]:checked")).to_have_count(1)
        check(mode)
