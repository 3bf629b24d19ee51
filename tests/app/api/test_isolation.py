"""Whatever one user has is 404 to another, with no word about it, and 401 to a stranger (S40).

Every route and verb is tried, from the API's own description of itself: one that is added is tried by itself, and is
refused to strangers unless it is named here.
"""

import re
import uuid

import pytest
from fastapi.testclient import TestClient

from app.database import open_session
from app.webhooks import delivery_lifecycle

pytestmark = pytest.mark.usefixtures("leaves_no_work")

SECRET = "a-name-nobody-else-may-see"
VERBS = ("get", "head", "post", "put", "patch", "delete")

# What strangers may ask.
PUBLIC = {
    ("post", "/users/"),
    ("get", "/auth/methods"),
    ("post", "/auth/token"),
    ("post", "/auth/refresh"),
    ("post", "/auth/logout"),
    ("post", "/auth/session"),
    ("post", "/auth/password/forgot"),
    ("post", "/auth/password/reset"),
    ("post", "/auth/email/confirm"),
    ("get", "/auth/oidc/{provider}/start"),
    ("get", "/auth/oidc/{provider}/callback"),
    ("options", "/uploads/"),
    ("get", "/files/{key}"),
    ("get", "/health/live"),
    ("get", "/health/ready"),
}
# What ends what it is asked with: whoever has a key may end its own session, of which it has none.
ANY_KEY = {("delete", "/auth/session")}
READS = {"/videos/{video_id}/estimate", "/extractions/{extraction_id}/selection"}

# Enough of everything, so that nothing is refused for its form.
BODY = {
    "sequences": [0],
    "mode": "all",
    "url": "https://93.184.215.14/hook",
    "name": "a",
    "scopes": ["read"],
    "email": "nobody@example.com",
    "locale": "en",
}


@pytest.fixture(scope="module")
def owner(make_user):
    return make_user()


@pytest.fixture(scope="module")
def other(make_user):
    return make_user()


@pytest.fixture(scope="module")
def things(client: TestClient, owner) -> dict[str, str]:
    """One of everything that the owner has, by the name it has in paths."""

    def post(path: str, **more: object):
        answer = client.post(path, **{"headers": owner.headers, **more})
        assert answer.is_success, answer.text
        return answer

    video = post("/videos/upload", files={"file": (f"{SECRET}.mp4", b"no video")}).json()
    upload = post("/uploads/", headers={**owner.headers, "Tus-Resumable": "1.0.0", "Upload-Length": "9"})
    webhook = post("/webhooks", json={"url": f"https://93.184.215.14/{SECRET}"}).json()
    with open_session() as session:
        delivery_lifecycle.owe(session, user_id=owner.id, kind="extraction.completed", data={"filename": SECRET})
    delivery = client.get(f"/webhooks/{webhook['id']}/deliveries", headers=owner.headers).json()[0]
    key = post("/auth/keys", json={"name": SECRET, "scopes": ["read"]}).json()
    return {
        "video_id": video["id"],
        "extraction_id": video["extraction_id"],
        "upload_id": upload.headers["Location"].rpartition("/")[2],
        "webhook_id": webhook["id"],
        "delivery_id": delivery["id"],
        "key_id": key["id"],
        "user_id": str(owner.id),
        "sequence": "0",
        "kind": "json",
    }


@pytest.fixture(scope="module")
def routes(client: TestClient) -> list[tuple[str, str]]:
    """Every verb and path that is not for everybody."""
    paths = client.get("/openapi.json").json()["paths"]
    found = {(verb, path) for path, verbs in paths.items() for verb in verbs}
    assert found >= PUBLIC
    return sorted(found - PUBLIC)


