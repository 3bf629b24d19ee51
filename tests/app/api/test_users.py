"""Signing up, changing and ending an account, as a client does."""

import secrets

import pytest
from fastapi.testclient import TestClient

from app.accounts.models import RefreshToken, User
from app.database import open_session


def new_email() -> str:
    return f"User-{secrets.token_hex(6)}@example.com"


def test_sign_up_gives_the_account(client: TestClient):
    email = new_email()

    answer = client.post("/users/", json={"email": email, "password": "password123"})

    assert answer.status_code == 201
    assert answer.headers["Location"] == "/users/me"
    body = answer.json()
    assert (body["time_zone"], body["mail"], body["role"], body["email_confirmed"]) == ("UTC", True, "user", False)
    assert body["default_plan"] is None
    assert (body["email"], body["locale"]) == (email, "en")
    assert body["created_at"].endswith("Z")


def test_address_is_taken_whatever_its_case(client: TestClient):
    email = new_email()
    client.post("/users/", json={"email": email, "password": "password123"})

    answer = client.post("/users/", json={"email": email.upper(), "password": "password456"})

    assert answer.status_code == 409
    assert answer.json()["code"] == "EMAIL_TAKEN"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "seven77"}, "password"),
        ({"password": "x" * 1025}, "password"),
        ({"email": "nobody"}, "email"),
        ({"email": "nobody@"}, "email"),
        ({"email": "no\x00body@example.com"}, "email"),
        ({"locale": "tlh"}, "locale"),
    ],
)
def test_what_no_account_can_have_is_422(client: TestClient, change: dict[str, str], field: str):
    answer = client.post("/users/", json={"email": new_email(), "password": "password123", **change})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", field]
    assert change[field] not in answer.text


@pytest.mark.parametrize(("said", "kept"), [("pt", "pt-BR"), ("pt_BR", "pt-BR"), ("pt-br", "pt-BR"), ("en", "en")])
def test_locale_is_spelt_one_way(client: TestClient, said: str, kept: str):
    answer = client.post("/users/", json={"email": new_email(), "password": "password123", "locale": said})

    assert answer.json()["locale"] == kept


def test_me_is_who_signed_in(client: TestClient, make_user):
    user = make_user()

    answer = client.get("/users/me", headers=user.headers)

    assert answer.status_code == 200
    assert answer.json()["id"] == str(user.id)


def test_locale_changes_and_the_session_stays(client: TestClient, make_user):
    user = make_user()

    answer = client.patch("/users/me", headers=user.headers, json={"locale": "pt"})

    assert answer.status_code == 200
    assert client.get("/users/me", headers=user.headers).json()["locale"] == "pt-BR"


def test_new_password_ends_every_session(client: TestClient, make_user):
    user = make_user()
    other = client.post("/auth/token", data={"username": user.email, "password": user.password}).json()

    answer = client.patch(
        "/users/me", headers=user.headers, json={"password": "a new password", "current_password": user.password}
    )

    assert answer.status_code == 200
    assert client.get("/users/me", headers=user.headers).status_code == 401
    assert client.get("/users/me", headers={"Authorization": f"Bearer {other['access_token']}"}).status_code == 401
    assert client.post("/auth/refresh", json={"refresh_token": other["refresh_token"]}).status_code == 401
    assert client.post("/auth/token", data={"username": user.email, "password": user.password}).status_code == 401
    assert client.post("/auth/token", data={"username": user.email, "password": "a new password"}).status_code == 200


def test_new_password_needs_the_current_one(client: TestClient, make_user):
    user = make_user()

    without = client.patch("/users/me", headers=user.headers, json={"password": "a new password"})
    wrong = client.patch(
        "/users/me", headers=user.headers, json={"password": "a new password", "current_password": "a guess"}
    )

    assert without.status_code == 422
    assert (wrong.status_code, wrong.json()["code"]) == (403, "WRONG_PASSWORD")
    assert client.get("/users/me", headers=user.headers).status_code == 200


def test_guessing_the_current_password_is_limited(client: TestClient, make_user):
    user = make_user()
    guess = {"password": "a new password", "current_password": "a guess"}

    answers = [client.patch("/users/me", headers=user.headers, json=guess).status_code for _ in range(6)]

    assert answers == [403] * 5 + [429]


def test_deleted_account_is_gone(client: TestClient, make_user):
    user = make_user()

    answer = client.delete("/users/me", headers=user.headers)

    assert answer.status_code == 204
    assert client.get("/users/me", headers=user.headers).status_code == 401
    assert client.post("/auth/token", data={"username": user.email, "password": user.password}).status_code == 401
    with open_session() as session:
        assert session.get(User, user.id) is None
        assert session.query(RefreshToken).filter_by(user_id=user.id).count() == 0
    assert client.post("/users/", json={"email": user.email, "password": "password123"}).status_code == 201
