"""A worker says how its jail holds, and does not start where it doesn't."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from app import fleet
from app.database import open_session
from app.local_stack.processes import PROJECT, Part, Process
from tests.conftest import StartWorkers, command, needs
from tests.waiting import wait_until

CELERY = [command("celery"), "-A", "app.workers.celery_worker", "worker", "--loglevel=info", "-n", "start@%h"]
ON_A_LESSER_KERNEL = [sys.executable, "-m", "tests.fotograma.lesser_kernel", "seccomp=ENOSYS"]


@pytest.fixture
def linux() -> None:
    """The layers are Linux's."""
    needs(sys.platform == "linux", "Linux")


@pytest.fixture(autouse=True)
def nobody_else(environment: dict[str, str]) -> None:  # noqa: ARG001
    """Workers of other tests were killed, and are not missed yet."""
    with open_session() as session:
        session.execute(delete(fleet.Worker))


@pytest.fixture
def trusting_worker(environment: dict[str, str], stack_folder: Path) -> Iterator[Process]:
    """A worker that need not lock anything in, on a kernel without seccomp."""
    part = Part(
        name="Worker",
        command=[*ON_A_LESSER_KERNEL, *CELERY],
        is_healthy=lambda worker: " ready." in worker.output(),
        environment={**environment, "REQUIRE_JAIL": "false"},
    )
    process = Process(part, log=stack_folder / "trusting.log")
    yield process
    process.kill()


def layers_told() -> list[dict[str, str]]:
    with open_session() as session:
        return [worker.layers for worker in session.scalars(select(fleet.Worker))]


def test_worker_comes_and_goes(workers: StartWorkers) -> None:
    [worker] = workers(1)
    [layers] = wait_until(layers_told)
    assert layers["process"] == layers["rlimits"] == "on"
    assert "jail tried out" in worker.output()

    worker.stop()
    assert layers_told() == []


@pytest.mark.usefixtures("linux")
def test_worker_whose_jail_does_not_hold_does_not_start(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*ON_A_LESSER_KERNEL, *CELERY],
        cwd=PROJECT,
        env={**environment, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    [sentence] = [line for line in done.stderr.splitlines() if line]
    assert sentence.startswith("Worker: decoders can't be locked in on this machine (seccomp: Function not implemented")
    assert "REQUIRE_JAIL=false" in sentence
    assert layers_told() == []


@pytest.mark.usefixtures("linux")
def test_worker_can_be_told_to_do_without(trusting_worker: Process) -> None:
    trusting_worker.wait_until_healthy()
    [layers] = wait_until(layers_told)

    assert layers["seccomp"] == "Function not implemented"
    assert "the jail does not hold" in trusting_worker.output()
