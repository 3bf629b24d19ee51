"""A victim, a bait, and an eye on what stays behind.

FOTOGRAMA_ATTACKS says how many mutated files are tried; where it is set, each other attack is tried in all its forms,
too. FOTOGRAMA_ATTACK_SEED is the number of the first mutation.
"""

import os
from collections.abc import Iterator

import pytest

from tests.attacks.assault import Held
from tests.attacks.bait import Bait, lay_bait
from tests.attacks.references import Victim
from tests.end_to_end.conftest import embedded_service, person, service
from tests.fotograma.conftest import draw, empty_folder
from tests.waiting import wait_until

__all__ = ["draw", "embedded_service", "empty_folder", "person", "service"]


@pytest.fixture(scope="session")
def in_full() -> bool:
    """Whether each attack is tried in all its forms, rather than in a choice of them."""
    return bool(os.environ.get("FOTOGRAMA_ATTACKS"))


@pytest.fixture(scope="session")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    """Somebody else's files; attacks are put beside them."""
    return Victim.draw(tmp_path_factory.mktemp("victim"))


@pytest.fixture
def bait() -> Iterator[Bait]:
    """A server that nobody may call."""
    with lay_bait() as bait:
        yield bait


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No attack leaves a descriptor, thread or process behind."""
    # These start and end with the test; what is counted lies within.
    if "bait" in request.fixturenames:
        request.getfixturevalue("bait")
    if "person" in request.fixturenames:
        request.getfixturevalue("person")
    before = Held.now()
    yield
    wait_until(before.is_given_back, 5)
