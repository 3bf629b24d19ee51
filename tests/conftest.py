"""The real parts a service test runs against. Each starts when a test first asks for it, so that a test of the engine
starts none."""

import os
import secrets
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import httpx2
import pytest
from fastapi.testclient import TestClient

from app.database import get_engine
from app.local_stack import broker, postgres
from app.local_stack.mailbox import Mailbox
from app.local_stack.processes import Part, Process, free_port
from app.local_stack.service import answers
from tests.stores.doubles import DOUBLES, Double
from tests.waiting import wait_until

PROJECT = Path(__file__).parents[1]
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="session", name="wait_until")
def wait_until_fixture() -> Callable[..., object]:
    """`wait_until(condition, within_seconds)`."""
    return wait_until


@pytest.fixture(scope="session")
def stack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the parts of this session keep their data and logs."""
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
def postgres_process(stack_folder: Path) -> Iterator[tuple[Process, dict[str, str]]]:
    """An embedded PostgreSQL and its DB_* variables."""
    folder, port = stack_folder / "postgres", free_port()
    postgres.prepare(folder)
    part = postgres.part(folder, port=port, settings=("fsync=off", "synchronous_commit=off"))
    process = Process(part, log=stack_folder / "postgres.log")
    try:
        process.wait_until_healthy()
        postgres.create_database(folder, port=port)
        yield process, postgres.environment(folder, port=port)
    finally:
        process.stop()


@pytest.fixture(scope="session")
def broker_process(stack_folder: Path) -> Iterator[tuple[Process, dict[str, str]]]:
    """An embedded Valkey and its REDIS_URL."""
    folder, port = stack_folder / "broker", free_port()
    broker.prepare(folder)
    process = Process(broker.part(folder, port=port), log=stack_folder / "broker.log")
    try:
        process.wait_until_healthy()
        yield process, broker.environment(folder, port=port)
    finally:
        process.stop()


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Double]]:
    """`stores("rclone")`: a cloud's store on this machine, started when it is first asked for."""
    running: dict[str, Double] = {}

    def get(name: str) -> Double:
        if name not in running:
            running[name] = DOUBLES[name](tmp_path_factory.mktemp(name))
        return running[name]

    yield get
    for double in running.values():
        double.process.stop()


@pytest.fixture(scope="session")
def issuer(stack_folder: Path) -> Iterator[str]:
    """An OpenID provider, which lets everybody in as whoever they say they are."""
    port = free_port()
    # Another site than the service's, for a browser.
    url = f"http://localhost:{port}"
    part = Part(
        name="OpenID provider",
        command=[command("oidc-provider-mock"), "--port", str(port), "--require-nonce", "true"],
        is_healthy=lambda _: answers(f"{url}/.well-known/openid-configuration"),
        environment={"PYTHONWARNINGS": "ignore"},
    )
    process = Process(part, log=stack_folder / "oidc.log")
    try:
        process.wait_until_healthy()
        yield url
    finally:
        process.stop()


@dataclass
class Inbox:
    """What the SMTP sink has taken so far."""

    url: str
    messages: list[EmailMessage] = field(default_factory=list)

    def wait_for(self, predicate: Callable[[EmailMessage], bool], within_seconds: float = 10) -> EmailMessage:
        """The first message that fits, once it is there."""
        return wait_until(lambda: [*filter(predicate, list(self.messages))], within_seconds)[0]

    def to(self, email: str) -> list[EmailMessage]:
        """The messages to one address."""
        return [message for message in list(self.messages) if email in message["To"]]


@pytest.fixture(scope="session")
def mailbox(stack_folder: Path) -> Iterator[Inbox]:
    """A real SMTP sink; messages of other tests are in it too, so look for your user's."""
    inbox = Inbox(url="")
    server = Mailbox(stack_folder / "mail", port=free_port(), on_arrival=inbox.messages.append)
    inbox.url = server.url
    server.start()
    yield inbox
    server.stop()


@pytest.fixture(scope="session")
def service_port() -> int:
    """Where `server` listens; links in e-mails begin with it."""
    return free_port()


