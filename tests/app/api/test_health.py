"""What a probe is told, whatever is away."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time

import httpx2
import pytest
from fastapi.testclient import TestClient

from app.api.health import PartDown, Readiness

SOON_SECONDS = 1.0


def test_live(client: TestClient):
    answer = client.get("/health/live")

    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


def test_ready_when_every_part_is_up(client: TestClient):
    answer = client.get("/health/ready")

    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "ready"
    assert {name: part["status"] for name, part in answer.json()["parts"].items()} == {
        "database": "up",
        "broker": "up",
        "storage": "up",
    }


@pytest.fixture
def silent_port():
    """A port that takes connections and never says a word, like a frozen server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def probe_in_a_process(environment: dict[str, str], **changes: str) -> dict[str, dict[str, str]]:
    """What a service with these settings says of itself, and within the time."""
    code = (
        "import time, main\n"
        "from fastapi.testclient import TestClient\n"
        "with TestClient(main.app) as client:\n"
        "    client.get('/health/live')\n"
        "    begun = time.perf_counter()\n"
        "    answer = client.get('/health/ready')\n"
        "    seconds = time.perf_counter() - begun\n"
        f"    assert seconds < {SOON_SECONDS}, seconds\n"
        "    assert answer.status_code == 503, answer.text\n"
        "    print(answer.text)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment, **changes},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return httpx2.Response(200, text=done.stdout).json()["parts"]


@pytest.mark.parametrize("port", ["1", "silent"])
@pytest.mark.parametrize(("part", "setting"), [("database", "DB_PORT"), ("broker", "REDIS_URL")])
def test_part_that_is_away_is_told_soon(
    environment: dict[str, str], silent_port: int, part: str, setting: str, port: str
):
    port = str(silent_port) if port == "silent" else port

    parts = probe_in_a_process(environment, **{setting: f"redis://127.0.0.1:{port}/0" if part == "broker" else port})

    assert [name for name, told in parts.items() if told["status"] == "down"] == [part]
    assert parts[part]["detail"]
    assert "127.0.0.1" not in parts[part]["detail"]


def test_part_that_hangs_costs_one_thread_however_often_it_is_asked():
    go_on, asked = threading.Event(), []

    def hang() -> None:
        asked.append(None)
        go_on.wait(30)

    readiness = Readiness({"slow": hang, "good": lambda: None})

    async def probe_often() -> list[dict[str, str]]:
        begun = time.monotonic()
        told = []
        while time.monotonic() - begun < 2.5:
            answers = await asyncio.gather(*(readiness.parts() for _ in range(20)))
            told += [{name: part.status for name, part in parts.items()} for parts in answers]
        return told

    told = asyncio.run(probe_often())
    go_on.set()

    assert told == [{"slow": "down", "good": "up"}] * len(told)
    assert len(asked) == 1


def test_part_that_comes_back_is_up_again():
    is_away = threading.Event()
    is_away.set()

    def check() -> None:
        if is_away.is_set():
            raise PartDown("gone for a walk")

    readiness = Readiness({"dog": check})

    async def probe() -> list[str]:
        told = [(await readiness.parts())["dog"]]
        is_away.clear()
        deadline = time.monotonic() + 5
        while told[-1].status == "down" and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            told.append((await readiness.parts())["dog"])
        return [told[0].detail or "", told[-1].status]

    assert asyncio.run(probe()) == ["gone for a walk", "up"]


def test_database_that_is_not_migrated_is_told(environment: dict[str, str]):
    name = "never_migrated"
    import psycopg

    with psycopg.connect(
        host=environment["DB_HOST"],
        port=int(environment["DB_PORT"]),
        user=environment["DB_USER"],
        password=environment.get("DB_PASSWORD"),
        dbname=environment["DB_NAME"],
        autocommit=True,
    ) as connection:
        connection.execute(f"CREATE DATABASE {name}")

        parts = probe_in_a_process(environment, DB_NAME=name)

        connection.execute(f"DROP DATABASE {name}")
    assert parts["database"]["status"] == "down"
    assert "alembic upgrade head" in parts["database"]["detail"]
