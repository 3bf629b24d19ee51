"""The service by HTTP/2 without TLS, as Cloud Run speaks to a container: there, HTTP/1 ends at 32 MiB."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from app.local_stack.processes import Part, Process, free_port
from app.settings import get_settings
from app.storage import get_storage
from tests.conftest import PASSWORD
from tests.waiting import wait_until

MORE_THAN_HTTP1_MAY = 40 * 2**20


@pytest.fixture(scope="module")
def api(environment: dict[str, str], stack_folder: Path) -> Iterator[str]:
    url = f"http://127.0.0.1:{free_port()}"
    # As deploy/cloud-run starts it.
    command = f"hypercorn main:app --bind {url.removeprefix('http://')} --graceful-timeout 5"
    part = Part("API", command.split(), lambda _: _answers(url), environment=environment)
    process = Process(part, log=stack_folder / "api-http2.log")
    try:
        process.wait_until_healthy()
        yield url
    finally:
        process.stop()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/live", timeout=2).is_success
    except httpx2.TransportError:
        return False


def curl(*words: str) -> tuple[int, str]:
    """The status and HTTP version of an answer."""
    told = [
        "--silent",
        "--show-error",
        "--http2-prior-knowledge",
        "--write-out",
        "%{stderr}%{http_code} %{http_version}",
    ]
    done = subprocess.run(["curl", *told, *words], capture_output=True, text=True, check=True, timeout=60)
    status, version = done.stderr.split()[-2:]
    return int(status), version


@pytest.fixture(scope="module")
def bearer(api: str) -> str:
    person = {"email": "http2@example.com", "password": PASSWORD}
    httpx2.post(f"{api}/users/", json=person).raise_for_status()
    signed_in = httpx2.post(f"{api}/auth/token", data={"username": person["email"], "password": PASSWORD})
    return f"Authorization: Bearer {signed_in.json()['access_token']}"


def test_what_is_too_large_for_http1_goes_up_and_comes_down(api: str, bearer: str, tmp_path: Path):
    video, answer, there = tmp_path / "video.mp4", tmp_path / "answer", tmp_path / "down"
    video.write_bytes(os.urandom(MORE_THAN_HTTP1_MAY))
    uploaded = curl(
        "-H", bearer, "-F", f"file=@{video}", "-F", "extract=false", "-o", str(answer), f"{api}/videos/upload"
    )
    video_id = json.loads(answer.read_text())["id"]
    folder = Path(os.environ["STORAGE_URL"].removeprefix("file://"))
    key = next(path for path in (folder / "videos" / video_id).rglob("*") if path.is_file())
    link = get_storage().signed_url(key.relative_to(folder).as_posix(), expires_in=timedelta(hours=1), filename="a")
    path = link.url.removeprefix(get_settings().public_url)
    downloaded = curl("-o", str(there), f"{api}{path}")

    assert (uploaded, downloaded) == ((202, "2"), (200, "2"))
    assert there.read_bytes() == video.read_bytes()


def test_who_may_not_upload_is_told_before_all_was_sent(api: str, tmp_path: Path):
    video = tmp_path / "video.mp4"
    video.write_bytes(bytes(MORE_THAN_HTTP1_MAY))

    assert curl("-F", f"file=@{video}", "-o", "/dev/null", f"{api}/videos/upload") == (401, "2")


def test_events_and_the_end(api: str, bearer: str, tmp_path: Path):
    log = tmp_path / "events"
    with log.open("w") as output:
        words = ["curl", "--silent", "--no-buffer", "--http2-prior-knowledge", "-H", bearer, f"{api}/events"]
        listener = subprocess.Popen(words, stdout=output)
    try:
        assert wait_until(lambda: log.read_text())
    finally:
        listener.kill()
        listener.wait()
