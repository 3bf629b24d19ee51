"""The whole of it, by one person: from signing up to the frames, and the mail that comes of it."""

import base64
import re
import secrets

import httpx2
from playwright.sync_api import Page, expect

from app.local_stack.mailbox import first_link
from tests.clips import Clip
from tests.conftest import PASSWORD
from tests.end_to_end.archives import pictures_in
from tests.end_to_end.service import Service
from tests.page.conftest import OpenWindow

# What is on screen each half second, where 25 pictures are shown a second.
EACH_HALF_SECOND = [0, 12, 25, 37, 50, 62, 75, 87, 100, 112]

DROP = """([name, content]) => {
  const transfer = new DataTransfer();
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  transfer.items.add(new File([bytes], name, { type: "video/mp4" }));
  for (const type of ["dragenter", "dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def drop(page: Page, clip: Clip) -> None:
    page.evaluate(DROP, [clip.path.name, base64.b64encode(clip.path.read_bytes()).decode()])


def test_the_whole_story(open_window: OpenWindow, service: Service, short_clip: Clip) -> None:
    window = open_window()
    page, email = window.page, f"ana-{secrets.token_hex(4)}@example.com"
    page.goto("/sign-up")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Create an account").click()

    page.get_by_label("Let me choose first").check()
    drop(page, short_clip)
    expect(page.get_by_role("heading", name="clip.mp4")).to_be_visible()
    expect(page.get_by_text("25 per second")).to_be_visible()
    page.get_by_label("Seconds", exact=True).fill("0.5")
    expect(page.get_by_role("status").filter(has_text="10 frames")).to_be_visible()
    page.get_by_role("button", name="Take the frames").click()

    expect(page.get_by_role("link", name="Download all")).to_be_visible()
    sheet = page.get_by_role("list", name="Contact sheet")
    expect(sheet.get_by_role("checkbox")).to_have_count(10)
    expect(sheet.locator("img").nth(9)).to_have_js_property("naturalWidth", 160)
    for chosen in (1, 4, 6):
        sheet.get_by_role("checkbox").nth(chosen).click()
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("^Download")).click()
    some = download.value.path().read_bytes()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all").click()
    everything = download.value.path().read_bytes()
    mail = service.inbox.wait_for(lambda mail: email in mail["To"], within_seconds=60)

    assert [*pictures_in(some).values()] == [12, 50, 75]
    assert [*pictures_in(everything).values()] == EACH_HALF_SECOND
    link = first_link(mail)
    assert link
    assert httpx2.get(link, timeout=30).content == everything
