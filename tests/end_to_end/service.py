"""The whole service as separate processes, and somebody who uses it over HTTP."""

import secrets
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2
import psutil
import psycopg
import redis

from app.local_stack import broker, postgres
from app.local_stack.errors import StackError
from app.local_stack.processes import PROJECT, Part, Process, free_port
from app.storage import Storage
from tests.conftest import PASSWORD, Inbox, command
from tests.waiting import wait_until

# So that a test of what becomes of the dead takes no longer than it must.
QUICK = {"LEASE_SECONDS": "2", "HEARTBEAT_SECONDS": "0.5", "SWEEP_SECONDS": "0.5"}
# Several start at once on two cores, and each loads all its libraries.
START_SECONDS = 90.0
ENDED = ("COMPLETED", "FAILED", "CANCELLED")


@dataclass
class Foundation:
    """A database or broker: how it is started, and where the service finds it."""

    part: Part
    environment: dict[str, str]


@dataclass
class Service:
    """A running service; `start_workers` adds workers to it."""

    folder: Path
    database: Foundation
    broker: Foundation
    inbox: Inbox
    more: dict[str, str] = field(default_factory=dict)
    """Settings in place of those that this would give it."""
    storage: Storage | None = None
    """Where its objects are, if they are no files of ours."""
    port: int = field(default_factory=free_port)
    processes: dict[str, Process] = field(default_factory=dict)
    workers: list[Process] = field(default_factory=list)
    worker_pids: set[int] = field(default_factory=set)
    """Of all workers there ever were."""
    people: "list[Person]" = field(default_factory=list)
    """Who has signed up."""

    @classmethod
    def embedded(cls, folder: Path, *, inbox: Inbox) -> Self:
        """On the embedded PostgreSQL and broker."""
        database_folder, database_port = folder / "postgres", free_port()
        broker_folder, broker_port = folder / "broker", free_port()
        postgres.prepare(database_folder)
        broker.prepare(broker_folder)
        return cls(
            folder,
            database=Foundation(
                postgres.part(database_folder, port=database_port, settings=("fsync=off",)),
                postgres.environment(database_folder, port=database_port, database="postgres"),
            ),
            broker=Foundation(
                broker.part(broker_folder, port=broker_port), broker.environment(broker_folder, port=broker_port)
            ),
            inbox=inbox,
        )

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def objects(self) -> Path:
        """Where the storage keeps its files."""
        return self.folder / "objects"

    def object_keys(self) -> set[str]:
        """Of all objects that there are, asked past whatever lies between the storage and the service."""
        if self.storage is not None:
            return {*self.storage.list("")}
        return {path.relative_to(self.objects).as_posix() for path in self.objects.rglob("*") if path.is_file()}

    @property
    def temporary(self) -> Path:
        """Where its processes may keep what nobody else needs."""
        return self.folder / "temporary"

    def start(self) -> None:
        """Start all but workers."""
        self.environment = {
            **self.database.environment,
            **self.broker.environment,
            "SECRET_KEY": secrets.token_urlsafe(48),
            "STORAGE_URL": self.objects.as_uri(),
            "SMTP_URL": self.inbox.url,
            "MAIL_FROM": "Fotograma <no-reply@fotograma.test>",
            "PUBLIC_URL": self.url,
            "TMPDIR": str(self.temporary),
            # Tests ask for how it stands as fast as they can.
            "USER_REQUESTS_A_MINUTE": "1000000",
            "USER_UPLOAD_REQUESTS_A_MINUTE": "1000000",
            **self.more,
        }
        self.temporary.mkdir()
        self.begin("database", self.database.part)
        self.begin("broker", self.broker.part)
        migrate = [command("alembic"), "upgrade", "head"]
        subprocess.run(migrate, cwd=PROJECT, env={"PATH": "/usr/bin", **self.environment}, check=True)
        words = f"uvicorn main:app --port {self.port}".split()
        is_live = f"{self.url}/health/live"
        api = Part("API", words, lambda _: answers(is_live), self.environment, healthy_within_seconds=START_SECONDS)
        self.begin("api", api)

    def begin(self, name: str, part: Part) -> Process:
        """Start a part, or start it again."""
        process = self.processes[name] = Process(part, log=self.folder / f"{name}.log")
        process.wait_until_healthy()
        return process

    def begin_again(self, name: str) -> Process:
        """Start a part that has ended. What it left (PostgreSQL's children, a port) may take a moment to go."""
        part = self.processes[name].part

        def begin() -> Process | None:
            with suppress(StackError):
                return self.begin(name, part)
            return None

        return wait_until(begin, 20)

    def start_workers(self, count: int = 1, **more: str) -> list[Process]:
        """Workers by their literal command, ready when this returns."""
        new = [self.launch_worker(**more) for _ in range(count)]
        for worker in new:
            worker.wait_until_healthy()
        return new

    def launch_worker(self, entry: str = "app.workers.celery_worker", **more: str) -> Process:
        """A worker that is not waited for, and that has no decoder waiting: each that is found is at work."""
        name = f"worker-{secrets.token_hex(4)}"
        words = f"celery -A {entry} worker --loglevel=info -n {name}@%h".split()
        environment = {**self.environment, "DECODER_AHEAD": "false", **more}
        worker = Process(
            Part(
                "Worker",
                words,
                lambda worker: " ready." in worker.output(),
                environment,
                healthy_within_seconds=START_SECONDS,
            ),
            log=self.folder / f"{name}.log",
        )
        self.workers.append(worker)
        self.worker_pids.add(worker.pid)
        return worker

    def end_workers(self) -> None:
        """End the workers by force."""
        while self.workers:
            self.workers.pop().kill()

    def stop(self) -> None:
        """End everything."""
        self.end_workers()
        for process in reversed(self.processes.values()):
            process.stop()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database says, asked past whatever lies between it and the service."""
        with connect(self.database.environment) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def holder_of(self, video: dict[str, Any]) -> Process:
        """The worker that works on a video now."""
        held = self.rows("SELECT worker FROM segments WHERE video_id = %s AND status = 'PROCESSING'", video["id"])
        pid = int(held[0][0].rpartition("-")[2])
        return next(worker for worker in self.workers if worker.pid == pid)

    def hold(self, video: dict[str, Any]) -> tuple[Process, list[psutil.Process]]:
        """Stop the decoding of a video in the middle, with SIGSTOP; gives its worker and its decoders."""
        probed = "SELECT 1 FROM videos WHERE id = %s AND probed_at IS NOT NULL"
        wait_until(lambda: self.rows(probed, video["id"]), 30)
        holder = self.holder_of(video)
        held = decoders(holder)
        assert held
        for decoder in held:
            decoder.suspend()
        return holder, held

    def objects_of(self, video: dict[str, Any]) -> list[Path]:
        """The files that a video and its extractions have in storage."""
        ids = (
            video["id"],
            *(str(one) for (one,) in self.rows("SELECT id FROM extractions WHERE video_id = %s", video["id"])),
        )
        return [path for path in self.objects.rglob("*") if path.is_file() and any(one in str(path) for one in ids)]


def connect(environment: dict[str, str]) -> "psycopg.Connection[tuple[Any, ...]]":
    """A connection of our own to the database that the DB_ variables name."""
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    return psycopg.connect(
        **{name: environment[f"DB_{variable}"] for name, variable in names.items()}, connect_timeout=2
    )


def answers_sql(environment: dict[str, str]) -> bool:
    """Whether a database answers."""
    try:
        with connect(environment) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether an address says that all is well."""
    try:
        return httpx2.get(url, timeout=2).is_success
    except httpx2.TransportError:
        return False


