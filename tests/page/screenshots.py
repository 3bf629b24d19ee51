"""The pictures of the page in the documents, taken anew by `just screenshots`: a test run leaves the tree as it is."""

import math
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import expect

from app.local_stack.processes import PROJECT
from tests.clips import Pixels
from tests.end_to_end.service import Person
from tests.page.conftest import OpenWindow
from tests.pictures import write_clip

IMAGES = PROJECT / "docs" / "images"
MAX_BYTES = 170_000
PICTURES = 240


def paint_day(number: int) -> Pixels:
    """A day over hills, at one of its moments."""
    share = number / (PICTURES - 1)
    light = math.sin(share * math.pi)
    height, width = 360, 640
    down = np.linspace(0, 1, height)[:, None, None]
    top, bottom = np.array([30, 44, 80]), np.array([236, 170, 110])
    day_top, day_bottom = np.array([112, 164, 196]), np.array([222, 226, 208])
    sky = (top + (bottom - top) * down) * (1 - light) + (day_top + (day_bottom - day_top) * down) * light
    picture = np.ascontiguousarray(np.broadcast_to(sky, (height, width, 3)).astype(np.uint8))
    cv2.circle(picture, (int(40 + share * 560), int(250 - light * 190)), 34, (252, 226, 150), -1, cv2.LINE_AA)
    for depth, shade in enumerate((0.75, 0.5, 0.28)):
        across = np.arange(width)
        ridge = 230 + depth * 44 + 26 * np.sin(across / (90 - depth * 18) + depth * 2 + share * (depth + 1))
        hill = np.concatenate([np.stack([across, ridge], 1), [[width, height], [0, height]]]).astype(np.int32)
        color = tuple(float(level * shade * (0.35 + 0.65 * light)) for level in (96, 128, 120))
        cv2.fillPoly(picture, [hill], color, cv2.LINE_AA)
    return picture


def test_screenshots(open_window: OpenWindow, person: Person, tmp_path: Path) -> None:
    names = ("sunrise-to-sunset.mp4", "harbour.mp4")
    for name in names:
        write_clip(tmp_path / name, map(paint_day, range(PICTURES)), codec="libx264", pixel_format="yuv420p")
    waiting = person.wait_for(person.upload(tmp_path / names[1], extract="false"), "READY")
    done = person.wait_for(person.upload(tmp_path / names[0], plan='{"mode": "every", "seconds": 0.2}'), "COMPLETED")

    desk = open_window(person, width=1200, height=750)
    desk.page.goto("/")
    expect(desk.page.get_by_role("article", name=names[0]).locator("img")).to_have_js_property("complete", True)
    desk.page.screenshot(path=IMAGES / "page-videos.png")

    desk.page.goto(f"/videos/{waiting['id']}", wait_until="networkidle")
    expect(desk.page.get_by_role("status").filter(has_text="frames")).to_be_visible()
    desk.page.screenshot(path=IMAGES / "page-choose.png", full_page=True)

    # Pictures of pictures don't compress: a smaller window.
    desk.page.set_viewport_size({"width": 860, "height": 560})
    desk.page.goto(f"/extractions/{done['extraction_id']}", wait_until="networkidle")
    sheet = desk.page.get_by_role("list", name="Contact sheet")
    for chosen in (2, 8, 17):
        sheet.get_by_role("checkbox").nth(chosen).click()
    desk.page.evaluate("scrollTo(0, 0)")
    desk.page.screenshot(path=IMAGES / "page-frames.png")
    sheet.get_by_role("button").nth(16).click()
    expect(desk.page.locator("dialog img.full")).to_be_visible()
    desk.page.screenshot(path=IMAGES / "page-viewer.png")

    person.call("patch", "/users/me", 200, json={"locale": "pt-BR"})
    phone = open_window(person, locale="pt-BR", width=360, height=740, color_scheme="dark", has_touch=True)
    for address, name in (
        ("/", "page-videos-phone.png"),
        (f"/extractions/{done['extraction_id']}", "page-frames-phone.png"),
    ):
        phone.page.goto(address, wait_until="networkidle")
        phone.page.screenshot(path=IMAGES / name)

    sizes = {path.name: path.stat().st_size for path in IMAGES.glob("page-*.png")}
    assert len(sizes) == 6
    assert max(sizes.values()) <= MAX_BYTES, sizes
