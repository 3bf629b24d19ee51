"""Ways in: by invitation, by a provider, and past the confirmation of an address."""

import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

from app.local_stack.processes import PROJECT
from tests.clips import Clip
from tests.conftest import PASSWORD, Inbox, command
from tests.end_to_end.service import Service
from tests.page.conftest import OpenWindow, running
from tests.page.window import choose

LINK = re.compile(r"https?://\S+#(?:token|invitation)=\S+")


@pytest.fixture(scope="module")
def house(built_page: Path, tmp_path_factory: pytest.TempPathFactory, mailbox: Inbox, issuer: str) -> Iterator[Service]:
    """Where one comes in by invitation only, and may sign in by a provider."""
    provider = {"id": "house", "name": "The House", "issuer": issuer, "client_id": "page", "client_secret": "secret"}
    more = {"PAGE_FOLDER": str(built_page), "SIGNUP": "invite", "OIDC_PROVIDERS": json.dumps([provider])}
    with running(Service.embedded(tmp_path_factory.mktemp("house"), inbox=mailbox), **more) as service:
        yield service


@pytest.fixture(scope="module")
def strict(built_page: Path, tmp_path_factory: pytest.TempPathFactory, mailbox: Inbox) -> Iterator[Service]:
    """Where an address must be confirmed, below a path of another site."""
    service = Service.embedded(tmp_path_factory.mktemp("strict"), inbox=mailbox)
    public = {"PUBLIC_URL": f"{service.url}/fotograma", "EMAIL_CONFIRMATION": "true"}
    with running(service, PAGE_FOLDER=str(built_page), **public) as service:
        yield service


def administer(service: Service, *words: str) -> None:
    run = [command("python"), "-m", "app.admin", *words]
    subprocess.run(run, cwd=PROJECT, env={"PATH": "/usr/bin", **service.environment}, check=True)


def new_email() -> str:
    return f"somebody-{secrets.token_hex(6)}@example.com"


def mailed_link(service: Service, email: str) -> str:
    """The link to the page that somebody was sent, once it has come."""
    mail = service.inbox.wait_for(lambda mail: email in mail["To"], 30)
    return LINK.findall(mail.get_body(("plain",)).get_content())[0]


def join(page: Page, link: str, email: str, *, do: str = "Create an account") -> None:
    page.goto(link)
    page.locator("input[type=email]").fill(email)
    page.locator("input[type=password]").fill(PASSWORD)
    page.get_by_role("button", name=do).click()


