"""Bodies and addresses that mean harm, or nothing: refused in one sentence, never an error of ours."""

import json
import math
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.accounts import models as accounts
from app.database import open_session
from tests.conftest import PASSWORD, MakeUser, User

pytestmark = pytest.mark.usefixtures("leaves_no_work")

DEEP = 100_000
UNREADABLE, INVALID, BAD_PLAN = (400, "BAD_REQUEST"), (422, "INVALID"), (422, "BAD_PLAN")
# What Python's parsers stumble over, and what is no object at all: refused before anybody looks what is asked.
BODIES = {
    "deep list": ("[" * DEEP + "]" * DEEP, UNREADABLE),
    "deep object": ('{"a":' * DEEP + "1" + "}" * DEEP, UNREADABLE),
    "deep and unfinished": ('{"mode":' + "[" * DEEP, UNREADABLE),
    "long number": ('{"mode": "every", "seconds": ' + "9" * 5_000 + "}", UNREADABLE),
    "not UTF-8": (b'{"mode": "\xff\xfe"}', UNREADABLE),
    "not JSON": ("<plan/>", INVALID),
    "half": ('{"mode": "every"', INVALID),
    "only a word": ('"every"', INVALID),
    "list": ('[{"mode": "every"}]', INVALID),
    "null": ("null", INVALID),
    "nothing": ("", INVALID),
    "too much": ("{" + " " * 5 * 2**20 + "}", (413, "TOO_LARGE")),
}
# What PostgreSQL's texts and numbers can't hold, nor anybody's mind.
VALUES: dict[str, object] = {
    "NUL": "a\x00b",
    "half a character": "\ud800",
    "long text": "a" * 1_000_000,
    "huge number": 10**300,
    "infinity": math.inf,
    "no number": math.nan,
    "less than nothing": -1,
    "nest": [[[{"a": []}]]],
}
PUBLIC_URL = "https://93.184.215.14/"
# What each address takes, so that a hostile value in one field is refused for that field alone.
TAKEN: dict[str, dict[str, object]] = {
    "POST /users/": {"email": "new@example.com", "password": PASSWORD, "locale": "en", "invitation": "none"},
    "PATCH /users/me": {
        "locale": "en",
        "time_zone": "UTC",
        "mail": True,
        "default_plan": {"mode": "all"},
        "password": PASSWORD,
        "current_password": PASSWORD,
    },
    "POST /auth/refresh": {"refresh_token": "none"},
    "POST /auth/logout": {"refresh_token": "none"},
    "POST /auth/password/forgot": {"email": "nobody@example.com"},
    "POST /auth/password/reset": {"token": "none", "password": PASSWORD},
    "POST /auth/email/confirm": {"token": "none"},
    "POST /auth/keys": {"name": "a key", "scopes": ["read"], "expires_at": None},
    "POST /videos/upload-url": {"filename": "a.mp4", "bytes": 1, "extract": True, "plan": {"mode": "all"}},
    "POST /videos/import": {"url": f"{PUBLIC_URL}a.mp4", "plan": {"mode": "all"}},
    "POST /webhooks": {"url": PUBLIC_URL},
    "PATCH /webhooks/{webhook_id}": {"url": PUBLIC_URL, "enabled": True},
    "POST /videos/{video_id}/extractions": {"mode": "every", "seconds": 1, "start": 0, "format": "png", "quality": 5},
    "POST /videos/{video_id}/estimate": {"mode": "every", "seconds": 1},
    "POST /extractions/{extraction_id}/selection": {"sequences": [1]},
    "PATCH /admin/users/{user_id}": {"role": "user", "disabled": False, "quotas": {"videos": 1}},
    "POST /admin/invitations": {"email": "nobody@example.com", "locale": "en"},
}
PLANS = ("POST /videos/{video_id}/extractions", "POST /videos/{video_id}/estimate")
# A text that is none of theirs is what these expect of strangers.
OTHERWISE: dict[tuple[str, str, str], tuple[int, str | None]] = {
    ("POST /users/", "invitation", "NUL"): (409, "EMAIL_TAKEN"),
    ("PATCH /users/me", "current_password", "NUL"): (403, "WRONG_PASSWORD"),
    ("POST /auth/refresh", "refresh_token", "NUL"): (401, "BAD_TOKEN"),
    ("POST /auth/logout", "refresh_token", "NUL"): (204, None),
    ("POST /auth/password/reset", "token", "NUL"): (410, "BAD_MAILED_TOKEN"),
    ("POST /auth/email/confirm", "token", "NUL"): (410, "BAD_MAILED_TOKEN"),
    ("POST /videos/upload-url", "filename", "NUL"): (403, "DIRECT_UPLOAD_OFF"),
    ("POST /videos/import", "url", "NUL"): (403, "IMPORTS_OFF"),
    ("POST /webhooks", "url", "NUL"): (422, "ADDRESS_REFUSED"),
    ("PATCH /webhooks/{webhook_id}", "url", "NUL"): (422, "ADDRESS_REFUSED"),
}