@pytest.fixture(scope="module")
def ask(client: TestClient):
    """`ask("get", "/videos/{video_id}", things, headers)`."""

    def ask(verb: str, path: str, things: dict[str, str], headers: dict[str, str] | None = None):
        headers = {**(headers or {}), "Tus-Resumable": "1.0.0"} if path.startswith("/uploads") else headers
        if verb == "patch" and path.startswith("/uploads"):
            headers = {**headers, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
        address = re.sub(r"\{(\w+)\}", lambda name: things[name[1]], path)
        return client.request(verb, address, headers=headers, json=BODY)

    return ask


def test_a_stranger_is_401_everywhere(routes, ask, things):
    answers = {(verb, path): ask(verb, path, things).status_code for verb, path in routes}

    assert len(answers) > 40
    assert {route for route, status in answers.items() if status != 401} == set()


def test_every_answer_keeps_browsers_from_guessing_and_telling(routes, ask, things, make_user):
    things = {**things, "key": "a", "provider": "nobody"}
    user = make_user()
    lacking = {}
    for verb, path in [*routes, *sorted(PUBLIC)]:
        # With a user the stream of events has no end.
        for headers in (None, user.headers) if path != "/events" else (None,):
            answer = ask(verb, path, things, headers)
            told = [answer.headers.get(name) for name in ("X-Content-Type-Options", "Referrer-Policy", "Server")]
            if told != ["nosniff", "same-origin", None]:
                lacking[verb, path] = told

    assert lacking == {}


def test_the_things_of_another_are_404_and_look_like_none(client: TestClient, routes, ask, things, owner, other):
    ids = {name: str(uuid.uuid4()) for name in things if name.endswith("_id")}
    nothing = {**things, **ids}
    named = [(verb, path) for verb, path in routes if "{" in path]

    wrong = {}
    for verb, path in named:
        theirs, none = (ask(verb, path, which, other.headers) for which in (things, nothing))
        if theirs.status_code != 404 or SECRET in theirs.text or theirs.text != none.text:
            wrong[verb, path] = theirs.status_code, theirs.text

    assert len(named) > 25
    assert wrong == {}
    kept = client.get(f"/videos/{things['video_id']}", headers=owner.headers)
    assert (kept.status_code, kept.json()["status"]) == (200, "PENDING")
    assert client.get(f"/webhooks/{things['webhook_id']}", headers=owner.headers).status_code == 200
    assert len(client.get("/auth/keys", headers=owner.headers).json()["items"]) == 1


def test_no_other_verb_does_anything(routes, ask, things, owner):
    paths = {path for _, path in routes} | {path for _, path in PUBLIC if "{" not in path}
    known = {*routes, *PUBLIC}
    statuses = {
        (verb, path): ask(verb, path, things, owner.headers).status_code
        for path in paths
        for verb in VERBS
        if (verb, path) not in known
    }

    # 404 and 422 where the same address is that of another route, as in /videos/{video_id}.
    assert {route: status for route, status in statuses.items() if status not in (404, 405, 422)} == {}


def test_key_of_too_small_a_scope_is_403(client: TestClient, routes, ask, things, make_user):
    holder = make_user()

    def key(*scopes: str) -> dict[str, str]:
        made = client.post("/auth/keys", json={"name": "a", "scopes": list(scopes)}, headers=holder.headers)
        return {"Authorization": f"Bearer {made.json()['key']}"}

    all_but = {"read": key("write", "account"), "write": key("read", "account"), "account": key("read", "write")}

    def needed(verb: str, path: str) -> str:
        if path.startswith(("/auth/", "/users/me")) and (verb, path) not in {
            ("get", "/users/me"),
            ("get", "/users/me/usage"),
        }:
            return "account"
        return "read" if verb in ("get", "head") or path in READS else "write"

    wrong = {}
    for verb, path in routes:
        if path.startswith("/admin/") or (verb, path) in ANY_KEY:
            continue
        answer = ask(verb, path, things, all_but[needed(verb, path)])
        is_refused = answer.status_code == 403 and (verb == "head" or answer.json()["code"] == "SCOPE_MISSING")
        if not is_refused:
            wrong[verb, path] = answer.status_code, answer.text

    assert wrong == {}


def test_admin_pages_are_not_there_for_others(routes, ask, things, other):
    answers = [ask(verb, path, things, other.headers) for verb, path in routes if path.startswith("/admin/")]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "NOT_FOUND")}


def test_a_list_holds_only_what_is_yours(client: TestClient, owner, other, things):
    lists = ("/videos/status", "/auth/keys", "/webhooks", "/users/me/audit")
    theirs = {path: client.get(path, headers=owner.headers).text for path in lists}
    yours = {path: client.get(path, headers=other.headers).text for path in lists}

    assert all(SECRET in text for text in theirs.values())
    assert not any(SECRET in text or things["video_id"] in text for text in yours.values())


def test_the_id_of_another_in_a_cursor_shows_nothing(client: TestClient, make_user, other):
    owner = make_user()
    for _ in range(2):
        client.post("/videos/upload", files={"file": (f"{SECRET}.mp4", b"")}, headers=owner.headers)
    cursor = client.get("/videos/status?limit=1", headers=owner.headers).json()["next_cursor"]

    assert client.get("/videos/status", params={"cursor": cursor}, headers=other.headers).json()["items"] == []
    entry = client.get("/users/me/audit", headers=owner.headers).json()["items"][0]["id"]
    audit = client.get("/users/me/audit", params={"cursor": entry}, headers=other.headers).json()["items"]
    assert SECRET not in str(audit)
