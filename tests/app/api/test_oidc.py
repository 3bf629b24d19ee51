"""Signing in by a provider: a real one for OpenID Connect, and one that speaks as GitHub does."""

import json
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import jwt
import pytest
from fastapi.testclient import TestClient

from app.accounts import oidc
from app.local_stack.processes import free_port
from app.settings import get_settings

pytestmark = pytest.mark.usefixtures("signed_in_by_providers")


class GitHub(BaseHTTPRequestHandler):
    """Its four addresses, for whoever has a code and the secret."""

    emails: ClassVar[list[dict]] = []

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        fits = form["code"] == ["good"] and form["client_secret"] == ["secret"] and len(form["code_verifier"][0]) >= 43
        self.answer({"access_token": "gho_1", "token_type": "bearer"} if fits else {"error": "bad_verification_code"})

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "Bearer gho_1"
        self.answer(self.emails if self.path == "/api/v3/user/emails" else {"id": 42, "login": "octo", "email": None})

    def answer(self, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def github() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), GitHub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def signed_in_by_providers(environment, issuer: str, github: str) -> Iterator[None]:  # noqa: ARG001
    known = {"client_id": "fotograma", "client_secret": "secret"}
    providers = [
        {"id": "house", "name": "The House", "issuer": issuer, **known},
        {"id": "github", "name": "GitHub", "kind": "github", "issuer": github, **known},
        {"id": "gone", "name": "Gone", "issuer": f"http://127.0.0.1:{free_port()}", **known},
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OIDC_PROVIDERS", json.dumps(providers))
        get_settings.cache_clear()
        yield
    get_settings.cache_clear()


@pytest.fixture
def browser(client: TestClient) -> TestClient:
    return TestClient(client.app, base_url=get_settings().public_url, follow_redirects=False)


@pytest.fixture
def person(issuer: str):
    """`person(email, email_verified=True)`: somebody the provider knows; what they are called there."""

    def person(email: str, *, subject: str | None = None, email_verified: bool = True) -> str:
        subject = subject or secrets.token_hex(8)
        claims = {"email": email, "email_verified": email_verified}
        httpx2.put(f"{issuer}/users/{subject}", json=claims).raise_for_status()
        return subject

    return person


def go(browser: TestClient, *, subject: str | None) -> str:
    """To the provider, in there (or not), and the address one is sent back to."""
    to = browser.get("/auth/oidc/house/start")
    assert to.status_code == 302, to.text
    form = {"action": "deny"} if subject is None else {"sub": subject}
    back = httpx2.post(to.headers["Location"], data=form)
    assert back.status_code == 302, back.text
    return back.headers["Location"]


def error_of(answer) -> str:
    assert answer.status_code == 303
    assert "fotograma_session" not in answer.headers.get("Set-Cookie", "")
    return answer.headers["Location"].removeprefix(f"{get_settings().public_url}/sign-in#error=")


def new_email() -> str:
    return f"oidc-{secrets.token_hex(6)}@example.com"


def test_page_names_the_providers(browser: TestClient):
    assert browser.get("/auth/methods").json()["providers"][:2] == [
        {"id": "house", "name": "The House"},
        {"id": "github", "name": "GitHub"},
    ]


def test_stranger_gets_an_account_and_comes_back_to_it(browser: TestClient, person):
    email = new_email()
    subject = person(email)

    answer = browser.get(go(browser, subject=subject))
    me = browser.get("/users/me").json()
    person("moved-" + email, subject=subject)
    again = browser.get(go(browser, subject=subject))

    assert (answer.status_code, answer.headers["Location"]) == (303, f"{get_settings().public_url}/")
    assert "samesite=strict" in answer.headers["Set-Cookie"].lower()
    assert (me["email"], me["email_confirmed"], me["role"]) == (email, True, "user")
    assert again.headers["Location"] == f"{get_settings().public_url}/"
    # The same person, whatever their address is by now.
    assert browser.get("/users/me").json()["id"] == me["id"]


def test_way_there_has_state_nonce_and_a_hashed_verifier(browser: TestClient):
    answer = browser.get("/auth/oidc/house/start")
    asked = parse_qs(urlsplit(answer.headers["Location"]).query)

    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["code_challenge"][0]) == 43
    assert {"state", "nonce", "redirect_uri", "client_id"} <= asked.keys()
    cookie = answer.headers["Set-Cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "path=/auth/oidc", "max-age=600"))


def test_account_with_the_same_confirmed_address_is_the_same(
    client: TestClient, browser: TestClient, person, make_user
):
    user = make_user()
    subject = person(user.email)
    browser.get(go(browser, subject=subject))

    # Nobody had shown that this address was the account's: its password is no proof any more.
    assert browser.get("/users/me").json()["id"] == str(user.id)
    assert client.get("/users/me", headers=user.headers).status_code == 401
    signed_in = client.post("/auth/token", data={"username": user.email, "password": user.password})
    assert signed_in.status_code == 401


def test_address_that_is_not_verified_opens_nothing(browser: TestClient, person, make_user):
    user = make_user()

    for email in (user.email, new_email()):
        subject = person(email, email_verified=False)
        assert error_of(browser.get(go(browser, subject=subject))) == "PROVIDER_EMAIL_UNVERIFIED"


def test_what_was_not_begun_here_is_refused(client: TestClient, browser: TestClient, person):
    subject = person(new_email())
    other = TestClient(client.app, base_url=get_settings().public_url, follow_redirects=False)

    foreign = other.get(go(browser, subject=subject))
    forged = browser.get(go(browser, subject=subject).replace("state=", "state=x"))
    # Each way back is good once.
    back = go(browser, subject=subject)
    first, second = browser.get(back), browser.get(back)

    assert {error_of(answer) for answer in (foreign, forged, second)} == {"SIGN_IN_STALE"}
    assert first.headers["Location"] == f"{get_settings().public_url}/"


def test_who_does_not_agree_or_brings_no_good_code_is_told(browser: TestClient, person):
    subject = person(new_email())

    denied = browser.get(go(browser, subject=None) + f"&state={quote(state_of(browser))}")
    wrong = browser.get(go(browser, subject=subject).replace("code=", "code=x"))

    assert {error_of(denied), error_of(wrong)} <= {"PROVIDER_REFUSED", "SIGN_IN_STALE"}
    assert error_of(browser.get("/auth/oidc/gone/start")) == "PROVIDER_FAILED"
    assert browser.get("/auth/oidc/nobody/start").status_code == 404


def state_of(browser: TestClient) -> str:
    """As the cookie has it: the provider of this test does not send it back with a no."""
    return jwt.decode(browser.cookies["fotograma_oidc"], options={"verify_signature": False})["state"]


def test_id_token_of_another_nonce_or_audience_is_refused(person):
    provider = get_settings().sign_in_providers[0]
    redirect_uri = f"{get_settings().public_url}/auth/oidc/house/callback"
    subject = person(new_email())

    def finish(**changes: str) -> str:
        errand, url = oidc.begin(provider, redirect_uri=redirect_uri, locale="en")
        code = parse_qs(urlsplit(httpx2.post(url, data={"sub": subject}).headers["Location"]).query)["code"][0]
        kept = oidc.Errand(**{**vars(errand), **changes})
        return oidc.finish(provider, kept, code=code, redirect_uri=redirect_uri).subject

    assert finish() == subject
    with pytest.raises(oidc.ProviderFailed):
        finish(nonce="another")


def test_nobody_new_comes_in_where_it_is_by_invitation(monkeypatch, browser: TestClient, person):
    monkeypatch.setenv("SIGNUP", "invite")
    get_settings.cache_clear()
    try:
        assert error_of(browser.get(go(browser, subject=person(new_email())))) == "INVITATION_NEEDED"
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_github_signs_in_by_the_primary_verified_address(browser: TestClient):
    email = new_email()

    def come_back(code: str, **primary: object):
        GitHub.emails = [
            {"email": "other@example.com", "primary": False, "verified": True},
            {"email": email, "primary": True, **primary},
        ]
        to = browser.get("/auth/oidc/github/start").headers["Location"]
        state = parse_qs(urlsplit(to).query)["state"][0]
        return browser.get("/auth/oidc/github/callback", params={"code": code, "state": state})

    assert error_of(come_back("good", verified=False)) == "PROVIDER_EMAIL_UNVERIFIED"
    assert error_of(come_back("bad", verified=True)) == "PROVIDER_REFUSED"
    assert come_back("good", verified=True).headers["Location"] == f"{get_settings().public_url}/"
    assert browser.get("/users/me").json()["email"] == email
