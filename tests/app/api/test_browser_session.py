"""Signing in as a page does: a cookie that goes along by itself, and only from the service's own pages."""

import datetime

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.accounts.models import BrowserSession
from app.database import open_session
from app.settings import get_settings
from tests.listening import Listener
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("leaves_no_work")

HERE = "http://testserver"


@pytest.fixture
def user(make_user):
    return make_user()


@pytest.fixture
def browser(client: TestClient, user) -> TestClient:
    """Who has signed in by a page."""
    browser = TestClient(client.app, headers={"Origin": HERE})
    answer = browser.post("/auth/session", data={"username": user.email, "password": user.password})
    assert answer.status_code == 200, answer.text
    return browser


def test_sign_in_sets_a_cookie_no_script_reads_and_answers_with_the_account(client: TestClient, user):
    answer = TestClient(client.app).post("/auth/session", data={"username": user.email, "password": user.password})

    assert answer.json() == client.get("/users/me", headers=user.headers).json()
    name, _, attributes = answer.headers["Set-Cookie"].partition("=")
    assert name == "fotograma_session"
    assert {"httponly", "path=/", "samesite=strict", "max-age=2592000"} <= set(attributes.lower().split("; "))
    assert answer.headers["Cache-Control"] == "no-store"


def test_cookie_is_for_tls_alone_where_the_service_has_it(start_api, user):
    api = start_api(PUBLIC_URL="https://frames.example.com")
    answer = httpx2.post(f"{api.url}/auth/session", data={"username": user.email, "password": user.password})
    cookie = {"Cookie": f"fotograma_session={answer.cookies['fotograma_session']}"}

    assert "; secure" in answer.headers["Set-Cookie"].lower()
    statuses = {
        origin: httpx2.patch(
            f"{api.url}/users/me", json={"mail": True}, headers={**cookie, "Origin": origin}
        ).status_code
        for origin in ("https://frames.example.com", "http://frames.example.com", api.url)
    }
    assert list(statuses.values()) == [200, 403, 403]


def test_wrong_password_is_401_and_sets_nothing(client: TestClient, user):
    answer = TestClient(client.app).post("/auth/session", data={"username": user.email, "password": "a guess"})

    assert (answer.status_code, answer.json()["code"]) == (401, "BAD_CREDENTIALS")
    assert "Set-Cookie" not in answer.headers


def test_cookie_is_taken_where_a_token_is(browser: TestClient, user):
    uploaded = browser.post("/videos/upload", files={"file": ("a.mp4", b"no video")})

    assert uploaded.status_code == 202
    assert browser.get(f"/videos/{uploaded.json()['id']}").status_code == 200
    assert browser.get("/users/me").json()["id"] == str(user.id)
    assert browser.delete(f"/videos/{uploaded.json()['id']}").status_code == 204


@pytest.mark.parametrize(
    "origin", [None, "null", "", "https://evil.example", "http://testserver.evil.example", "http://testserver:81"]
)
def test_what_changes_something_is_refused_from_another_page(browser: TestClient, origin: str | None):
    browser.headers.pop("Origin")
    headers = {} if origin is None else {"Origin": origin}

    refused = [
        browser.patch("/users/me", json={"mail": False}, headers=headers),
        browser.post("/videos/upload", files={"file": ("a.mp4", b"no video")}, headers=headers),
        browser.delete("/auth/session", headers=headers),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "BAD_ORIGIN")] * 3
    assert browser.get("/users/me", headers=headers).json()["mail"] is True


def test_foreign_page_signs_nobody_in(client: TestClient, user):
    answer = TestClient(client.app).post(
        "/auth/session",
        data={"username": user.email, "password": user.password},
        headers={"Origin": "https://evil.example"},
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "BAD_ORIGIN")


def test_public_address_is_a_page_of_the_service_too(browser: TestClient):
    answer = browser.patch("/users/me", json={"mail": False}, headers={"Origin": get_settings().public_url})

    assert answer.status_code == 200


def test_program_with_a_token_needs_no_origin(browser: TestClient, user):
    answer = browser.patch("/users/me", json={"mail": False}, headers={**user.headers, "Origin": "https://elsewhere"})

    assert answer.status_code == 200


def test_signing_out_ends_the_session_and_no_other(client: TestClient, browser: TestClient, user):
    kept = browser.cookies["fotograma_session"]

    answer = browser.delete("/auth/session")

    assert answer.status_code == 204
    assert "fotograma_session" not in browser.cookies
    stolen = TestClient(client.app, cookies={"fotograma_session": kept})
    assert (stolen.get("/users/me").status_code, stolen.get("/users/me").json()["code"]) == (401, "BAD_TOKEN")
    assert client.get("/users/me", headers=user.headers).status_code == 200


def test_new_password_ends_it(browser: TestClient, user):
    browser.patch("/users/me", json={"password": "a new password", "current_password": user.password})

    assert browser.get("/users/me").status_code == 401


def test_session_goes_on_while_it_is_used_and_ends_when_it_is_not(browser: TestClient, user):
    def expires_in(days: float) -> None:
        moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        with open_session() as session:
            mine = update(BrowserSession).where(BrowserSession.user_id == user.id)
            session.execute(mine.values(expires_at=moment))

    expires_in(1)
    extended, again = browser.get("/users/me"), browser.get("/users/me")
    expires_in(-0.001)
    ended = browser.get("/users/me")

    assert "max-age=2592000" in extended.headers["Set-Cookie"].lower()
    assert "Set-Cookie" not in again.headers
    assert ended.status_code == 401


def test_events_come_with_the_cookie_until_it_ends(start_api, browser: TestClient):
    cookie = {"Cookie": f"fotograma_session={browser.cookies['fotograma_session']}"}
    with Listener(start_api().url, cookie) as listener:
        listener.wait_for_snapshot()

        browser.delete("/auth/session")

        wait_until(lambda: listener.has_ended, 10)


def test_page_is_told_how_to_let_people_in(client: TestClient):
    answer = client.get("/auth/methods")

    assert answer.json() == {
        "signup": "open",
        "password_min_length": 8,
        "email_confirmation": False,
        "providers": [],
    }
