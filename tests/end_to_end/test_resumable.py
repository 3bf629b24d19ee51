"""Uploads and downloads that are cut, and APIs that are killed under them: what arrives is what was sent."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.local_stack.processes import Part, Process, free_port
from fotograma.client import Client, Refused
from fotograma.plan import All, Every, Plan
from tests.chaos.road import Road
from tests.clips import Clip, read_number
from tests.conftest import PASSWORD, command
from tests.end_to_end.archives import pictures_in
from tests.end_to_end.service import Person, Service, answers
from tests.waiting import wait_until

TUS_JS = Path(__file__).parent / "tus_js"
MIB = 2**20


@pytest.fixture(scope="module", autouse=True)
def worker(service: Service) -> Process:
    return service.start_workers()[0]


@pytest.fixture(scope="session")
def node_modules(pytestconfig: pytest.Config) -> Path:
    """tus-js-client as npm installs it, kept from one run of the tests to the next."""
    lock = TUS_JS / "package-lock.json"
    folder = pytestconfig.cache.mkdir(f"tus_js-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}")
    modules = folder / "node_modules"
    # The last that npm writes.
    if not (modules / ".package-lock.json").exists():
        for file in (lock, TUS_JS / "package.json"):
            shutil.copy(file, folder)
        words = [command("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
        installed = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120)
        if installed.returncode:
            pytest.fail(f"npm can't install tus-js-client, which this test needs: {installed.stderr}", pytrace=False)
    return modules


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bytes enough to be caught at sending them."""
    path = tmp_path_factory.mktemp("source") / "source.mp4"
    path.write_bytes(random.Random(31).randbytes(28 * MIB + 12_345))
    return path


@pytest.fixture
def start_api(service: Service) -> Iterator[Callable[[], Process]]:
    """`start_api()`: one more API process of the service; its `part.command` ends with its port."""
    started: list[Process] = []

    def start() -> Process:
        port = free_port()
        words = ["uvicorn", "main:app", "--port", str(port)]
        part = Part("API", words, lambda _: answers(f"http://127.0.0.1:{port}/health/live"), service.environment)
        started.append(Process(part, log=service.folder / f"api-{port}.log"))
        started[-1].wait_until_healthy()
        return started[-1]

    yield start
    for process in started:
        process.stop()


def port_of(api: Process) -> int:
    return int(api.part.command[-1])


def sent_bytes(service: Service, person: Person) -> int:
    """How much of somebody's uploads is in storage for good."""
    user_id = person.call("get", "/users/me", 200)["id"]
    return sum(n for (n,) in service.rows("SELECT offset_bytes FROM resumable_uploads WHERE user_id = %s", user_id))


def send_by_tus_js(url: str, person: Person, path: Path, node_modules: Path) -> Callable[[], None]:
    """Send by Node; gives what waits for its end."""
    token = person.client.headers["Authorization"].removeprefix("Bearer ")
    words = [command("node"), str(TUS_JS / "upload.js"), f"{url}/uploads/", token, str(path), str(5 * MIB)]
    environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(node_modules)}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end() -> None:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert '"retry"' in output

    return end


def send_by_client(url: str, person: Person, path: Path, _: Path) -> Callable[[], None]:
    """Send by our client; gives what waits for its end."""
    failures: list[Exception] = []

    def run() -> None:
        try:
            with Client(url, email=person.email, password=PASSWORD) as client:
                client.upload(path, None)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def end() -> None:
        thread.join(60)
        assert not thread.is_alive()
        assert not failures

    return end


@pytest.mark.parametrize("send", [send_by_tus_js, send_by_client])
def test_an_upload_survives_a_cut_and_the_death_of_its_api(
    service: Service, person: Person, source: Path, node_modules: Path, start_api: Callable[[], Process], send
):
    doomed, other = start_api(), start_api()

    with Road(port_of(doomed)) as road:
        road.bytes_per_second = 12 * MIB
        end = send(f"http://127.0.0.1:{road.port}", person, source, node_modules)
        wait_until(lambda: sent_bytes(service, person) > 6 * MIB, 30)
        road.reset()
        wait_until(lambda: sent_bytes(service, person) > 14 * MIB, 30)
        os.kill(doomed.pid, signal.SIGKILL)
        road.server_port = port_of(other)
        end()
    (video,) = person.call("get", "/videos/status", 200)["items"]
    (sha256,) = wait_until(
        lambda: service.rows("SELECT sha256 FROM videos WHERE id = %s AND sha256 IS NOT NULL", video["id"]), 30
    )[0]

    assert (video["filename"], video["bytes"]) == (source.name, source.stat().st_size)
    assert sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    (stored,) = wait_until(lambda: found if len(found := service.objects_of(video)) == 1 else None)
    assert stored.read_bytes() == source.read_bytes()


