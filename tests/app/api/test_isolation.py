"""Whatever one user has is 404 to another, with no word about it, and 401 to a stranger."""

import re
import uuid

import pytest
from fastapi.testclient import TestClient

pytestmark = pytest.mark.usefixtures("leaves_no_work")

SECRET = "a-name-nobody-else-may-see"


@pytest.fixture(scope="module")
def owner(make_user):
    return make_user()


@pytest.fixture(scope="module")
def other(make_user):
    return make_user()


@pytest.fixture(scope="module")
def video(client: TestClient, owner) -> dict:
    files = {"file": (f"{SECRET}.mp4", b"no video")}
    return client.post("/videos/upload", files=files, headers=owner.headers).json()


def calls(client: TestClient) -> list[tuple[str, str]]:
    """Every route that names something of a user's, from the API's own description of itself."""
    paths = client.get("/openapi.json").json()["paths"]
    return [
        (method, path)
        for path, methods in paths.items()
        for method in methods
        if re.search(r"\{(video|extraction)_id\}", path)
    ]


def path_of(template: str, *, video: dict) -> str:
    path = template.replace("{video_id}", video["id"]).replace("{extraction_id}", video["extraction_id"])
    return re.sub(r"\{\w+\}", "0", path)


def body_of(path: str) -> dict:
    return {"sequences": [0]} if path.endswith("/selection") else {"mode": "all"}


def test_the_things_of_another_are_404(client: TestClient, owner, other, video: dict):
    answers = {}
    for method, template in calls(client):
        path = path_of(template, video=video)
        answers[method, template] = client.request(method, path, headers=other.headers, json=body_of(path))

    assert len(answers) >= 4
    assert {call: answer.status_code for call, answer in answers.items()} == dict.fromkeys(answers, 404)
    assert not [call for call, answer in answers.items() if SECRET in answer.text]
    assert client.get(f"/videos/{video['id']}", headers=owner.headers).status_code == 200


def test_what_was_never_there_looks_the_same(client: TestClient, other, video: dict):
    nowhere = {"id": str(uuid.uuid4()), "extraction_id": str(uuid.uuid4())}
    for method, template in calls(client):
        theirs, none = (
            client.request(method, path, headers=other.headers, json=body_of(path))
            for path in (path_of(template, video=video), path_of(template, video=nowhere))
        )

        assert theirs.json() == none.json()


def test_a_stranger_is_401_everywhere(client: TestClient, video: dict):
    for method, template in [*calls(client), ("get", "/videos/status"), ("post", "/videos/upload")]:
        path = path_of(template, video=video)

        assert client.request(method, path, json=body_of(path)).status_code == 401, (method, template)


def test_a_list_holds_only_what_is_yours(client: TestClient, owner, other, video: dict):
    yours = client.get("/videos/status", headers=other.headers).json()
    theirs = client.get("/videos/status", headers=owner.headers).json()

    assert yours == {"items": [], "next_cursor": None}
    assert [item["id"] for item in theirs["items"]] == [video["id"]]


def test_the_id_of_another_in_a_cursor_shows_nothing(client: TestClient, make_user, other):
    owner = make_user()
    for _ in range(2):
        client.post("/videos/upload", files={"file": (f"{SECRET}.mp4", b"")}, headers=owner.headers)
    cursor = client.get("/videos/status?limit=1", headers=owner.headers).json()["next_cursor"]

    assert client.get("/videos/status", params={"cursor": cursor}, headers=other.headers).json()["items"] == []
