"""What admins see and do, and that nobody else does."""

import re
import secrets
import subprocess
import sys
import uuid

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.accounts.models import User
from app.database import open_session
from app.extractions import lifecycle
from tests.conftest import PASSWORD

pytestmark = pytest.mark.usefixtures("leaves_no_work")


@pytest.fixture(scope="module")
def admin(make_user):
    user = make_user()
    with open_session() as session:
        session.execute(update(User).where(User.id == user.id).values(role="admin"))
    return user


@pytest.fixture
def user(make_user):
    return make_user()


def change(client: TestClient, by, user_id: uuid.UUID, **values: object):
    return client.patch(f"/admin/users/{user_id}", json=values, headers=by.headers)


def upload(client: TestClient, by):
    return client.post("/videos/upload", files={"file": ("a.mp4", b"no video")}, headers=by.headers)


def test_admin_finds_accounts_by_address_page_by_page(client: TestClient, admin, make_user):
    mark = secrets.token_hex(6)
    made = [make_user(f"{mark}-{number}@example.com") for number in range(3)]

    first = client.get("/admin/users", params={"search": mark.upper(), "limit": 2}, headers=admin.headers).json()
    rest = client.get(
        "/admin/users", params={"search": mark, "cursor": first["next_cursor"]}, headers=admin.headers
    ).json()

    assert [item["id"] for item in first["items"] + rest["items"]] == [str(user.id) for user in reversed(made)]
    assert rest["next_cursor"] is None
    assert "password" not in str(first)


def test_quota_of_one_user_holds_for_that_user(client: TestClient, admin, user, make_user):
    changed = change(client, admin, user.id, quotas={"videos": 1, "uploads_a_day": 2})

    assert changed.status_code == 200, changed.text
    assert (changed.json()["quotas"]["videos"], changed.json()["own_quotas"]) == (1, {"videos": 1, "uploads_a_day": 2})
    assert upload(client, user).status_code == 202
    refused = upload(client, user)
    assert (refused.status_code, refused.json()["code"]) == (507, "TOO_MANY_VIDEOS")
    change(client, admin, user.id, quotas={"videos": None})
    assert upload(client, user).status_code == 202
    refused = upload(client, user)
    assert (refused.status_code, refused.json()["code"]) == (429, "TOO_MANY_UPLOADS")
    assert 0 < int(refused.headers["Retry-After"]) <= 86400
    usage = client.get("/users/me/usage", headers=user.headers).json()
    assert (usage["videos_max"], usage["uploads_today"], usage["uploads_a_day_max"]) == (10_000, 2, 2)
    assert upload(client, make_user()).status_code == 202


def test_disabled_user_is_out_at_once_and_back_when_enabled(client: TestClient, admin, user):
    change(client, admin, user.id, disabled=True)

    out = client.get("/users/me", headers=user.headers).status_code
    change(client, admin, user.id, disabled=False)

    assert out == 401
    signed_in = client.post("/auth/token", data={"username": user.email, "password": user.password})
    assert signed_in.status_code == 200


def test_admin_can_not_lock_themselves_out(client: TestClient, admin):
    answers = [change(client, admin, admin.id, **values) for values in ({"role": "user"}, {"disabled": True})]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(409, "NOT_YOURSELF")] * 2


def test_acts_of_admins_are_told_to_whom_they_were_done(client: TestClient, admin, user):
    change(client, admin, user.id, role="admin")
    change(client, admin, user.id, role="user")

    own = client.get("/users/me/audit?limit=2", headers=user.headers).json()["items"]
    seen = client.get("/admin/audit", params={"user_id": str(user.id), "limit": 2}, headers=admin.headers).json()

    assert [(entry["action"], entry["detail"]["role"]) for entry in own] == [
        ("role_changed", "user"),
        ("role_changed", "admin"),
    ]
    assert {entry["by"] for entry in seen["items"]} == {str(admin.id)}


