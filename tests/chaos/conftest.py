"""The service with bad roads to its parts, and what it has promised.

FOTOGRAMA_CHAOS says how long everything is killed at random, in minutes; where it is set, each scenario runs in full.
FOTOGRAMA_CHAOS_SEED makes chance repeatable.
"""

import os
import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from app.local_stack.mailbox import Mailbox
from app.local_stack.processes import free_port
from tests.chaos.promises import Note, Promises, References
from tests.chaos.road import Road, ServiceByRoad
from tests.clips import Clip
from tests.conftest import Inbox
from tests.end_to_end.conftest import clip, clips, make_person, person
from tests.long_clips import make_long_clip

__all__ = ["clip", "clips", "make_person", "person"]

SEED = int(os.environ.get("FOTOGRAMA_CHAOS_SEED", random.randrange(10**6)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for."""
    if "FOTOGRAMA_CHAOS" not in os.environ:
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of each scenario."""
    reports = [report for of_status in terminalreporter.stats.values() for report in of_status]
    told = {
        report.nodeid.rpartition("::")[2]: report.user_properties
        for report in reports
        if isinstance(report, pytest.TestReport) and "/chaos/" in report.nodeid and report.user_properties
    }
    if told:
        terminalreporter.section(f"chaos, seed {SEED}")
    for name, figures in told.items():
        words = ", ".join(
            f"{what} {value:.1f}" if isinstance(value, float) else f"{what} {value}" for what, value in figures
        )
        terminalreporter.write_line(f"{name}: {words}")


@pytest.fixture(scope="session")
def in_full() -> bool:
    """Whether scenarios run at their full length."""
    return "FOTOGRAMA_CHAOS" in os.environ


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Of each test its own, so that one alone does what it did among the others."""
    return random.Random(SEED + zlib.crc32(request.node.name.encode()))


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """`note("seconds until it went on", 2.5)`: a figure for the summary."""
    return lambda what, value: request.node.user_properties.append((what, value))


class PostOffice(Mailbox):
    """A mail server that can refuse."""

    def __init__(self, folder: Path) -> None:
        self.messages: list[EmailMessage] = []
        self.answer: str | None = None
        """What it says to each mail instead of taking it."""
        super().__init__(folder, port=free_port(), on_arrival=self.messages.append)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Called by the server for each message."""
        return self.answer or await super().handle_DATA(server, session, envelope)


@pytest.fixture(scope="session")
def post_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostOffice]:
    """The mail server."""
    office = PostOffice(tmp_path_factory.mktemp("mail"))
    office.start()
    yield office
    office.stop()


@contextmanager
def running_service(folder: Path, post_office: PostOffice, **settings: str) -> Iterator[ServiceByRoad]:
    """The service, without workers, with a road to each part that it stands on."""
    service = ServiceByRoad.embedded(folder, inbox=Inbox(post_office.url, post_office.messages))
    database, broker = service.database.environment, service.broker.environment
    broker_port = broker["REDIS_URL"].rpartition(":")[2].partition("/")[0]
    with (
        Road(int(database["DB_PORT"])) as to_database,
        Road(int(broker_port)) as to_broker,
        Road(post_office.port) as to_mail,
    ):
        service.roads = {"database": to_database, "broker": to_broker, "mail": to_mail}
        service.more = {
            "DB_PORT": str(to_database.port),
            "REDIS_URL": broker["REDIS_URL"].replace(f":{broker_port}/", f":{to_broker.port}/"),
            "SMTP_URL": f"smtp://127.0.0.1:{to_mail.port}",
            # Nobody signs in again in the middle of an hour of this.
            "ACCESS_TOKEN_EXPIRE_MINUTES": "600",
            **settings,
        }
        try:
            service.start()
            yield service
        finally:
            service.stop()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, post_office: PostOffice) -> Iterator[ServiceByRoad]:
    """One for all scenarios: what one leaves behind, the next finds."""
    with running_service(tmp_path_factory.mktemp("service"), post_office) as service:
        yield service


@pytest.fixture
def roads(service: ServiceByRoad) -> dict[str, Road]:
    """What lies between the service and its `database`, `broker` and `mail`."""
    return service.roads


@pytest.fixture(autouse=True)
def each_begins_in_peace(request: pytest.FixtureRequest) -> Iterator[None]:
    """Roads are good and parts run, also after a test that failed; each starts workers of its own."""
    yield
    if "service" in request.fixturenames:
        service = request.getfixturevalue("service")
        service.end_workers()
        service.people.clear()
        for road in service.roads.values():
            road.mend()
        for name, part in service.processes.items():
            if not part.is_running():
                service.begin_again(name)


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> References:
    """What the engine alone makes of a file."""
    return References(tmp_path_factory.mktemp("references"))


@pytest.fixture
def promises(service: ServiceByRoad, references: References, note: Note) -> Promises:
    """`promises.check()`: whatever happened, this holds."""
    return Promises(service, references, note)


@pytest.fixture(scope="session")
def long_clip(clips: Path, in_full: bool) -> Clip:
    """All its frames are work enough to be caught at."""
    return make_long_clip(clips / "long.mp4", frames=1000 if in_full else 200)
