import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api import error_responses, files
from app.settings import Settings, get_settings
from app.storage import Storage, get_storage, open_storage

ARCHIVE = "results/1/archive.zip"
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,
        secret_key="a key that only this test knows of",
        public_url="https://frames.example/",
        storage_url=f"file://{tmp_path}/objects",
    )


@pytest.fixture
def storage(settings: Settings) -> Storage:
    storage = open_storage(settings)
    for key in (ARCHIVE, "results/2/archive.zip", "videos/1/source"):
        with storage.open_writer(key, content_type="application/octet-stream") as writer:
            writer.write(key.encode())
    return storage


@pytest.fixture
def client(settings: Settings, storage: Storage, environment: dict[str, str]) -> TestClient:  # noqa: ARG001
    app = FastAPI()
    app.include_router(files.router)
    error_responses.install(app)
    app.dependency_overrides = {get_settings: lambda: settings, get_storage: lambda: storage}
    return TestClient(app)


def link(storage: Storage, key: str = ARCHIVE, *, expires_in: datetime.timedelta = HOUR) -> str:
    url = urlsplit(storage.signed_url(key, expires_in=expires_in, filename="férias & mar.zip").url)
    assert (url.scheme, url.netloc) == ("https", "frames.example")
    return f"{url.path}?{url.query}"


def test_a_signed_link_downloads_without_login(client: TestClient, storage: Storage):
    response = client.get(link(storage))

    assert (response.status_code, response.content) == (200, ARCHIVE.encode())
    assert response.headers["content-type"] == "application/zip"
    assert "f%C3%A9rias%20%26%20mar.zip" in response.headers["content-disposition"]
    assert response.headers["x-content-type-options"] == "nosniff"


def test_it_works_more_than_once_and_by_range(client: TestClient, storage: Storage):
    client.get(link(storage))
    response = client.get(link(storage), headers={"Range": "bytes=0-6"})

    assert (response.status_code, response.content) == (206, b"results")


def test_a_range_outside_is_a_problem_with_the_size(client: TestClient, storage: Storage):
    response = client.get(link(storage), headers={"Range": "bytes=1000-"})

    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(ARCHIVE)}"
    assert response.headers["content-type"] == "application/problem+json"


def test_what_is_no_archive_has_no_type_of_its_own(client: TestClient, storage: Storage):
    response = client.get(link(storage, "videos/1/source"))

    assert response.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_but_get_is_allowed(client: TestClient, storage: Storage, method: str):
    response = client.request(method, link(storage))

    assert response.status_code == 405
    assert list(storage.list("results/1")) == [ARCHIVE]


def test_a_link_opens_no_other_object(client: TestClient, storage: Storage):
    query = urlsplit(link(storage)).query

    for key in ("results/2/archive.zip", "results/1/", "", "results/1/../2/archive.zip", "/etc/passwd", "%2e%2e/a"):
        assert client.get(f"/files/{key}?{query}").status_code == 403


@pytest.mark.parametrize("name", ["expires", "filename", "signature"])
def test_each_part_counts(client: TestClient, storage: Storage, name: str):
    url = link(storage)
    path, query = url.split("?")
    parts = query.split("&")

    without = "&".join(part for part in parts if not part.startswith(f"{name}="))
    changed = "&".join(part + "1" * part.startswith(f"{name}=") for part in parts)
    twice = f"{query}&{name}=1"
    for tampered in (without, changed, twice):
        response = client.get(f"{path}?{tampered}")
        assert response.status_code == 403
        assert response.json()["code"] == "LINK_INVALID"


@pytest.mark.parametrize("seconds", [0, -1])
def test_an_expired_link_is_gone(client: TestClient, storage: Storage, seconds: int):
    response = client.get(link(storage, expires_in=datetime.timedelta(seconds=seconds)))

    assert response.status_code == 410
    assert response.json()["code"] == "LINK_EXPIRED"


def test_a_link_to_what_was_deleted_is_gone(client: TestClient, storage: Storage):
    url = link(storage)
    storage.delete(ARCHIVE)

    assert client.get(url).status_code == 410


def test_a_link_of_another_installation_is_invalid(client: TestClient, settings: Settings):
    other = open_storage(
        settings.model_copy(
            update={"secret_key": Settings(_env_file=None, secret_key="a key of somebody else altogether").secret_key}
        )
    )

    assert client.get(link(other)).status_code == 403
