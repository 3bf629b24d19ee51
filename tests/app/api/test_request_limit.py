"""How often one user may ask, told in headers, with a broker that is there, away or hung."""

import re
import socket
import time

import httpx2
import pytest

from app.accounts.counting import SharedStorage
from app.accounts.request_limit import BROKER_TIMEOUT_SECONDS
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("leaves_no_work")

FEW = {"USER_REQUESTS_A_MINUTE": "5", "USER_UPLOAD_REQUESTS_A_MINUTE": "2"}
UPLOAD = {"Tus-Resumable": "1.0.0", "Upload-Length": "1"}


def at_the_beginning_of_a_minute() -> None:
    """So that what follows falls into one."""
    wait_until(lambda: time.time() % 60 < 45, within_seconds=20)


def test_limit_holds_over_processes_and_is_told(start_api, make_user):
    one, other = start_api(**FEW), start_api(**FEW)
    user, neighbour = make_user(), make_user()
    at_the_beginning_of_a_minute()

    answers = [httpx2.get(f"{api.url}/users/me", headers=user.headers) for api in (one, other) * 3]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    left = [re.fullmatch(r'"requests";r=(\d+);t=(\d+)', answer.headers["RateLimit"])[1] for answer in answers]
    assert left == ["4", "3", "2", "1", "0", "0"]
    assert answers[0].headers["RateLimit-Policy"] == '"requests";q=5;w=60'
    assert answers[5].json()["code"] == "TOO_MANY_REQUESTS"
    assert 0 < int(answers[5].headers["Retry-After"]) <= 60
    # Uploads are counted for themselves, and so is everybody else.
    uploads = [httpx2.post(f"{one.url}/uploads/", headers={**user.headers, **UPLOAD}).status_code for _ in range(3)]
    assert uploads == [201, 201, 429]
    assert httpx2.get(f"{one.url}/users/me", headers=neighbour.headers).status_code == 200


def test_limit_holds_without_a_broker(start_api, make_user):
    api = start_api(**FEW, REDIS_URL="redis://127.0.0.1:1/0")
    user = make_user()
    at_the_beginning_of_a_minute()

    statuses = [httpx2.get(f"{api.url}/users/me", headers=user.headers).status_code for _ in range(6)]

    assert statuses == [200] * 5 + [429]


def test_hung_broker_slows_nobody():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        storage = SharedStorage(url, prefix="requests", timeout_seconds=BROKER_TIMEOUT_SECONDS)
        begun = time.perf_counter()
        counts = [storage.ask(lambda storage: storage.incr("somebody", 60)) for _ in range(100)]
        seconds = time.perf_counter() - begun

    assert counts == list(range(1, 101))
    # One of them has asked the broker.
    assert seconds < 20 * BROKER_TIMEOUT_SECONDS
