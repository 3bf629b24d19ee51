"""Which parts this machine's service has, and where each is."""

import os
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from pydantic import SecretStr

from app import page_folder
from app.local_stack import broker, page, postgres, screen, service
from app.local_stack.data_folder import keep_settings, kept_secret
from app.local_stack.errors import StackError
from app.local_stack.mailbox import Mailbox
from app.local_stack.outside import Outside
from app.local_stack.processes import free_port, is_free
from app.local_stack.supervisor import Supervisor
from app.page_folder import PageState
from app.settings import Settings, get_settings

FLOWER_PORT = 5555
READY_WITHIN_SECONDS = 10


class Stack:
    """The parts of one run. Making it settles every address, in this process's environment too; `start` starts them."""

    def __init__(self, folder: Path, *, port: int, workers: int) -> None:
        self.folder = folder
        self.port = port
        self.workers = workers
        self.outside = Outside()
        self.postgres_port, self.broker_port = free_port(), free_port()
        self.flower_port = FLOWER_PORT if is_free(FLOWER_PORT) else free_port()
        self.mailbox = Mailbox(folder / "mail", port=free_port(), on_arrival=screen.show_mail)
        self.page = page.folder_for(folder / "page")
        variables = self._environment()
        os.environ.update(variables)
        keep_settings(folder, variables)
        self.settings = get_settings()

    @property
    def url(self) -> str:
        """Where the API is for a program on this machine."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, supervisor: Supervisor) -> None:
        """Start the parts, each only once the one before is healthy."""
        if self.outside.db_host:
            _check_database(self.settings)
        else:
            postgres.prepare(self.folder / "postgres")
            supervisor.start(postgres.part(self.folder / "postgres", port=self.postgres_port))
            postgres.create_database(self.folder / "postgres", port=self.postgres_port)
        if self.outside.redis_url:
            _check_broker(self.settings)
        else:
            broker.prepare(self.folder / "broker")
            supervisor.start(broker.part(self.folder / "broker", port=self.broker_port))
        supervisor.run(service.migrations())
        if not self.outside.smtp_url:
            self.mailbox.start()
        if self._is_page_missing():
            page_folder.say(self.page, PageState("building"))
        supervisor.start(service.api(port=self.port))
        supervisor.start(*(service.worker(number + 1) for number in range(self.workers)))
        if self.flower_port != FLOWER_PORT:
            screen.tell(f"Port {FLOWER_PORT} is taken by another program, so that Flower is on {self.flower_port}.")
        supervisor.start(service.flower(port=self.flower_port))
        self._wait_until_ready(supervisor)
        if self._is_page_missing():
            threading.Thread(target=self._build_page, args=(supervisor,), name="page", daemon=True).start()

    def addresses(self) -> dict[str, str]:
        """What is where, for people; no passwords."""
        settings, logs = self.settings, self.folder / "logs"
        mail = _place(settings.smtp_url) if self.outside.smtp_url else f"{self.mailbox.folder}/*.eml, and shown here"
        return {
            "Page and API": settings.public_url,
            "API's documentation": f"{settings.public_url}/docs",
            "Health": f"{settings.public_url}/health/ready",
            "Flower": f"http://127.0.0.1:{self.flower_port}",
            "E-mail": mail,
            "PostgreSQL": f"{settings.db_host}:{settings.db_port}, database {settings.db_name}",
            "Broker": _place(settings.redis_url),
            "Videos and archives": settings.storage_url if self.outside.storage_url else str(self.folder / "objects"),
            "Logs": f"{logs}/*.log",
        }

    def _environment(self) -> dict[str, str]:
        outside, folder = self.outside, self.folder
        variables: dict[str, str] = {}
        if not outside.secret_key:
            variables["SECRET_KEY"] = kept_secret(folder / "secret_key")
        if not outside.public_url:
            variables["PUBLIC_URL"] = f"http://localhost:{self.port}"
        if not outside.flower_url:
            variables["FLOWER_URL"] = f"http://127.0.0.1:{self.flower_port}"
        if not outside.storage_url:
            variables["STORAGE_URL"] = (folder / "objects").as_uri()
        if not outside.page_folder:
            variables["PAGE_FOLDER"] = str(self.page)
        if not outside.smtp_url:
            variables["SMTP_URL"] = self.mailbox.url
        if not outside.db_host:
            variables |= postgres.environment(folder / "postgres", port=self.postgres_port)
        if not outside.redis_url:
            variables |= broker.environment(folder / "broker", port=self.broker_port)
        return variables

    def _is_page_missing(self) -> bool:
        return not self.outside.page_folder and page_folder.state(self.page).status != "ready"

    def _build_page(self, supervisor: Supervisor) -> None:
        """Beside the service, which is there without it."""
        screen.tell("The page is being built, which takes about a minute the first time; the API is up already.")
        began = time.monotonic()
        try:
            page.build(self.page, run=supervisor.run)
        except StackError as error:
            if not supervisor.is_ending:
                screen.tell(
                    f"Without its page until the next start: {error} (all it said: {self.folder}/logs/page*.log)."
                )
        except KeyboardInterrupt:
            # We are asked to end, and the main thread sees to it.
            return
        else:
            screen.tell(f"The page is there ({time.monotonic() - began:.1f} s): {self.settings.public_url}")

    def _wait_until_ready(self, supervisor: Supervisor) -> None:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while not service.answers(f"{self.url}/health/ready"):
            if time.monotonic() > deadline:
                screen.tell(f"Not all is up yet; what is missing: {self.url}/health/ready")
                return
            supervisor.pause()


def _check_database(settings: Settings) -> None:
    try:
        psycopg.connect(
            host=settings.db_host,
            port=settings.db_port,
            user=settings.db_user,
            password=settings.db_password.get_secret_value() or None,
            dbname=settings.db_name,
            connect_timeout=3,
        ).close()
    except psycopg.OperationalError as error:
        words = str(error).strip().splitlines()[0]
        raise StackError(f"the PostgreSQL that DB_HOST names does not let us in: {words}") from None


def _check_broker(settings: Settings) -> None:
    if not broker.answers(settings.redis_url.get_secret_value()):
        raise StackError(f"the broker that REDIS_URL names, {_place(settings.redis_url)}, does not answer.")


def _place(url: SecretStr) -> str:
    parts = urlsplit(url.get_secret_value())
    return f"{parts.scheme}://{parts.hostname}:{parts.port}" if parts.port else f"{parts.scheme}://{parts.hostname}"
