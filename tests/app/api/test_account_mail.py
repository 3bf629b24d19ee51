"""A forgotten password, an address to confirm, an invitation: each by a link in a mail that really arrives."""

import datetime
import re
import statistics
import time
import uuid

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.accounts import mail_lifecycle
from app.accounts.models import MailedToken, User
from app.database import open_session
from app.notifications import sending, smtp
from app.notifications.models import Email
from app.settings import Settings, get_settings
from tests.conftest import PASSWORD, Inbox

pytestmark = pytest.mark.usefixtures("leaves_no_work")

NEW = "another long sentence"


@pytest.fixture
def user(make_user):
    return make_user()


@pytest.fixture
def set_settings(monkeypatch: pytest.MonkeyPatch):
    """`set_settings(SIGNUP="invite")` for one test, in this process."""

    def set_settings(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        return get_settings()

    yield set_settings
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def mailed(mailbox: Inbox):
    """`mailed(email, "reset")`: what the link of the newest such mail carries, once the outbox is worked off."""

    def mailed(email: str, kind: str) -> str | None:
        sending.send_due_emails(server=smtp.get_server(), signed_url=lambda *_, **__: "")
        found = [message for message in mailbox.to(email) if message["X-Fotograma-Kind"] == kind]
        if not found:
            return None
        text = found[-1].get_body(("plain",)).get_content()
        link = re.search(r"https?://\S+", text)[0]
        page = {"reset": "reset-password#token", "confirm": "confirm-email#token", "invitation": "sign-up#invitation"}
        start, _, token = link.rpartition("=")
        assert start == f"{get_settings().public_url}/{page[kind]}"
        return token

    return mailed


def forget(client: TestClient, email: str):
    return client.post("/auth/password/forgot", json={"email": email})


def reset(client: TestClient, token: str, password: str = NEW):
    return client.post("/auth/password/reset", json={"token": token, "password": password})


def sign_in(client: TestClient, email: str, password: str) -> int:
    return client.post("/auth/token", data={"username": email, "password": password}).status_code


def expire(email: str) -> None:
    with open_session() as session:
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
        session.execute(update(MailedToken).where(MailedToken.email == email).values(expires_at=past))


def let_ask_again(email: str) -> None:
    with open_session() as session:
        before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=2)
        session.execute(update(MailedToken).where(MailedToken.email == email).values(created_at=before))


def test_forgotten_password_is_replaced_by_a_mailed_link_once(client: TestClient, user, mailed):
    assert forget(client, user.email.upper()).status_code == 202
    token = mailed(user.email, "reset")

    answers = [reset(client, token), reset(client, token, "yet another one")]

    assert [answer.status_code for answer in answers] == [204, 410]
    assert answers[1].json()["code"] == "BAD_MAILED_TOKEN"
    assert client.get("/users/me", headers=user.headers).status_code == 401
    assert (sign_in(client, user.email, user.password), sign_in(client, user.email, NEW)) == (401, 200)


def test_reset_ends_every_session_and_shows_that_the_address_is_read(client: TestClient, user, mailed):
    browser = TestClient(client.app)
    browser.post("/auth/session", data={"username": user.email, "password": user.password})
    forget(client, user.email)

    reset(client, mailed(user.email, "reset"))

    assert browser.get("/users/me").status_code == 401
    answer = browser.post("/auth/session", data={"username": user.email, "password": NEW})
    assert answer.json()["email_confirmed"] is True


def test_link_that_is_old_guessed_or_for_something_else_does_nothing(client: TestClient, user, mailed):
    forget(client, user.email)
    old = mailed(user.email, "reset")
    expire(user.email)
    client.post("/auth/email/resend", headers=user.headers)
    other = mailed(user.email, "confirm")

    assert [reset(client, token).status_code for token in (old, other, "guess", "")] == [410] * 4
    assert reset(client, other, "short").status_code == 422
    assert sign_in(client, user.email, user.password) == 200


def test_nothing_in_the_database_opens_an_account(client: TestClient, user, mailed):
    forget(client, user.email)
    token = mailed(user.email, "reset")

    with open_session() as session:
        row = session.scalars(select(MailedToken).where(MailedToken.user_id == user.id)).one()
        owed = session.scalars(select(Email).where(Email.user_id == user.id)).all()

    kept = f"{vars(row)} {[email.facts for email in owed]}"
    assert token not in kept
    assert reset(client, str(row.id)).status_code == reset(client, row.token_hash.hex()).status_code == 410


def test_link_of_a_mail_that_waited_while_the_key_was_changed_works(client: TestClient, user, mailed, set_settings):
    before = get_settings().secret_key.get_secret_value()
    forget(client, user.email)

    set_settings(SECRET_KEY="second-0123456789-abcdefghijklmnopqrstuvwxyz", SECRET_KEY_PREVIOUS=before)
    token = mailed(user.email, "reset")
    client.post("/auth/email/resend", headers=user.headers)
    answers = [
        client.post("/auth/email/confirm", json={"token": mailed(user.email, "confirm")}).status_code,
        reset(client, token).status_code,
    ]

    assert answers == [204, 204]