Ask = Callable[..., tuple[int, str | None]]


@pytest.fixture(scope="module")
def user(make_user: MakeUser) -> User:
    """An admin, who is let in everywhere."""
    user = make_user()
    with open_session() as session:
        session.execute(update(accounts.User).where(accounts.User.id == user.id).values(role="admin"))
    return user


@pytest.fixture(scope="module")
def ask(client: TestClient, user: User, make_user: MakeUser) -> Ask:
    """`ask("PATCH /webhooks/{webhook_id}", "{}")`: status and code of the answer, of what there is."""
    other = make_user("new@example.com")
    form = {"file": ("a.mp4", b"no video")}
    video = client.post("/videos/upload", files=form, headers=user.headers).json()
    webhook = client.post("/webhooks", json={"url": PUBLIC_URL}, headers=user.headers).json()
    ids = {"video_id": video["id"], "extraction_id": video["extraction_id"]}
    ids |= {"webhook_id": webhook["id"], "user_id": str(other.id)}

    def ask(where: str, body: str | bytes, content_type: str = "application/json") -> tuple[int, str | None]:
        method, path = where.split()
        answer = client.request(
            method, path.format(**ids), content=body, headers={**user.headers, "Content-Type": content_type}
        )
        if answer.status_code < 400:
            return answer.status_code, None
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert problem["detail"]
        return answer.status_code, problem["code"]

    return ask


def test_every_address_that_takes_json_is_tried(client: TestClient):
    takes_json = {
        f"{method.upper()} {path}"
        for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method, operation in methods.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }

    assert takes_json == TAKEN.keys()


@pytest.mark.parametrize(("body", "refusal"), BODIES.values(), ids=BODIES)
def test_a_hostile_body_is_refused_everywhere(ask: Ask, body: str | bytes, refusal: tuple[int, str]):
    assert {where: ask(where, body) for where in TAKEN} == dict.fromkeys(TAKEN, refusal)


@pytest.mark.parametrize("name", VALUES)
def test_a_hostile_value_is_refused_in_every_field(ask: Ask, name: str):
    told = {
        (where, field): ask(where, json.dumps({**taken, field: VALUES[name]}))
        for where, taken in TAKEN.items()
        for field in taken
    }

    assert told == {
        (where, field): OTHERWISE.get((where, field, name), BAD_PLAN if where in PLANS else INVALID)
        for where, field in told
    }


@pytest.mark.parametrize("name", VALUES)
def test_a_hostile_value_in_a_plan_is_refused(ask: Ask, name: str):
    fields = [(where, field) for where, taken in TAKEN.items() for field in taken if field.endswith("plan")]
    plan = {"mode": "every", "seconds": VALUES[name]}

    told = {where: ask(where, json.dumps({**TAKEN[where], field: plan})) for where, field in fields}

    assert told == {where: BAD_PLAN for where, _ in fields}


@pytest.mark.parametrize("key", ["\ud800", "\x00", "a" * 1_000_000, "__proto__"])
def test_a_hostile_key_is_refused_where_others_are_not_ignored(ask: Ask, key: str):
    told = [ask("PATCH /admin/users/{user_id}", json.dumps({"quotas": {key: 1}}))]
    told += [ask(where, json.dumps({**TAKEN[where], key: 1})) for where in PLANS]

    assert told == [INVALID, BAD_PLAN, BAD_PLAN]


def test_of_a_key_that_is_there_twice_the_last_counts(ask: Ask):
    first_is_bad = '{"mode": "every", "seconds": -1, "seconds": 2}'
    last_is_bad = '{"mode": "every", "seconds": 2, "seconds": -1}'

    assert [ask(PLANS[0], body) for body in (first_is_bad, last_is_bad)] == [(202, None), BAD_PLAN]


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "a/b/c",
    ],
)
def test_json_must_be_called_so(ask: Ask, content_type: str):
    told = {where: ask(where, json.dumps(taken), content_type) for where, taken in TAKEN.items()}

    assert told == dict.fromkeys(TAKEN, (415, "UNSUPPORTED_MEDIA_TYPE"))


