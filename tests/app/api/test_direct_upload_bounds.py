"""Who may not put a video straight into the store is told so before anything is begun, and what else to do."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, update

from app.accounts.models import User as Account
from app.database import open_session
from app.videos.models import ResumableUpload
from tests.app.api.conftest import StartApi
from tests.conftest import MakeUser, User
from tests.stores.doubles import Double

GIB = 2**30
LARGEST = {"moto": 5 * GIB, "azurite": 5000 * 2**20, "google": 5 * 2**40}
ROOMY = {"UPLOAD_MAX_BYTES": str(2**50), "USER_STORED_MAX_BYTES": str(2**50)}

Ask = Callable[..., httpx2.Response]


@pytest.fixture(scope="module")
def service(start_api: StartApi, stores: Callable[[str], Double]) -> Callable[..., str]:
    """`service("moto", DIRECT_UPLOAD="false")`: the address of an API on that store."""
    running: dict[object, str] = {}

    def start(name: str, **more: str) -> str:
        asked = name, *sorted(more.items())
        if asked not in running:
            double = stores(name)
            of_store = {**double.environment, "STORAGE_URL": double.new_folder(), "DIRECT_UPLOAD": "true"}
            running[asked] = start_api(**{**of_store, **more}).url
        return running[asked]

    return start


@pytest.fixture
def user(make_user: MakeUser) -> User:
    return make_user()


@pytest.fixture
def ask(user: User) -> Ask:
    """`ask(url, size_bytes)`: for an address to put so many bytes to."""

    def ask(url: str, size_bytes: int, **more: Any) -> httpx2.Response:
        body = {"filename": "a.mp4", "bytes": size_bytes, **more}
        return httpx2.post(f"{url}/videos/upload-url", json=body, headers=user.headers, timeout=30)

    return ask


def begun_by(user: User) -> int:
    with open_session() as session:
        of_user = select(func.count()).select_from(ResumableUpload).where(ResumableUpload.user_id == user.id)
        return session.scalar(of_user) or 0


@pytest.mark.parametrize("why", ["switched off", "files of this machine"])
def test_where_it_is_off_the_other_way_is_told(
    service: Callable[..., str], ask: Ask, user: User, why: str, environment: dict[str, str]
):
    settings = {"DIRECT_UPLOAD": "false"} if why == "switched off" else {"STORAGE_URL": environment["STORAGE_URL"]}
    answer = ask(service("moto", **settings), 1000)

    assert (answer.status_code, answer.json()["code"]) == (403, "DIRECT_UPLOAD_OFF")
    assert "/uploads/" in answer.json()["detail"]
    assert begun_by(user) == 0


@pytest.mark.parametrize("name", [*LARGEST])
def test_more_than_the_store_takes_is_told_with_the_other_way(
    service: Callable[..., str], ask: Ask, user: User, name: str
):
    url = service(name, **ROOMY)
    refused, taken = ask(url, LARGEST[name] + 1), ask(url, LARGEST[name])

    assert (refused.status_code, refused.json()["code"]) == (413, "DIRECT_UPLOAD_TOO_LARGE")
    assert "/uploads/" in refused.json()["detail"]
    assert taken.status_code == 201
    assert begun_by(user) == 1


def test_more_than_the_service_takes_is_told_as_of_any_upload(service: Callable[..., str], ask: Ask, user: User):
    refused = ask(service("moto", **ROOMY), 2**50 + 1)

    assert (refused.status_code, refused.json()["code"]) == (413, "VIDEO_TOO_LARGE")
    assert begun_by(user) == 0


def limit(user: User, **quotas: int) -> None:
    """As an admin does."""
    with open_session() as session:
        session.execute(update(Account).where(Account.id == user.id).values(quotas=quotas))


@pytest.mark.parametrize(
    ("quotas", "status", "code"),
    [
        ({"stored_bytes": 2999}, 507, "QUOTA_EXCEEDED"),
        ({"videos": 2}, 507, "TOO_MANY_VIDEOS"),
        ({"extractions_waiting": 2}, 429, "TOO_MANY_WAITING"),
        ({"uploads_a_day": 2}, 429, "TOO_MANY_UPLOADS"),
    ],
)
def test_quotas_hold_for_those_that_race(
    service: Callable[..., str], ask: Ask, user: User, quotas: dict[str, int], status: int, code: str
):
    url = service("moto", **ROOMY)
    limit(user, **quotas)
    with ThreadPoolExecutor(10) as pool:
        answers = [*pool.map(lambda _: ask(url, 1000), range(10))]
    refused = [answer for answer in answers if answer.status_code != 201]

    assert len(refused) == 8
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(status, code)}
    assert begun_by(user) == 2


def test_what_is_given_up_leaves_its_room_and_not_its_turn_of_the_day(
    service: Callable[..., str], ask: Ask, user: User
):
    url = service("moto", **ROOMY)
    limit(user, stored_bytes=1000, uploads_a_day=2)
    first = ask(url, 1000).json()
    httpx2.delete(f"{url}/videos/upload-url/{first['id']}", headers=user.headers).raise_for_status()
    second, third = ask(url, 1000), ask(url, 1)

    assert second.status_code == 201
    assert (third.status_code, third.json()["code"]) == (429, "TOO_MANY_UPLOADS")
