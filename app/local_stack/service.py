"""The service's own processes, each by its literal command."""

import httpx2

from app.local_stack.processes import Part
from app.task_queue import get_celery

CELERY = ("celery", "-A", "app.workers.celery_worker")


def migrations() -> Part:
    """Bring the tables up to date."""
    return Part(name="Migrations", command=["alembic", "upgrade", "head"], is_healthy=lambda _: True)


def api(*, port: int) -> Part:
    """The API and the page."""
    return Part(
        name="API",
        # By itself, uvicorn believes the forwarded headers of whoever is on this machine; TRUSTED_PROXIES names whom we
        # believe. An open page holds a stream of events, which would otherwise hold the end too.
        command=[
            *("uvicorn", "main:app", "--port", str(port), "--no-proxy-headers", "--timeout-graceful-shutdown", "3"),
        ],
        is_healthy=lambda _: answers(f"http://127.0.0.1:{port}/health/live"),
    )


def worker(number: int) -> Part:
    """One of the processes that probe, extract and send e-mail."""
    name = f"worker{number}@fotograma"
    return Part(
        name=f"Worker {number}",
        command=[*CELERY, "worker", "--loglevel=info", "-n", name],
        is_healthy=lambda _: bool(get_celery().control.inspect(destination=[name], timeout=0.5).ping()),
    )


def flower(*, port: int) -> Part:
    """The monitor of the workers, on this machine only: it knows no users."""
    return Part(
        name="Flower",
        command=[*CELERY, "flower", "--address=127.0.0.1", f"--port={port}"],
        is_healthy=lambda _: answers(f"http://127.0.0.1:{port}/healthcheck"),
    )


def answers(url: str) -> bool:
    """Whether an address says that all is well."""
    try:
        return httpx2.get(url, timeout=2, trust_env=False).is_success
    except httpx2.TransportError:
        return False
