"""Every screen in both languages and themes, on a phone and on a desk: nothing that keeps anybody out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.clips import Clip
from tests.end_to_end.service import Person, Service
from tests.page.conftest import OpenWindow
from tests.page.window import THEMES, Window


@dataclass(frozen=True)
class Sight:
    """How somebody looks at the page."""

    locale: str
    theme: str
    width: int
    height: int
    words: str
    """That only this language has, on the first screen."""

    def open(self, open_window: OpenWindow, person: Person | None = None) -> Window:
        return open_window(
            person,
            locale=self.locale,
            color_scheme=self.theme,
            width=self.width,
            height=self.height,
            has_touch=self.width < 500,
        )


SIGHTS = [
    Sight("en-US", "light", 1280, 800, "Upload videos"),
    Sight("pt-BR", "dark", 360, 740, "Enviar vídeos"),
]
EVERYBODY = [
    *SIGHTS,
    Sight("en-US", "dark", 360, 740, "Upload videos"),
    Sight("pt-BR", "light", 1280, 800, "Enviar vídeos"),
]
OUTSIDE = ["/sign-in", "/sign-up", "/reset-password#token=abc", "/confirm-email"]


@pytest.fixture(scope="module")
def full(service: Service, short_clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Somebody who has a video in each state."""
    broken = tmp_path_factory.mktemp("broken") / "broken.mp4"
    broken.write_text("no video")
    person = Person(service)
    done = person.wait_for(person.upload(short_clip.path, interval="0.2"), "COMPLETED")
    ready = person.upload(short_clip.path, extract="false")
    person.wait_for(person.upload(broken), "FAILED")
    person.wait_for(ready, "READY")
    yield {"person": person, "done": done, "ready": ready}
    person.client.close()


@pytest.mark.parametrize("sight", EVERYBODY, ids=lambda sight: f"{sight.locale}-{sight.width}")
def test_every_screen_can_be_used_by_everybody(
    open_window: OpenWindow, full: dict[str, Any], sight: Sight, subtests: pytest.Subtests
) -> None:
    open_window.expect("404 (Not Found)")
    full["person"].call("patch", "/users/me", 200, json={"locale": "pt-BR" if "pt" in sight.locale else "en"})
    stranger, window = sight.open(open_window), sight.open(open_window, full["person"])
    inside = [
        "/",
        f"/videos/{full['ready']['id']}",
        f"/extractions/{full['done']['extraction_id']}",
        "/settings",
        "/nothing-here",
    ]
    for address, shown in [*((one, stranger) for one in OUTSIDE), *((one, window) for one in inside)]:
        shown.page.goto(address)
        expect(shown.page.get_by_role("heading", level=1)).to_have_count(1)
        expect(shown.page.locator("[aria-busy=true]")).to_have_count(0)
        for theme in THEMES:
            with subtests.test(f"{address}, {theme}"):
                shown.show_theme(theme)
                assert "\n".join(shown.accessibility_violations()) == ""
                assert shown.overflow_pixels() == 0


@pytest.mark.parametrize("sight", SIGHTS, ids=lambda sight: f"{sight.locale}-{sight.theme}")
def test_language_and_theme_are_those_of_the_reader(open_window: OpenWindow, person: Person, sight: Sight) -> None:
    person.call("patch", "/users/me", 200, json={"locale": "pt-BR" if "pt" in sight.locale else "en"})
    page = sight.open(open_window, person).page
    page.goto("/")

    expect(page.get_by_role("button", name=sight.words)).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == ("pt-BR" if "pt" in sight.locale else "en")
    color = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    levels = [float(level) for level in re.findall(r"[\d.]+", color)[:3]]
    assert (sum(levels) / 3 < 80) == (sight.theme == "dark"), color
