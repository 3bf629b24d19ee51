"""API keys: told once, good for what they are for, until they end."""

import datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.accounts.models import ApiKey
from app.database import open_session

pytestmark = pytest.mark.usefixtures("leaves_no_work")

TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture
def user(make_user):
    return make_user()


@pytest.fixture
def make_key(client: TestClient, user):
    """`make_key("read")`: its headers."""

    def make_key(*scopes: str, **more: str) -> dict[str, str]:
        body = {"name": "a key", "scopes": list(scopes), **more}
        answer = client.post("/auth/keys", json=body, headers=user.headers)
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['key']}"}

    return make_key


def test_key_is_told_once_and_kept_as_a_hash(client: TestClient, user):
    made = client.post("/auth/keys", json={"name": "import", "scopes": ["write", "read"]}, headers=user.headers)

    assert made.headers["Cache-Control"] == "no-store"
    body = made.json()
    key = body.pop("key")
    listed = client.get("/auth/keys", headers=user.headers)
    assert listed.json() == {"items": [body]}
    assert key not in listed.text
    assert (key[:3], key.startswith(body["prefix"]), body["scopes"]) == ("fg_", True, ["read", "write"])
    with open_session() as session:
        kept = session.scalars(select(ApiKey).where(ApiKey.user_id == user.id)).one()
    assert key.encode() not in kept.key_hash
    assert client.get("/users/me", headers={"Authorization": f"Bearer {key}"}).json()["id"] == str(user.id)


def test_key_does_what_it_is_for_and_nothing_else(client: TestClient, user, make_key):
    video = client.post("/videos/upload", files={"file": ("a.mp4", b"no")}, headers=user.headers).json()
    asked = {
        "look": lambda headers: client.get(f"/videos/{video['id']}", headers=headers),
        "estimate": lambda headers: client.post(
            f"/videos/{video['id']}/estimate", json={"mode": "all"}, headers=headers
        ),
        "upload": lambda headers: client.post("/videos/upload", files={"file": ("a.mp4", b"no")}, headers=headers),
        "resumable": lambda headers: client.post("/uploads/", headers={**headers, **TUS, "Upload-Length": "9"}),
        "keys": lambda headers: client.get("/auth/keys", headers=headers),
        "new key": lambda headers: client.post("/auth/keys", json={"name": "b", "scopes": ["read"]}, headers=headers),
        "password": lambda headers: client.patch(
            "/users/me", json={"password": "another one", "current_password": user.password}, headers=headers
        ),
        "end": lambda headers: client.delete("/users/me", headers=headers),
    }

    def refused(*scopes: str) -> set[str]:
        headers = make_key(*scopes)
        answers = {name: ask(headers) for name, ask in asked.items() if name != "end" or "account" not in scopes}
        codes = {answer.json()["code"] for answer in answers.values() if answer.status_code == 403}
        assert codes <= {"SCOPE_MISSING"}
        return {name for name, answer in answers.items() if answer.status_code == 403}

    assert refused("read") == {"upload", "resumable", "keys", "new key", "password", "end"}
    assert refused("write") == {"look", "estimate", "keys", "new key", "password", "end"}
    assert refused("account") == {"look", "estimate", "upload", "resumable"}


def test_revoked_expired_and_foreign_keys_are_401(client: TestClient, user, make_user, make_key):
    revoked, expired = make_key("read"), make_key("read")
    newest, oldest = client.get("/auth/keys", headers=user.headers).json()["items"]
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    other = make_user()

    foreign = client.delete(f"/auth/keys/{oldest['id']}", headers=other.headers)
    works = client.get("/users/me", headers=revoked).status_code
    answer = client.delete(f"/auth/keys/{oldest['id']}", headers=user.headers)
    with open_session() as session:
        session.execute(update(ApiKey).where(ApiKey.prefix == newest["prefix"]).values(expires_at=past))

    assert (foreign.status_code, foreign.json()["code"], works, answer.status_code) == (404, "KEY_NOT_FOUND", 200, 204)
    for headers in (revoked, expired, {"Authorization": "Bearer fg_guess"}):
        assert client.get("/users/me", headers=headers).json()["code"] == "BAD_TOKEN"


def test_last_use_is_noted_at_most_once_a_minute(client: TestClient, user, make_key):
    headers = make_key("read")

    def last_used() -> str | None:
        return client.get("/auth/keys", headers=user.headers).json()["items"][0]["last_used_at"]

    never = last_used()
    client.get("/users/me", headers=headers)
    first = last_used()
    client.get("/users/me", headers=headers)
    second = last_used()
    with open_session() as session:
        before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=2)
        session.execute(update(ApiKey).where(ApiKey.user_id == user.id).values(last_used_at=before))
    client.get("/users/me", headers=headers)

    assert never is None
    assert first is not None
    assert second == first
    assert last_used() > first


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"name": ""},
        {"name": "x" * 101},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00"},
    ],
)
def test_key_that_cannot_be_is_422(client: TestClient, user, change: dict):
    answer = client.post("/auth/keys", json={"name": "a", "scopes": ["read"], **change}, headers=user.headers)

    assert answer.status_code == 422


def test_what_was_done_is_told(client: TestClient, user, make_key):
    make_key("read")
    client.post("/auth/token", data={"username": user.email, "password": "a guess"})

    first = client.get("/users/me/audit?limit=2", headers=user.headers).json()
    rest = client.get("/users/me/audit", params={"cursor": first["next_cursor"]}, headers=user.headers).json()

    actions = [entry["action"] for entry in first["items"] + rest["items"]]
    assert actions == ["sign_in_failed", "key_made", "signed_in", "signed_up"]
    assert first["items"][0]["address"] == "testclient"
    assert rest["next_cursor"] is None