def test_somebody_is_invited_and_comes_in(open_window: OpenWindow, house: Service) -> None:
    admin, guest = new_email(), new_email()
    administer(house, "invite", admin)
    page = open_window(service=house).page
    join(page, mailed_link(house, admin), admin)
    expect(page.get_by_role("button", name="Upload videos")).to_be_visible()
    administer(house, "make-admin", admin)
    page.goto("/admin")
    page.get_by_label("E-mail address").fill(guest)
    page.get_by_label("Language of the mail").select_option("pt-BR")
    page.get_by_role("button", name="Send an invitation").click()
    expect(page.get_by_role("status").filter(has_text=guest)).to_contain_text("on its way")
    link = mailed_link(house, guest)
    window = open_window(service=house, locale="pt-BR")
    join(window.page, link, guest, do="Criar uma conta")

    expect(window.page.get_by_role("button", name="Enviar vídeos")).to_be_visible()
    assert "invitation" not in window.page.url
    # Whoever has the mail has the address: nothing is left to confirm.
    window.page.goto("/settings")
    expect(window.page.get_by_text("Confirmado", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "told", "refused"),
    [
        ("en-US", "New accounts are made by invitation here", "by invitation only, with the address that was invited"),
        (
            "pt-BR",
            "contas novas são criadas por convite",
            "só se cria conta por convite, com o e-mail que foi convidado",
        ),
    ],
)
def test_who_is_not_invited_is_told(
    open_window: OpenWindow, house: Service, locale: str, told: str, refused: str
) -> None:
    open_window.expect("403 (Forbidden)")
    invited = new_email()
    administer(house, "invite", invited)
    window = open_window(service=house, locale=locale)
    window.page.goto("/sign-up")
    expect(window.page.get_by_text(told)).to_be_visible()
    assert window.accessibility_violations() == []
    do = "Criar uma conta" if "pt" in locale else "Create an account"
    join(window.page, mailed_link(house, invited), new_email(), do=do)

    expect(window.page.get_by_role("alert").filter(has_text=refused)).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "button", "upload", "refused"),
    [
        ("en-US", "Continue with The House", "Upload videos", "by invitation only"),
        ("pt-BR", "Continuar com The House", "Enviar vídeos", "só se cria conta por convite"),
    ],
)
def test_a_provider_lets_in_who_is_invited_and_nobody_else(
    open_window: OpenWindow, house: Service, issuer: str, locale: str, button: str, upload: str, refused: str
) -> None:
    # Of the provider's own page, and there is no way out to the Internet.
    open_window.expect("picocss", "/favicon.ico", "403 (Forbidden)")
    guest, stranger = new_email(), new_email()
    administer(house, "invite", guest, "--locale", "pt-BR" if "pt" in locale else "en")
    for email in (guest, stranger):
        httpx2.put(f"{issuer}/users/{email}", json={"email": email, "email_verified": True}).raise_for_status()

    def go_by(email: str) -> Page:
        page = open_window(service=house, locale=locale).page
        page.goto("/sign-in")
        page.get_by_role("link", name=button).click()
        page.get_by_placeholder("sub").fill(email)
        page.get_by_role("button", name="Authorize", exact=True).click()
        return page

    refusal = go_by(stranger)
    expect(refusal.get_by_role("alert").filter(has_text=refused)).to_be_visible()
    assert "error" not in refusal.url
    page = go_by(guest)
    expect(page.get_by_role("button", name=upload)).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name=upload)).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "do", "banner", "again", "sent", "done"),
    [
        (
            "en-US",
            "Create an account",
            "Before you can bring videos",
            "Send the link again",
            "is on its way",
            "is confirmed",
        ),
        ("pt-BR", "Criar uma conta", "Para enviar vídeos", "Enviar o link de novo", "a caminho", "está confirmado"),
    ],
)
def test_an_address_is_confirmed_before_anything_is_brought_below_a_path_of_another_site(
    open_window: OpenWindow,
    strict: Service,
    short_clip: Clip,
    locale: str,
    do: str,
    banner: str,
    again: str,
    sent: str,
    done: str,
) -> None:
    open_window.expect("403 (Forbidden)")
    home, email = f"{strict.url}/fotograma/", new_email()
    window = open_window(service=strict, locale=locale)
    page, asked = window.page, list[str]()
    page.on("request", lambda request: asked.append(request.url))
    join(page, f"{home}sign-up", email, do=do)
    expect(page.get_by_role("status").filter(has_text=banner)).to_contain_text(email)
    assert window.accessibility_violations() == []
    choose(page, short_clip.path)
    expect(page.get_by_text(re.compile("Confirm your e-mail address first|Confirme primeiro"))).to_be_visible()
    page.get_by_role("button", name=again).first.click()
    expect(page.get_by_text(sent).first).to_be_visible()
    other = open_window(service=strict, locale=locale).page
    other.goto(mailed_link(strict, email))
    expect(other.get_by_role("status").filter(has_text=done)).to_be_visible()
    page.reload()

    expect(page.get_by_role("status").filter(has_text=banner)).to_have_count(0)
    choose(page, short_clip.path)
    # Arrived by events, seen by thumbnail, opened, looked at, and left by the door.
    # The one that was refused may have gone on by itself meanwhile.
    row = page.get_by_role("article", name="clip.mp4").first
    expect(row.locator("img")).to_have_js_property("complete", True)
    row.get_by_role("link", name="clip.mp4", exact=True).click()
    expect(page.locator("li img").first).to_have_js_property("complete", True)
    with page.expect_download() as download:
        page.locator("a[download]").first.click()
    assert download.value.path().read_bytes()[:2] == b"PK"
    page.go_back()
    expect(row).to_be_visible()
    page.reload()
    expect(row).to_be_visible()
    assert page.url == home
    page.goto(f"{home}docs")
    page.get_by_text("/videos/upload", exact=True).first.click()
    expect(page.get_by_role("button", name="Try it out")).to_be_visible()
    assert [url for url in asked if not url.startswith((home, "blob:", "data:"))] == []
    assert [cookie["path"] for cookie in page.context.cookies()] == ["/fotograma"]