def takes_connections(url: str) -> bool:
    """Whether a broker answers."""
    try:
        with redis.Redis.from_url(url, socket_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def decoders(worker: Process) -> list[psutil.Process]:
    """The decoding processes of a worker."""
    return [child for child in psutil.Process(worker.pid).children(recursive=True) if decodes(command_line(child))]


def decoders_left(service: Service) -> list[psutil.Process]:
    """Decoding processes that a worker, dead or alive, has started."""
    return [
        process
        for process in psutil.process_iter()
        # The last word is the process id of who started it.
        if decodes(words := command_line(process)) and int(words[-1]) in service.worker_pids
    ]


def decodes(words: list[str]) -> bool:
    """Whether this is the command line of a decoder."""
    return any("fotograma.child" in word for word in words)


def command_line(process: psutil.Process) -> list[str]:
    """Its words; none once it has ended."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def all_gone(processes: Sequence[psutil.Process]) -> bool:
    """Whether none of these runs any more."""
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


class Person:
    """Somebody who has signed up, and does everything over HTTP."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.acknowledged: set[str] = set()
        """The ids of the videos that were taken from them, and that they did not delete."""
        self.files: dict[str, Path] = {}
        """What they have sent, by its name."""
        self.has_deleted = False
        self.email = f"someone-{secrets.token_hex(6)}@example.com"
        self.client = httpx2.Client(base_url=service.url, timeout=20)
        self.call("post", "/users/", 201, json={"email": self.email, "password": PASSWORD})
        tokens = self.call("post", "/auth/token", 200, data={"username": self.email, "password": PASSWORD})
        self.client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        service.people.append(self)

    def call(self, method: str, path: str, status: int, **more: Any) -> Any:
        """Ask, and give the JSON of an answer of that status."""
        answer = self.client.request(method, path, **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def upload(self, path: Path, **fields: str) -> dict[str, Any]:
        """Upload a file."""
        answer = self.try_upload(path, **fields)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def try_upload(self, path: Path, **fields: str) -> httpx2.Response:
        """Upload a file; gives the answer, whatever it is."""
        self.files[path.name] = path
        with path.open("rb") as file:
            answer = self.client.post("/videos/upload", files={"file": (path.name, file)}, data=fields)
        if answer.status_code == 202:
            self.acknowledged.add(answer.json()["id"])
        return answer

    def videos(self) -> list[dict[str, Any]]:
        """All that they have."""
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] | None = {}
        while cursor is not None:
            page = self.call("get", "/videos/status", 200, params={"limit": "100", **cursor})
            items += page["items"]
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
        return items

    def delete(self, video: dict[str, Any]) -> None:
        """Delete a video, of which nothing is owed then."""
        self.call("delete", f"/videos/{video['id']}", 204)
        self.acknowledged.discard(video["id"])
        self.has_deleted = True

    def video(self, video: dict[str, Any]) -> dict[str, Any]:
        """How it is now."""
        return self.call("get", f"/videos/{video['id']}", 200)

    def wait_for(self, video: dict[str, Any], *statuses: str, within_seconds: float = 60) -> dict[str, Any]:
        """The video once it has one of these states."""

        def look() -> dict[str, Any] | None:
            now = self.video(video)
            assert now["status"] in statuses or now["status"] not in ENDED, now
            return now if now["status"] in statuses else None

        return wait_until(look, within_seconds)

    def download(self, video: dict[str, Any]) -> bytes:
        """The archive."""
        answer = self.client.get(f"/videos/download/{video['id']}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def mails(self) -> list[str]:
        """The kinds of mail that have come."""
        return [str(message["X-Fotograma-Kind"]) for message in self.service.inbox.to(self.email)]

    def no_more_mail_comes(self) -> list[str]:
        """The kinds of mail that have come, once none is owed any more."""
        owed = "SELECT 1 FROM emails WHERE status = 'PENDING' AND recipient = %s"
        wait_until(lambda: not self.service.rows(owed, self.email), 30)
        return self.mails()
