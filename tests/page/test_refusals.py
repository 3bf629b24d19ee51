"""What can't be, and how a person is told."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.end_to_end.service import Person
from tests.page.conftest import UPLOAD_MAX_BYTES, OpenWindow
from tests.page.window import choose


def test_a_wrong_password_is_told_without_saying_who_has_an_account(open_window: OpenWindow, person: Person) -> None:
    open_window.expect("status of 401")
    page = open_window().page
    page.goto("/")
    for email in (person.email, "nobody@example.com"):
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password", exact=True).fill("not the password")
        page.get_by_role("button", name="Sign in", exact=True).click()

        expect(page.get_by_role("alert")).to_have_text("No account has that e-mail address and password.")


def test_a_text_file_that_calls_itself_a_video_fails_with_what_to_do(page: Page, tmp_path: Path) -> None:
    disguised = tmp_path / "holiday.mp4"
    disguised.write_text("Dear diary\n" * 100)
    page.goto("/")
    choose(page, disguised)
    row = page.get_by_role("article", name="holiday.mp4")

    expect(row.get_by_text("Failed", exact=True)).to_be_visible()
    expect(row).to_contain_text("This is not a video file we can read. Convert it to MP4 or MKV and upload that.")


def test_what_is_too_large_is_not_even_sent(page: Page, person: Person, tmp_path: Path) -> None:
    large = tmp_path / "feature.mp4"
    with large.open("wb") as file:
        file.truncate(UPLOAD_MAX_BYTES + 1)
    notes = tmp_path / "notes.pdf"
    notes.write_text("no video")
    page.goto("/")
    choose(page, large, notes)

    expect(page.get_by_text("“feature.mp4” has")).to_contain_text("are taken here")
    expect(page.get_by_text("“notes.pdf” is not a video by its name")).to_be_visible()
    assert person.videos() == []