FORM = "application/x-www-form-urlencoded"
SIGN_INS = {
    "JSON": ('{"username": "a@example.com", "password": "b"}', "application/json", (415, "UNSUPPORTED_MEDIA_TYPE")),
    "text": ("username=a@example.com&password=b", "text/plain", (415, "UNSUPPORTED_MEDIA_TYPE")),
    "nothing": ("", FORM, INVALID),
    "many fields": ("&".join(f"a{number}=1" for number in range(2_000)), FORM, UNREADABLE),
    "field twice": ("username=a@example.com&username=b@example.com&password=b", FORM, (401, "BAD_CREDENTIALS")),
    "NUL": ("username=a%00@example.com&password=%00", FORM, INVALID),
    "not UTF-8": (b"username=%ff%fe&password=%ff", FORM, (401, "BAD_CREDENTIALS")),
    "long text": (f"username={'a' * 1_000_000}&password={'b' * 1_000_000}", FORM, (401, "BAD_CREDENTIALS")),
    "too much": ("username=a&password=" + "b" * 5 * 2**20, FORM, (413, "TOO_LARGE")),
    "no boundary": ("x", "multipart/form-data", UNREADABLE),
    "long header": (
        b'--x\r\nContent-Disposition: form-data; name="' + b"a" * 100_000 + b'"\r\n\r\n1\r\n--x--\r\n',
        "multipart/form-data; boundary=x",
        UNREADABLE,
    ),
    "many parts": (
        b"".join(b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n' % n for n in range(2_000))
        + b"--x--\r\n",
        "multipart/form-data; boundary=x",
        UNREADABLE,
    ),
    "file": (
        b'--x\r\nContent-Disposition: form-data; name="username"; filename="a"\r\n\r\n1\r\n--x--\r\n',
        "multipart/form-data; boundary=x",
        INVALID,
    ),
}


@pytest.mark.parametrize("where", ["/auth/token", "/auth/session"])
@pytest.mark.parametrize(("body", "content_type", "refusal"), SIGN_INS.values(), ids=SIGN_INS)
def test_a_hostile_form_is_refused(
    client: TestClient, where: str, body: str | bytes, content_type: str, refusal: tuple[int, str]
):
    # From an address of its own: that many who fail are kept waiting.
    answer = client.post(where, content=body, headers={"Content-Type": content_type})

    assert (answer.status_code, answer.json()["code"]) == refusal
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("header", ["Authorization", "Cookie"])
def test_a_long_secret_is_nobodys(client: TestClient, header: str):
    secret = {"Authorization": f"Bearer {'a' * 60_000}", "Cookie": f"fotograma_session={'a' * 60_000}"}[header]

    answer = client.get("/users/me", headers={header: secret})

    assert (answer.status_code, answer.json()["code"]) == (401, "BAD_TOKEN")


@pytest.mark.parametrize("text", ["\x1b[2J", "%", "_", "\\", "'; DROP TABLE videos; --", "a" * 255])
def test_a_hostile_search_finds_nothing(client: TestClient, user: User, text: str):
    answer = client.get("/videos/status", params={"search": text}, headers=user.headers)

    assert (answer.status_code, answer.json()["items"]) == (200, [])


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "a" * 10_000])
def test_a_search_that_can_not_be_is_refused(client: TestClient, user: User, text: str):
    answer = client.get("/videos/status", params={"search": text}, headers=user.headers)

    assert (answer.status_code, answer.json()["code"]) == INVALID


@pytest.mark.parametrize("name", sorted(BODIES.keys() - {"too much"}))
def test_a_hostile_plan_in_a_form_is_refused(client: TestClient, user: User, name: str):
    form = {"plan": (None, BODIES[name][0]), "file": ("a.mp4", b"nothing")}

    answer = client.post("/videos/upload", files=form, headers=user.headers)

    assert (answer.status_code, answer.json()["code"]) == BAD_PLAN


@pytest.mark.parametrize("name", VALUES)
def test_a_hostile_value_in_the_plan_of_a_form_is_refused(client: TestClient, user: User, name: str):
    plan = json.dumps({"mode": "every", "seconds": VALUES[name]})
    form = {"plan": (None, plan), "file": ("a.mp4", b"nothing")}

    answer = client.post("/videos/upload", files=form, headers=user.headers)

    assert (answer.status_code, answer.json()["code"]) == BAD_PLAN


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("/videos/%00", INVALID),
        ("/videos/..%2f..%2fetc%2fpasswd", (404, "NOT_FOUND")),
        ("/files/%00?expires=1&signature=00", (403, "LINK_INVALID")),
        ("/%ff", (404, "NOT_FOUND")),
    ],
)
def test_a_hostile_address_leads_nowhere(client: TestClient, user: User, path: str, refusal: tuple[int, str]):
    answer = client.get(path, headers=user.headers)

    assert (answer.status_code, answer.json()["code"]) == refusal