def test_asking_again_and_again_mails_once(client: TestClient, user, mailed, mailbox: Inbox):
    for _ in range(4):
        assert forget(client, user.email).status_code == 202
    first = mailed(user.email, "reset")
    assert len(mailbox.to(user.email)) == 1

    let_ask_again(user.email)
    forget(client, user.email)

    second = mailed(user.email, "reset")
    assert second != first
    assert reset(client, second).status_code == 204
    # What was asked for twice is done with.
    assert reset(client, first).status_code == 410


def test_forgetting_answers_the_same_and_as_fast_whoever_it_is(client: TestClient, make_user):
    def median_seconds(emails: list[str]) -> float:
        seconds = []
        for email in emails:
            begun = time.perf_counter()
            answer = forget(client, email)
            seconds.append(time.perf_counter() - begun)
            assert (answer.status_code, answer.text) == (202, "null")
        return statistics.median(seconds)

    known = median_seconds([make_user().email for _ in range(5)])
    unknown = median_seconds([f"{uuid.uuid4()}@example.com" for _ in range(5)])

    assert 0.9 < known / unknown < 1.1


def test_address_is_confirmed_by_a_mailed_link(client: TestClient, user, mailed):
    before = client.get("/users/me", headers=user.headers).json()["email_confirmed"]
    client.post("/auth/email/resend", headers=user.headers)

    answers = [
        client.post("/auth/email/confirm", json={"token": token}).status_code
        for token in [mailed(user.email, "confirm")] * 2
    ]

    after = client.get("/users/me", headers=user.headers).json()["email_confirmed"]
    assert (before, answers, after) == (False, [204, 410], True)


def test_where_it_is_wanted_nothing_is_uploaded_before_the_address_is_confirmed(
    client: TestClient, make_user, mailed, set_settings
):
    set_settings(EMAIL_CONFIRMATION="true")
    user = make_user(locale="pt-BR")
    token = mailed(user.email, "confirm")

    def attempts() -> list[tuple[int, str | None]]:
        sent = [
            client.post("/videos/upload", files={"file": ("a.mp4", b"no")}, headers=user.headers),
            client.post("/uploads/", headers={**user.headers, "Tus-Resumable": "1.0.0", "Upload-Length": "9"}),
        ]
        return [(answer.status_code, answer.json()["code"] if answer.status_code == 403 else None) for answer in sent]

    refused = attempts()
    client.post("/auth/email/confirm", json={"token": token})

    assert refused == [(403, "EMAIL_NOT_CONFIRMED")] * 2
    assert attempts() == [(202, None), (201, None)]
    assert client.get("/auth/methods").json()["email_confirmation"] is True


def test_account_of_the_admins_address_is_an_admin_once_it_is_confirmed_and_not_before(
    client: TestClient, make_user, mailed, set_settings
):
    email = f"boss-{uuid.uuid4()}@example.com"
    set_settings(ADMIN_EMAIL=f" {email.upper()} ")
    stranger = make_user(email)

    def role() -> str:
        return client.get("/users/me", headers=stranger.headers).json()["role"]

    assert role() == "user"
    client.post("/auth/email/confirm", json={"token": mailed(email, "confirm")})
    assert role() == "admin"


def test_only_the_invited_sign_up_where_it_is_by_invitation(client: TestClient, mailed, set_settings):
    email, other = f"guest-{uuid.uuid4()}@example.com", f"other-{uuid.uuid4()}@example.com"
    set_settings(SIGNUP="invite")
    with open_session() as session:
        mail_lifecycle.invite(session, email=email, locale="pt-BR", by=None)
    token = mailed(email, "invitation")

    def sign_up(email: str, **more: str):
        return client.post("/users/", json={"email": email, "password": PASSWORD, **more})

    refused = [sign_up(email), sign_up(other, invitation=token), sign_up(email, invitation="guess")]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "INVITATION_NEEDED")] * 3
    made = sign_up(email.upper(), invitation=token)
    assert (made.status_code, made.json()["email_confirmed"]) == (201, True)
    assert client.get("/auth/methods").json()["signup"] == "invite"


def test_closed_is_closed_to_the_invited_too(client: TestClient, mailed, set_settings):
    email = f"late-{uuid.uuid4()}@example.com"
    with open_session() as session:
        mail_lifecycle.invite(session, email=email, locale="en", by=None)
    token = mailed(email, "invitation")
    set_settings(SIGNUP="closed")

    answer = client.post("/users/", json={"email": email, "password": PASSWORD, "invitation": token})

    assert (answer.status_code, answer.json()["code"]) == (403, "SIGNUP_CLOSED")


def test_disabled_account_is_shut_out_and_can_not_be_reset(client: TestClient, user, mailed):
    forget(client, user.email)
    token = mailed(user.email, "reset")
    with open_session() as session:
        session.execute(update(User).where(User.id == user.id).values(disabled_at=datetime.datetime.now(datetime.UTC)))

    answer = client.post("/auth/token", data={"username": user.email, "password": user.password})

    assert (answer.status_code, answer.json()["code"]) == (403, "ACCOUNT_DISABLED")
    assert sign_in(client, user.email, "a guess") == 401
    assert client.get("/users/me", headers=user.headers).status_code == 401
    assert reset(client, token).status_code == 410
