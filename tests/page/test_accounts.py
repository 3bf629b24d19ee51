"""Keys, forgotten passwords, and the screen of those who run the service."""

import re
import subprocess
from email.message import EmailMessage

import httpx2
import pytest
from playwright.sync_api import expect

from app.local_stack.processes import PROJECT
from tests.conftest import command
from tests.end_to_end.service import Person, Service
from tests.page.conftest import OpenWindow
from tests.page.test_screens import SIGHTS, Sight

LINK = re.compile(r"https?://\S+#token=\S+")


def mailed_link(person: Person) -> str:
    """The link to the page that somebody was sent, once it has come."""

    def links(mail: EmailMessage) -> list[str]:
        return LINK.findall(mail.get_body(("plain",)).get_content()) if person.email in mail["To"] else []

    return links(person.service.inbox.wait_for(lambda mail: bool(links(mail)), 30))[0]


def test_a_key_is_made_shown_once_and_revoked(open_window: OpenWindow, person: Person) -> None:
    page = open_window(person).page
    page.goto("/settings")
    page.get_by_label("What is it for?").fill("nightly script")
    page.get_by_role("button", name="Make a key").click()
    key = page.get_by_text(re.compile("^fg_.{20}")).inner_text()
    asked = {"Authorization": f"Bearer {key}"}
    with_it = httpx2.get(f"{person.service.url}/videos/status", headers=asked).status_code
    page.get_by_role("button", name="Revoke nightly script").click()
    expect(page.get_by_role("button", name="Revoke nightly script")).to_be_hidden()

    assert with_it == 200
    assert httpx2.get(f"{person.service.url}/videos/status", headers=asked).status_code == 401


def test_a_forgotten_password_is_replaced_by_mail(open_window: OpenWindow, person: Person) -> None:
    open_window.expect("401 (Unauthorized)")
    page = open_window().page
    page.goto("/sign-in")
    page.get_by_role("button", name="Forgot your password?").click()
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("status").filter(has_text="is on its way")).to_be_visible()
    page.goto(mailed_link(person))
    page.get_by_label("New password").fill("another long sentence")
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_text("Your password is changed; sign in with it.")).to_be_visible()
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password", exact=True).fill("another long sentence")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("button", name="Upload videos")).to_be_visible()
    assert "token" not in page.url


@pytest.mark.parametrize("sight", SIGHTS, ids=lambda sight: f"{sight.locale}-{sight.theme}-{sight.width}")
def test_an_admin_sees_how_the_service_is_doing(
    open_window: OpenWindow, person: Person, service: Service, sight: Sight
) -> None:
    person.call("patch", "/users/me", 200, json={"locale": "pt-BR" if "pt" in sight.locale else "en"})
    make = [command("python"), "-m", "app.admin", "make-admin", person.email]
    subprocess.run(make, cwd=PROJECT, env={"PATH": "/usr/bin", **service.environment}, check=True)
    window = sight.open(open_window, person)
    window.page.goto("/admin")

    expect(window.page.get_by_role("heading", level=1)).to_have_count(1)
    expect(window.page.get_by_text(person.email).first).to_be_visible()
    assert "\n".join(window.accessibility_violations()) == ""
    assert window.overflow_pixels() == 0
