"""One service for all of these tests, and clips to give it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clips import Clip, draw_clip
from tests.conftest import Inbox
from tests.end_to_end.service import Person, Service
from tests.long_clips import make_long_clip


@pytest.fixture(scope="session")
def embedded_service(tmp_path_factory: pytest.TempPathFactory, mailbox: Inbox) -> Iterator[Service]:
    """The service on the embedded PostgreSQL and broker."""
    service = Service.embedded(tmp_path_factory.mktemp("service"), inbox=mailbox)
    try:
        service.start()
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def service(embedded_service: Service) -> Iterator[Service]:
    """The service, whose workers each module starts for itself."""
    yield embedded_service
    embedded_service.end_workers()


@pytest.fixture
def person(service: Service) -> Iterator[Person]:
    """Somebody who has signed up."""
    person = Person(service)
    yield person
    person.client.close()


@pytest.fixture
def make_person(service: Service) -> Iterator[Callable[[], Person]]:
    """`make_person()`: one more."""
    made: list[Person] = []

    def make() -> Person:
        made.append(Person(service))
        return made[-1]

    yield make
    for person in made:
        person.client.close()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where clips are drawn."""
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def clip(clips: Path) -> Clip:
    """Five seconds, 25 pictures each."""
    return draw_clip(clips / "clip.mp4", frames=125)


@pytest.fixture(scope="session")
def long_clip(clips: Path) -> Clip:
    """All its frames are work enough to be caught at."""
    return make_long_clip(clips / "long.mp4", frames=400)
