"""Two people in two browsers."""

from playwright.sync_api import expect

from tests.clips import Clip
from tests.end_to_end.service import Person, Service
from tests.page.conftest import OpenWindow
from tests.page.window import choose


def test_nobody_sees_what_another_brings(
    open_window: OpenWindow, service: Service, person: Person, short_clip: Clip
) -> None:
    open_window.expect("status of 404")
    other = Person(service)
    theirs, others = open_window(person).page, open_window(other, locale="pt-BR").page
    for page in (theirs, others):
        page.goto("/")
    choose(theirs, short_clip.path)
    expect(theirs.get_by_role("article", name="clip.mp4").get_by_text("Done", exact=True)).to_be_visible()

    expect(others.get_by_role("article")).to_have_count(0)
    video = person.videos()[0]
    for address in (f"/videos/{video['id']}", f"/extractions/{video['extraction_id']}"):
        others.goto(address)
        expect(others.get_by_role("alert")).to_contain_text("here any more.")
        expect(others.get_by_text("clip.mp4")).to_have_count(0)
    other.client.close()
