"""Whether this process runs, and whether what it stands on does."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import structlog
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app import fleet, page_folder
from app.database import get_engine, open_session
from app.settings import get_settings
from app.storage import get_storage
from fotograma.records import LAYERS, ON

logger = structlog.get_logger()

router = APIRouter(prefix="/health", tags=["health"])

ANSWER_SECONDS = 0.8
# Probes that come thicker than this get the same answer.
KEEP_SECONDS = 1.0

MIGRATIONS = Path(__file__).parents[2] / "migrations"


class Part(BaseModel):
    """One thing the service stands on."""

    status: Literal["up", "down"]
    detail: str | None = None
    layers: dict[str, str] | None = None
    """What decoders are locked in by: `on`, or in how many workers it is missing."""


class PageHealth(BaseModel):
    """Whether the page is there. The service is ready without it."""

    model_config = ConfigDict(from_attributes=True)

    status: Literal["ready", "building", "failed", "missing"]
    detail: str | None = None


class Health(BaseModel):
    """Ready when every part is up."""

    status: Literal["ready", "not ready"]
    parts: dict[str, Part]
    page: PageHealth


class PartDown(Exception):
    """A part is away; the message says so in words that anyone may read."""


class Readiness:
    """Asks each part on a thread of its own, never twice at once: a part that hangs costs one thread, however long."""

    def __init__(self, checks: Mapping[str, Callable[[], Part | None]]) -> None:
        self._checks = checks
        self._answers: dict[str, Future[Part]] = {}
        self._asked_at = -KEEP_SECONDS

    async def parts(self) -> dict[str, Part]:
        """What each part says within the time."""
        if time.monotonic() - self._asked_at >= KEEP_SECONDS:
            self._asked_at = time.monotonic()
            for name, check in self._checks.items():
                if name not in self._answers or self._answers[name].done():
                    self._answers[name] = _ask(name, check)
        answers = dict(self._answers)
        await asyncio.wait([asyncio.wrap_future(answer) for answer in answers.values()], timeout=ANSWER_SECONDS)
        silent = Part(status="down", detail="no answer in time")
        return {name: answer.result() if answer.done() else silent for name, answer in answers.items()}


def _ask(name: str, check: Callable[[], Part | None]) -> Future[Part]:
    answer: Future[Part] = Future()

    def run() -> None:
        try:
            part = check() or Part(status="up")
        except PartDown as error:
            part = Part(status="down", detail=str(error))
        except Exception as error:
            logger.warning("part down", part=name, error=str(error))
            part = Part(status="down", detail="away")
        answer.set_result(part)

    # Not of a pool, whose threads an ending process would wait for.
    threading.Thread(target=run, name=f"health-{name}", daemon=True).start()
    return answer


def check_database() -> None:
    """PostgreSQL answers, and has the tables this code was written for."""
    with get_engine().connect() as connection:
        heads = MigrationContext.configure(connection).get_current_heads()
    if set(heads) != _heads():
        raise PartDown("not migrated: run `alembic upgrade head`")


def check_broker(redis_url: str) -> None:
    """The broker answers."""
    with Redis.from_url(
        redis_url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    ) as broker:
        broker.ping()


def check_workers() -> Part:
    """Somebody is there to work on what is uploaded."""
    with open_session() as session:
        workers = fleet.present(session)
    if not workers:
        raise PartDown("none is there: start one with `celery -A app.workers.celery_worker worker`")
    layers = {}
    for name in LAYERS:
        without = sum(worker.layers.get(name) != ON for worker in workers)
        layers[name] = f"missing in {without} of {len(workers)}" if without else ON
    return Part(status="up", detail=f"{len(workers)} there", layers=layers)


@lru_cache
def get_readiness() -> Readiness:
    """The parts of this process."""
    redis_url = get_settings().redis_url.get_secret_value()
    return Readiness(
        {
            "database": check_database,
            "broker": lambda: check_broker(redis_url),
            "storage": lambda: get_storage().answers(),
            "workers": check_workers,
        }
    )


@lru_cache
def _heads() -> set[str]:
    return set(ScriptDirectory(str(MIGRATIONS)).get_heads())


@router.get("/live")
async def live() -> dict[str, str]:
    """This process answers. What it stands on may be away."""
    return {"status": "live"}


@router.get(
    "/ready", response_model_exclude_none=True, responses={503: {"model": Health, "description": "A part is down."}}
)
async def ready(readiness: Annotated[Readiness, Depends(get_readiness)], response: Response) -> Health:
    """Each part and whether it is up; 503 when one is not. Answers within a second."""
    parts = await readiness.parts()
    is_ready = all(part.status == "up" for part in parts.values())
    response.status_code = 200 if is_ready else 503
    page = PageHealth.model_validate(page_folder.state(Path(get_settings().page_folder)))
    return Health(status="ready" if is_ready else "not ready", parts=parts, page=page)