def test_invitation_is_made_once_and_not_for_those_who_are_here(client: TestClient, admin, user):
    email = f"guest-{secrets.token_hex(6)}@example.com"
    made = client.post("/admin/invitations", json={"email": email, "locale": "pt"}, headers=admin.headers)
    taken = client.post("/admin/invitations", json={"email": user.email}, headers=admin.headers)

    assert (made.status_code, made.json()["email"]) == (201, email)
    assert "token" not in made.text
    assert (taken.status_code, taken.json()["code"]) == (409, "EMAIL_TAKEN")


def test_dead_letter_is_seen_and_sent_again(client: TestClient, admin, user):
    extraction_id = upload(client, user).json()["extraction_id"]
    with open_session() as session:
        lifecycle.fail(session, uuid.UUID(extraction_id), code="LOST", message="Machines died.")

    listed = client.get("/admin/dead-letters", headers=admin.headers).json()["items"]
    answers = [client.post(f"/admin/dead-letters/{extraction_id}/retry", headers=admin.headers) for _ in "12"]

    assert [item["email"] for item in listed if item["extraction_id"] == extraction_id] == [user.email]
    assert [answer.status_code for answer in answers] == [202, 404]
    assert client.get(f"/extractions/{answers[0].json()['extraction_id']}", headers=user.headers).status_code == 200


def test_admin_sees_queue_workers_and_where_to_look_further(client: TestClient, admin):
    queue, workers, links = (
        client.get(f"/admin/{name}", headers=admin.headers).json() for name in ("queue", "workers", "links")
    )

    assert queue["segments_waiting"] >= 0
    assert queue["oldest_seconds"] >= 0
    assert isinstance(workers["items"], list)
    assert links["metrics"].endswith("/metrics")


def test_key_of_an_admin_needs_the_scope(client: TestClient, admin):
    made = client.post("/auth/keys", json={"name": "a", "scopes": ["read", "write"]}, headers=admin.headers).json()

    answer = client.get("/admin/users", headers={"Authorization": f"Bearer {made['key']}"})

    assert (answer.status_code, answer.json()["code"]) == (403, "SCOPE_MISSING")


def test_operator_does_the_same_on_the_command_line(client: TestClient, user):
    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, "-m", "app.admin", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    guest = f"guest-{secrets.token_hex(6)}@example.com"
    run("make-admin", user.email.upper())
    run("invite", guest)

    assert client.get("/admin/queue", headers=user.headers).status_code == 200
    assert f"admin  unconfirmed  {user.email}" in run("users", user.email)
    assert re.search(
        r"extractions_running +0 of 2  \(own\)", run("quotas", user.email, "extractions_running=2", "videos=7")
    )
    usage = client.get("/users/me/usage", headers=user.headers).json()
    assert (usage["extractions_running_max"], usage["videos_max"]) == (2, 7)
    assert re.search(r"videos +0 of 10,000\n", run("quotas", user.email, "videos=usual"))
    told = run("status")
    assert [line.split("  ")[0] for line in told.splitlines()] == [
        "queue",
        "outbox",
        "worker",
        "dead letters",
        "metrics",
        "flower",
    ]
    run("disable", user.email)
    run("enable", user.email)
    newest = run("audit", "--limit", "2")
    assert [line.split()[2:] for line in newest.splitlines()] == [
        ["enabled", user.email, "here"],
        ["disabled", user.email, "here"],
    ]
    assert run("audit", "--user", user.email.upper(), "--limit", "2") == newest
    assert f"  signed_in             {user.email}  testclient  {{" in run("audit", "--user", str(user.id))
    unknown = subprocess.run(
        [sys.executable, "-m", "app.admin", "disable", guest], capture_output=True, text=True, timeout=60
    )
    assert (unknown.returncode, unknown.stderr.strip()) == (1, "There is no such account.")
    signed_in = client.post("/auth/token", data={"username": user.email, "password": PASSWORD})
    assert signed_in.status_code == 200
