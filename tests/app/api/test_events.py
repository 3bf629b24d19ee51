"""Who listens sees each video as whoever asks for it does; what changes it happens in another process."""

import os
import signal
import uuid

import httpx2
import psutil
import pytest
from fastapi.testclient import TestClient

from app.database import open_session
from app.extractions import lifecycle
from app.videos import lifecycle as videos
from tests.conftest import PASSWORD
from tests.listening import Listener
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("leaves_no_work")


@pytest.fixture(scope="module")
def api(start_api):
    return start_api(USER_EVENT_STREAMS="3")


@pytest.fixture
def user(make_user):
    return make_user()


@pytest.fixture
def upload(client: TestClient, user):
    def upload(*, by=user, **fields: str) -> dict:
        answer = client.post("/videos/upload", files={"file": ("a.mp4", b"no")}, data=fields, headers=by.headers)
        assert answer.status_code == 202, answer.text
        return answer.json()

    return upload


@pytest.fixture
def listen(api, user):
    """`listen()`: somebody who listens from now on, with the snapshot behind them."""
    started: list[Listener] = []

    def listen(url: str | None = None, headers: dict[str, str] | None = None, last_id: str | None = None) -> Listener:
        listener = Listener(url or api.url, headers or user.headers, last_id=last_id)
        listener.listen()
        started.append(listener)
        listener.wait_for_snapshot()
        return listener

    yield listen
    for listener in started:
        listener.cut()


def fail(video: dict) -> None:
    with open_session() as session:
        assert lifecycle.fail(session, uuid.UUID(video["extraction_id"]), code="NOT_A_VIDEO", message="No video.")


def get(client: TestClient, user, video: dict) -> dict:
    return client.get(f"/videos/{video['id']}", headers=user.headers).json()


def test_stream_begins_with_how_things_stand(client: TestClient, user, upload, listen) -> None:
    waiting, failed = upload(), upload()
    fail(failed)

    listener = listen()

    assert listener.videos == {video["id"]: get(client, user, video) for video in (waiting, failed)}
    assert listener.events[-1].kind == "snapshot"
    assert listener.events[-1].data == {"complete": True}


def test_changes_come_as_get_tells_them(client: TestClient, user, upload, listen) -> None:
    listener = listen()

    video = upload()
    listener.wait_for_status(video, "PENDING")
    with open_session() as session:
        lifecycle.started(session, uuid.UUID(video["extraction_id"]))
    listener.wait_for_status(video, "PROCESSING")
    fail(video)

    assert listener.wait_for_status(video, "FAILED") == get(client, user, video)


def test_probe_that_was_asked_for_alone_is_told(upload, listen) -> None:
    listener = listen()

    video = upload(extract="false")
    with open_session() as session:
        videos.record_probe(session, uuid.UUID(video["id"]), media={}, packet_index=b"")

    assert listener.wait_for_status(video, "READY")["media"] == {}


def test_deleted_video_is_told(client: TestClient, user, upload, listen) -> None:
    video = upload()
    listener = listen()

    client.delete(f"/videos/{video['id']}", headers=user.headers)

    assert listener.wait_for(lambda event: event.kind == "deleted").data == {"id": video["id"]}


def test_nobody_sees_what_is_another_users(make_user, upload, listen) -> None:
    stranger = make_user()
    listener = listen()

    upload(by=stranger)
    mine = upload()

    listener.wait_for_status(mine, "PENDING")
    assert set(listener.videos) == {mine["id"]}


def test_progress_is_told_once_a_second_at_most(upload, listen) -> None:
    video = upload()
    extraction_id = uuid.UUID(video["extraction_id"])
    with open_session() as session:
        lifecycle.started(session, extraction_id)
    listener = listen()
    before = len(listener.events)

    def tell() -> bool:
        with open_session() as session:
            lifecycle.tell_progress(session, extraction_id)
        return len(listener.events) >= before + 2

    told_times = 0
    while not tell():
        told_times += 1

    first, second = listener.events[before:][:2]
    assert told_times > 5
    assert first.data["status"] == second.data["status"] == "PROCESSING"


def test_who_comes_back_is_told_what_has_changed_since(upload, listen) -> None:
    video = upload()
    listener = listen()
    listener.cut()

    fail(video)
    listener.listen()

    listener.wait_for_snapshot(2)
    assert listener.videos[video["id"]]["status"] == "FAILED"


@pytest.mark.parametrize("last_id", ["", "yesterday", "0001-01-01T00:00:00+00:00", "2026-01-01", "9" * 5000])
def test_id_that_is_none_of_ours_is_as_good_as_none(last_id: str, upload, listen) -> None:
    video = upload()

    assert video["id"] in listen(last_id=last_id).videos


def test_streams_of_one_user_are_limited(api, user, make_user, listen) -> None:
    for _ in range(3):
        listen()

    refused = httpx2.get(f"{api.url}/events", headers=user.headers)

    assert refused.status_code == 429
    assert refused.json()["code"] == "TOO_MANY_STREAMS"
    listen(headers=make_user().headers)


def test_streams_that_were_cut_are_not_counted(listen) -> None:
    for _ in range(3):
        listen().cut()

    wait_until(listen)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer none"}])
def test_stranger_hears_nothing(api, headers: dict[str, str]) -> None:
    assert httpx2.get(f"{api.url}/events", headers=headers).status_code == 401


def test_signing_out_ends_the_stream(client: TestClient, user, listen) -> None:
    tokens = client.post("/auth/token", data={"username": user.email, "password": PASSWORD}).json()
    listener = listen(headers={"Authorization": f"Bearer {tokens['access_token']}"})
    other = listen()

    client.post("/auth/logout", json={"refresh_token": tokens["refresh_token"]})

    wait_until(lambda: listener.has_ended, 10)
    assert not other.has_ended


def test_new_password_ends_the_stream(client: TestClient, user, listen) -> None:
    listener = listen()

    change = {"password": "another long sentence", "current_password": PASSWORD}
    client.patch("/users/me", json=change, headers=user.headers).raise_for_status()

    wait_until(lambda: listener.has_ended, 10)


def test_revoked_key_ends_its_stream_and_no_other(client: TestClient, user, listen) -> None:
    made = client.post("/auth/keys", json={"name": "a", "scopes": ["read"]}, headers=user.headers).json()
    listener, other = listen(headers={"Authorization": f"Bearer {made['key']}"}), listen()

    client.delete(f"/auth/keys/{made['id']}", headers=user.headers).raise_for_status()

    wait_until(lambda: listener.has_ended, 10)
    assert not other.has_ended


def test_end_of_the_account_ends_the_stream(client: TestClient, user, listen) -> None:
    listener = listen()

    client.delete("/users/me", headers=user.headers)

    wait_until(lambda: listener.has_ended, 10)


def test_server_that_is_told_to_end_does_not_wait_for_its_listeners(start_api, listen) -> None:
    api = start_api()
    listener = listen(url=api.url)
    process = psutil.Process(api.pid)

    os.kill(api.pid, signal.SIGTERM)

    process.wait(5)
    assert listener.has_ended
