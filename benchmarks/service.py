"""A service of its own to measure, as `uv run main.py` starts it."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from app.local_stack import broker, postgres, service
from app.local_stack.mailbox import Mailbox
from app.local_stack.processes import PROJECT, Part, Process, free_port

CLIPS = Path(".fotograma/benchmarks/clips")
MEGABYTE = 2**20


@dataclass
class Running:
    """A service and its processes."""

    url: str
    folder: Path
    api: Process
    workers: list[Process] = field(default_factory=list)

    def add_worker(self, *, core: int | None = None, **settings: str) -> None:
        """Start a worker; with a core, it and its decoders have that one alone."""
        part = service.worker(len(self.workers) + 1)
        pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
        worker = Process(
            Part(
                name=part.name,
                command=[*pinned, *part.command],
                is_healthy=lambda process: " ready." in process.output(),
                environment=settings,
            ),
            log=self.folder / f"worker{len(self.workers) + 1}.log",
        )
        self.workers.append(worker)
        worker.wait_until_healthy()

    def stop_workers(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.stop()
        self.workers.clear()


@contextmanager
def running() -> Iterator[Running]:
    """A service without workers, in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=os.environ.get("TMPDIR")) as name, ExitStack() as started:
        folder, port, database_port, broker_port = Path(name), free_port(), free_port(), free_port()
        folder.chmod(0o755)
        postgres.prepare(folder / "postgres")
        broker.prepare(folder / "broker")
        mailbox = Mailbox(folder / "mail", port=free_port(), on_arrival=lambda _: None)
        mailbox.start()
        started.callback(mailbox.stop)
        os.environ.update(
            postgres.environment(folder / "postgres", port=database_port)
            | broker.environment(folder / "broker", port=broker_port)
            | {
                "SECRET_KEY": secrets.token_urlsafe(48),
                "SMTP_URL": mailbox.url,
                "STORAGE_URL": (folder / "objects").as_uri(),
                "PUBLIC_URL": f"http://127.0.0.1:{port}",
                # What is measured is the service and not its patience with one user.
                "USER_REQUESTS_A_MINUTE": "1000000",
                "USER_UPLOAD_REQUESTS_A_MINUTE": "1000000",
            }
        )

        def start(part: Part) -> Process:
            process = Process(part, log=folder / f"{part.name}.log")
            started.callback(process.stop)
            process.wait_until_healthy()
            return process

        start(postgres.part(folder / "postgres", port=database_port))
        postgres.create_database(folder / "postgres", port=database_port)
        start(broker.part(folder / "broker", port=broker_port))
        subprocess.run([Path(sys.executable).with_name("alembic"), "upgrade", "head"], cwd=PROJECT, check=True)
        found = Running(f"http://127.0.0.1:{port}", folder, start(service.api(port=port)))
        started.callback(found.stop_workers)
        yield found


def sign_up(url: str) -> httpx2.Client:
    """A client that is signed in as a new user."""
    client = httpx2.Client(base_url=url, timeout=120, trust_env=False)
    person = {"email": f"{secrets.token_hex(6)}@example.com", "password": secrets.token_urlsafe(12)}
    client.post("/users/", json=person).raise_for_status()
    signed_in = client.post("/auth/token", data={"username": person["email"], "password": person["password"]})
    client.headers["Authorization"] = f"Bearer {signed_in.raise_for_status().json()['access_token']}"
    return client
