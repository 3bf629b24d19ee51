"""The API as a process of its own, with settings of its own."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select

from app.database import open_session
from app.extractions import lifecycle, retention
from app.local_stack.processes import Part, Process, free_port
from app.storage import Storage, get_storage
from app.videos.models import Video


@pytest.fixture(scope="module")
def storage(environment: dict[str, str]) -> Storage:  # noqa: ARG001
    """The storage of all of these."""
    return get_storage()


@pytest.fixture(scope="module")
def leaves_no_work(storage: Storage) -> Iterator[None]:
    """What was uploaded is no video: no worker of a later test should have to find that out first."""
    yield
    with open_session() as session:
        for video in session.scalars(select(Video).where(Video.deleted_at.is_(None))):
            lifecycle.withdraw(session, video)
    retention.remove_buried(storage)


@dataclass(frozen=True)
class Api:
    """A running API."""

    url: str
    port: int
    pid: int


StartApi = Callable[..., Api]


@pytest.fixture(scope="module")
def start_api(environment: dict[str, str], stack_folder: Path) -> Iterator[StartApi]:
    """`start_api(UPLOAD_MAX_BYTES="1000")`: the same database and storage, other settings; `prefix` starts it."""
    started: list[Process] = []

    def start(*, prefix: Sequence[str] = (), **more: str) -> Api:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        part = Part(
            name="API",
            command=[*prefix, "uvicorn", "main:app", "--port", str(port)],
            is_healthy=lambda _: _answers(f"{url}/health/live"),
            environment={**environment, **more},
        )
        process = Process(part, log=stack_folder / f"api-{secrets.token_hex(4)}.log")
        started.append(process)
        process.wait_until_healthy()
        return Api(url=url, port=port, pid=process.pid)

    yield start
    for process in started:
        process.stop()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2).is_success
    except httpx2.TransportError:
        return False
