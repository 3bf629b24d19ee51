"""Bodies and addresses that mean harm, or nothing: refused in one sentence, never an error of ours."""

import json
import uuid

import pytest
from fastapi.testclient import TestClient

from tests.conftest import MakeUser, User

DEEP = 100_000
# What Python's parsers and PostgreSQL's texts stumble over.
BODIES = {
    "deep list": "[" * DEEP + "]" * DEEP,
    "deep object": '{"a":' * DEEP + "1" + "}" * DEEP,
    "deep and unfinished": '{"mode":' + "[" * DEEP,
    "long number": '{"mode": "every", "seconds": ' + "9" * 5_000 + "}",
    "infinity": '{"mode": "every", "seconds": 1e999}',
    "not a number": '{"mode": "every", "seconds": NaN}',
    "surrogate": '{"mode": "\\ud800", "email": "a\\ud800@example.com", "password": "\\udfff\\udfff\\udfff\\udfff"}',
    "NUL": '{"mode": "every\\u0000", "email": "a\\u0000@example.com", "password": "\\u0000\\u0000\\u0000\\u0000"}',
    "not UTF-8": b'{"mode": "\xff\xfe"}',
    "not JSON": "<plan/>",
    "only a word": '"every"',
    "null": "null",
    "nothing": "",
}


@pytest.fixture(scope="module")
def user(make_user: MakeUser) -> User:
    return make_user()


def takes_json(client: TestClient) -> list[tuple[str, str]]:
    """Each address that takes JSON, with ids that nobody has."""
    found = []
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                for parameter in operation.get("parameters", []):
                    if parameter["in"] == "path":
                        path = path.replace(f"{{{parameter['name']}}}", str(uuid.uuid4()))
                found.append((method.upper(), path))
    return found


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_hostile_body_is_refused_everywhere(client: TestClient, user: User, body: str | bytes):
    answers = {
        f"{method} {path}": client.request(
            method, path, content=body, headers={**user.headers, "Content-Type": "application/json"}
        )
        for method, path in takes_json(client)
    }

    assert len(answers) >= 10
    wrong = {
        where: (answer.status_code, answer.text[:200]) for where, answer in answers.items() if answer.status_code >= 500
    }
    assert not wrong
    told = [answer for answer in answers.values() if answer.status_code >= 400]
    assert all(answer.headers["Content-Type"] == "application/problem+json" for answer in told)
    assert all(json.loads(answer.text)["code"] for answer in told)


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\x1b[2J", "%", "\\", "'; DROP TABLE videos; --", "a" * 10_000])
def test_a_hostile_search_finds_nothing(client: TestClient, user: User, text: str):
    answer = client.get("/videos/status", params={"search": text}, headers=user.headers)

    assert answer.status_code in {200, 422}
    if answer.status_code == 200:
        assert answer.json()["items"] == []


@pytest.mark.parametrize("plan", BODIES.values(), ids=BODIES)
def test_a_hostile_plan_in_a_form_is_refused(client: TestClient, user: User, plan: str | bytes):
    form = {"plan": (None, plan), "file": ("a.mp4", b"nothing")}

    answer = client.post("/videos/upload", files=form, headers=user.headers)

    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "BAD_PLAN"


@pytest.mark.parametrize(
    "path", ["/videos/%00", "/videos/..%2f..%2fetc%2fpasswd", "/files/%00?expires=1&signature=00", "/%ff"]
)
def test_a_hostile_address_leads_nowhere(client: TestClient, user: User, path: str):
    answer = client.get(path, headers=user.headers)

    assert 400 <= answer.status_code < 500, answer.text
