"""`main.py` as a program. A start takes seconds, so that most tests share one run; the last one kills it."""

import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from app.local_stack.processes import PROJECT, free_port

WaitUntil = Callable[..., object]

# The embedded parts, whatever the tests before have set.
INHERITED = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "COVERAGE_PROCESS_START")}


class Run:
    """One `main.py`, and what it said."""

    def __init__(self, folder: Path, *options: str, port: int, **environment: str) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.output = folder.parent / f"run-{port}.txt"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "main.py", "--port", str(port), "--data-dir", str(folder), *options],
                cwd=PROJECT,
                env={**INHERITED, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.said()
        return "Ctrl-C ends it" in self.said()

    def pids(self) -> list[int]:
        return [row["pid"] for row in json.loads((self.folder / "processes.json").read_text())]

    def parts(self) -> list[psutil.Process]:
        return [psutil.Process(pid) for pid in self.pids()]

    def sign_up(self, email: str) -> int:
        body = {"email": email, "password": "correct horse battery staple"}
        return httpx2.post(f"{self.url}/users/", json=body, timeout=10).status_code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "data"


@pytest.fixture(scope="module")
def start(folder: Path) -> Iterator[Callable[..., Run]]:
    """Start `main.py`; what still runs after the last test is ended."""
    runs: list[Run] = []

    def start(*options: str) -> Run:
        runs.append(Run(folder, *options, port=free_port()))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
        run.process.wait(30)


@pytest.fixture(scope="module")
def run(start: Callable[..., Run], wait_until: WaitUntil) -> Run:
    run = start("--demo")
    wait_until(run.is_up, 60)
    return run


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_all_parts_come_up(run: Run) -> None:
    ready = httpx2.get(f"{run.url}/health/ready", timeout=5)

    assert ready.status_code == 200, ready.text
    assert len(run.parts()) >= 5
    assert "Flower" in run.said()


def test_the_page_is_built_beside_the_service_that_is_up_already(run: Run, wait_until: WaitUntil) -> None:
    wait_until(lambda: "The page is being built" in run.said())
    wait_until(lambda: httpx2.get(f"{run.url}/health/ready", timeout=5).json()["page"] == {"status": "ready"}, 180)
    assert '<div id="app">' in httpx2.get(run.url, headers={"Accept": "text/html"}).text
    # What built it runs no longer.
    wait_until(lambda: len(run.parts()) == 5)


def test_demo_does_the_whole_job(run: Run, wait_until: WaitUntil) -> None:
    wait_until(lambda: "Demo: 5 frames are in" in run.said(), 60)

    assert "Your frames are ready: clip.mp4" in run.said()
    with zipfile.ZipFile(run.folder / "demo" / "frames.zip") as archive:
        assert "frame_00h00m08.000s.jpg" in archive.namelist()


def test_secrets_are_for_their_owner_alone(run: Run) -> None:
    secrets = [
        run.folder / name for name in ("secret_key", "postgres/password", "broker/password", "broker/valkey.conf")
    ]

    assert {file.stat().st_mode & 0o777 for file in [*secrets, run.folder / "settings.env"]} == {0o600}
    # What is on a command line, the whole machine may read.
    command_lines = " ".join(word for part in run.parts() for word in part.cmdline())
    assert not [file for file in secrets if file.read_text() in command_lines]


def test_an_operator_asks_beside_the_running_service(run: Run) -> None:
    asked = ["uv", "run", "--no-sync", "--env-file", run.folder / "settings.env", "python", "-m", "app.admin", "status"]
    told = subprocess.run(asked, cwd=PROJECT, env=INHERITED, capture_output=True, text=True, timeout=60)

    assert told.returncode == 0, told.stderr
    assert "jail" in told.stdout


def test_second_run_on_a_folder_says_so_in_one_sentence(run: Run, start: Callable[..., Run]) -> None:
    second = start()

    assert second.process.wait(30) == 1
    assert second.said().count("\n") == 1
    assert f"already runs on {run.folder} (process {run.process.pid})" in second.said()


def test_a_part_that_dies_is_started_again(run: Run, wait_until: WaitUntil) -> None:
    broker = run.parts()[1]
    broker.kill()

    wait_until(lambda: "Broker ended (SIGKILL) and is started again" in run.said())
    wait_until(lambda: run.pids()[1] != broker.pid)
    wait_until(lambda: httpx2.get(f"{run.url}/health/ready", timeout=5).status_code == 200)


def test_killed_run_leaves_nothing_that_the_next_can_not_end(
    run: Run, start: Callable[..., Run], wait_until: WaitUntil
) -> None:
    assert run.sign_up("kept@example.com") == 201
    orphans = run.parts()
    run.process.kill()
    run.process.wait()

    following = start()
    wait_until(following.is_up, 60)
    assert all(has_ended(orphan) for orphan in orphans)
    assert following.sign_up("kept@example.com") == 409
    assert httpx2.get(following.url, headers={"Accept": "text/html"}).status_code == 200
    assert "The page is being built" not in following.said()

    parts = [*following.parts(), *psutil.Process(following.process.pid).children(recursive=True)]
    following.process.terminate()
    assert following.process.wait(30) == 0
    assert all(has_ended(part) for part in parts)


def test_taken_port_is_told_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = Run(tmp_path / "data", port=port)

        assert run.process.wait(30) == 1
    assert run.said().startswith(f"Fotograma: port {port} is taken by another program: give another, such as --port ")
    assert run.said().count("\n") == 1


def test_outside_postgres_that_is_away_is_told_in_one_sentence(tmp_path: Path) -> None:
    run = Run(tmp_path / "data", port=free_port(), DB_HOST="127.0.0.1", DB_PORT=str(free_port()))

    assert run.process.wait(30) == 1
    assert run.said().startswith("Fotograma: the PostgreSQL that DB_HOST names does not let us in: ")
    assert run.said().count("\n") == 1
    assert not (tmp_path / "data" / "postgres").exists()


def test_ctrl_c_before_anything_is_started_ends_it_without_a_traceback():
    words = [sys.executable, "-X", "importtime", "main.py", "--port", str(free_port())]
    with subprocess.Popen(words, cwd=PROJECT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        # Its own modules are being loaded: the interpreter tells of each.
        for line in process.stderr:
            if "app.local_stack.errors" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()

    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in rest