@pytest.fixture(scope="session")
def environment(
    postgres_process: tuple[Process, dict[str, str]],
    broker_process: tuple[Process, dict[str, str]],
    mailbox: Inbox,
    service_port: int,
    stack_folder: Path,
) -> Iterator[dict[str, str]]:
    """The service's settings in this process and its children, and a migrated database."""
    variables = {
        **postgres_process[1],
        **broker_process[1],
        "SECRET_KEY": secrets.token_urlsafe(48),
        "STORAGE_URL": f"file://{stack_folder / 'objects'}",
        "SMTP_URL": mailbox.url,
        "MAIL_FROM": "Fotograma <no-reply@fotograma.test>",
        "PUBLIC_URL": f"http://127.0.0.1:{service_port}",
        "PAGE_FOLDER": str(stack_folder / "page"),
        "PYTHONUNBUFFERED": "1",
        # Tests ask as fast as they can; those of the limit set their own.
        "USER_REQUESTS_A_MINUTE": "1000000",
        "USER_UPLOAD_REQUESTS_A_MINUTE": "1000000",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        subprocess.run([command("alembic"), "upgrade", "head"], cwd=PROJECT, check=True)
        yield variables
        get_engine().dispose()


def needs(found: object, what: str) -> None:
    """Where CI runs, everything is tested."""
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{what} is not installed here")


def command(name: str) -> str:
    """A command of this environment."""
    return str(Path(sys.executable).parent / name)


@pytest.fixture(scope="session")
def client(environment: dict[str, str]) -> Iterator[TestClient]:  # noqa: ARG001
    """The API in this process, without credentials."""
    # As a module it makes its app at once, and the settings are only now there.
    import main

    with TestClient(main.create_app()) as client:
        yield client


@dataclass(frozen=True)
class User:
    """Someone who has signed up."""

    id: uuid.UUID
    email: str
    password: str
    headers: dict[str, str]


class MakeUser(Protocol):
    """The `make_user` fixture."""

    def __call__(self, email: str | None = None, *, locale: str | None = None) -> User: ...


@pytest.fixture(scope="session")
def make_user(client: TestClient) -> MakeUser:
    """Sign up and sign in as a client does."""

    def make_user(email: str | None = None, *, locale: str | None = None) -> User:
        email = email or f"user-{secrets.token_hex(6)}@example.com"
        body = {"email": email, "password": PASSWORD, **({"locale": locale} if locale else {})}
        made = client.post("/users/", json=body)
        assert made.status_code == 201, made.text
        signed_in = client.post("/auth/token", data={"username": email, "password": PASSWORD})
        assert signed_in.status_code == 200, signed_in.text
        headers = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
        return User(id=uuid.UUID(made.json()["id"]), email=email, password=PASSWORD, headers=headers)

    return make_user


class StartWorkers(Protocol):
    """The `workers` fixture."""

    def __call__(self, count: int = 1, **more: str) -> list[Process]: ...


@pytest.fixture
def workers(environment: dict[str, str], stack_folder: Path) -> Iterator[StartWorkers]:
    """`workers(2, LEASE_SECONDS="12")`: start real worker processes, each ready when this returns."""
    started: list[Process] = []

    def start(count: int = 1, **more: str) -> list[Process]:
        new = [_start_worker(stack_folder, {**environment, **more}) for _ in range(count)]
        started.extend(new)
        for worker in new:
            worker.wait_until_healthy()
        return new

    yield start
    for worker in started:
        worker.kill()


def _start_worker(stack_folder: Path, environment: dict[str, str]) -> Process:
    name = f"worker-{secrets.token_hex(4)}"
    words = "celery -A app.workers.celery_worker worker --loglevel=info -n"
    part = Part(
        name="Worker",
        command=[*words.split(), f"{name}@%h"],
        is_healthy=lambda worker: f"{name}@" in worker.output() and " ready." in worker.output(),
        environment=environment,
    )
    return Process(part, log=stack_folder / f"{name}.log")


@pytest.fixture
def server(environment: dict[str, str], service_port: int, stack_folder: Path) -> Iterator[str]:
    """The API as a process of its own; its address, which links in e-mails begin with."""
    url = f"http://127.0.0.1:{service_port}"
    part = Part(
        name="API",
        command=["uvicorn", "main:app", "--port", str(service_port)],
        is_healthy=lambda _: _answers(f"{url}/health/live"),
        environment=environment,
    )
    process = Process(part, log=stack_folder / f"api-{secrets.token_hex(4)}.log")
    try:
        process.wait_until_healthy()
        yield url
    finally:
        process.stop()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2).is_success
    except httpx2.TransportError:
        return False