@pytest.fixture
def client(service: Service, person: Person) -> Iterator[Client]:
    with Client(service.url, email=person.email, password=PASSWORD, patience_seconds=5) as client:
        yield client


def test_a_program_gets_frames_and_archive(client: Client, person: Person, clip: Clip, tmp_path: Path):
    told: list[tuple[int, int]] = []
    sent = client.upload(clip.path, Plan(Every(seconds=1)), told=lambda *so_far: told.append(so_far))
    video = client.wait(sent, within_seconds=60)
    frames = [*client.frames(video)]
    client.download(video, tmp_path / "frames.zip")

    assert video["status"] == "COMPLETED"
    assert told[-1] == (clip.path.stat().st_size, clip.path.stat().st_size)
    assert [frame.row["time_seconds"] for frame in frames] == [0, 1, 2, 3, 4]
    pictures = [cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR) for frame in frames]
    assert [read_number(picture) for picture in pictures] == [0, 25, 50, 75, 100]
    assert (tmp_path / "frames.zip").read_bytes() == person.download(video)
    assert [path.name for path in tmp_path.iterdir()] == ["frames.zip"]


def test_a_download_goes_on_where_it_was_cut(
    service: Service, person: Person, long_clip: Clip, client: Client, tmp_path: Path
):
    video = client.wait(client.upload(long_clip.path, Plan(All())), within_seconds=60)
    total = video["archive_bytes"]
    part = tmp_path / ".frames.zip.part"
    fetched: list[int] = []
    with (
        Road(service.port) as road,
        Client(f"http://127.0.0.1:{road.port}", email=person.email, password=PASSWORD, patience_seconds=30) as cut_off,
    ):
        road.bytes_per_second = total / 2
        thread = threading.Thread(
            target=cut_off.download,
            args=(video, tmp_path / "frames.zip"),
            kwargs={"told": lambda done, _: fetched.append(done)},
        )
        thread.start()
        wait_until(lambda: part.exists() and part.stat().st_size > total / 4)
        road.reset()
        thread.join(60)

    assert (tmp_path / "frames.zip").read_bytes() == person.download(video)
    assert fetched == sorted(fetched)
    assert [path.name for path in tmp_path.iterdir()] == ["frames.zip"]


def test_a_refusal_is_told_at_once(service: Service, person: Person, client: Client, tmp_path: Path):
    with pytest.raises(Refused, match="VIDEO_NOT_FOUND"):
        client.video("0197c2a0-0000-7000-8000-000000000000")
    with Client(service.url, email=person.email, password="wrong password") as stranger, pytest.raises(Refused) as told:
        stranger.upload(tmp_path, None)

    assert (told.value.status, told.value.code) == (401, "BAD_CREDENTIALS")


@pytest.fixture
def remote(service: Service, person: Person, tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """`remote("upload", ...)`: the command, with credentials in its environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "FOTOGRAMA_SERVER": service.url,
        "FOTOGRAMA_EMAIL": person.email,
        "FOTOGRAMA_PASSWORD": PASSWORD,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def start(*words: object, **more: str) -> "subprocess.Popen[str]":
        asked = [sys.executable, "-m", "fotograma", "remote", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(asked, env={**environment, **more}, text=True, **pipes)

    return start


def test_the_command_brings_frames_from_elsewhere(remote, clip: Clip, tmp_path: Path):
    command = remote("upload", clip.path, "--every", "2s", "-o", tmp_path / "frames.zip")
    _, errors = command.communicate(timeout=60)

    assert (command.returncode, errors) == (0, "")
    assert [*pictures_in((tmp_path / "frames.zip").read_bytes()).values()] == [0, 50, 100]


def test_the_command_goes_on_where_it_was_killed(remote, service: Service, source: Path, person: Person):
    with Road(service.port) as road:
        road.bytes_per_second = 12 * MIB
        words = ("upload", source, "--count", "3", "--json")
        killed = remote(*words, FOTOGRAMA_SERVER=f"http://127.0.0.1:{road.port}")
        wait_until(lambda: sent_bytes(service, person) > 10 * MIB, 30)
        killed.kill()
        killed.communicate()
        command = remote(*words, FOTOGRAMA_SERVER=f"http://127.0.0.1:{road.port}")
        output, errors = command.communicate(timeout=60)

    assert (command.returncode, errors) == (0, "")
    # Of one upload: had it begun anew, these would be more.
    assert sent_bytes(service, person) == json.loads(output)["bytes"] == source.stat().st_size


def test_the_command_tells_a_refusal_in_one_line(remote, clip: Clip):
    command = remote("upload", clip.path, "--every", "2s", FOTOGRAMA_PASSWORD="wrong password")
    output, errors = command.communicate(timeout=60)

    assert (command.returncode, output) == (1, "")
    assert errors.startswith("BAD_CREDENTIALS: ")
    assert errors.count("\n") == 1
