"""What a probe is told, whatever is away."""

import asyncio
import datetime
import os
import socket
import subprocess
import sys
import threading
import time

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, func, update

from app import fleet
from app.api.health import PartDown, Readiness
from app.database import open_session
from fotograma.jail import MANDATORY
from fotograma.records import LAYERS
from tests.conftest import StartWorkers
from tests.waiting import wait_until

SOON_SECONDS = 1.0


def test_live(client: TestClient):
    answer = client.get("/health/live")

    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


UP_WITHOUT_WORKERS = {"database": "up", "broker": "up", "storage": "up", "workers": "down"}


@pytest.fixture(autouse=True)
def no_workers(environment: dict[str, str]) -> None:  # noqa: ARG001
    """Workers of other tests were killed, and are not missed yet."""
    with open_session() as session:
        session.execute(delete(fleet.Worker))


def statuses(answer: httpx2.Response) -> dict[str, str]:
    return {name: part["status"] for name, part in answer.json()["parts"].items()}


def test_ready_when_every_part_is_up(client: TestClient, workers: StartWorkers):
    workers(1)
    answer = wait_until(lambda: (told := client.get("/health/ready")).status_code == 200 and told)

    assert answer.json()["status"] == "ready"
    assert statuses(answer) == UP_WITHOUT_WORKERS | {"workers": "up"}
    told = answer.json()["parts"]["workers"]
    assert told["detail"] == "1 there"
    assert set(told["layers"]) == set(LAYERS)
    assert {told["layers"][name] for name in MANDATORY} == {"on"}


def test_not_ready_where_nobody_works(client: TestClient):
    answer = wait_until(lambda: (told := client.get("/health/ready")).status_code == 503 and told)

    assert answer.json()["status"] == "not ready"
    assert statuses(answer) == UP_WITHOUT_WORKERS
    assert "start one with" in answer.json()["parts"]["workers"]["detail"]


def test_worker_that_was_silent_for_long_is_not_there(client: TestClient):
    there = {"host": "a", "layers": {}, "started_at": datetime.datetime.now(datetime.UTC)}
    with open_session() as session:
        fleet.tell(session, fleet.Worker(name="a-1", **there))
    wait_until(lambda: statuses(client.get("/health/ready"))["workers"] == "up")
    with open_session() as session:
        session.execute(update(fleet.Worker).values(seen_at=func.now() - datetime.timedelta(seconds=60)))

    wait_until(lambda: statuses(client.get("/health/ready"))["workers"] == "down")


def test_layer_that_some_worker_lacks_is_told(client: TestClient):
    told = {"host": "a", "started_at": datetime.datetime.now(datetime.UTC)}
    every = dict.fromkeys(LAYERS, "on")
    with open_session() as session:
        fleet.tell(session, fleet.Worker(name="a-1", layers=every, **told))
        fleet.tell(session, fleet.Worker(name="a-2", layers=every | {"landlock": "Function not implemented"}, **told))
    part = wait_until(lambda: (found := client.get("/health/ready").json()["parts"]["workers"]).get("layers") and found)

    assert part["layers"] == every | {"landlock": "missing in 1 of 2"}


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

    # Without the database nobody knows of workers either; and here there are none.
    assert [name for name, told in parts.items() if told["status"] == "down"] == [part, "workers"]
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
