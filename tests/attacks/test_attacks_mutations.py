"""Clips that chance has changed: each comes to an end of its own, and whoever asked lives on."""

import os
from pathlib import Path

import pytest

from tests.attacks.assault import MOST_BYTES, Outcome, at_once, attack, weigh, within
from tests.attacks.mutations import draw_seeds, mutate

FILES = int(os.environ.get("FOTOGRAMA_ATTACKS") or 40)
# In the names of the tests, so that a file that fails can be made again.
FIRST = int(os.environ.get("FOTOGRAMA_ATTACK_SEED") or 1)
EACH = 40
BATCHES = range(FIRST, FIRST + FILES, EACH)
MOST_SECONDS = 10


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """All clips before anything is done to them."""
    return draw_seeds(tmp_path_factory.mktemp("seeds"))


def take_some(path: Path) -> Outcome:
    """All frames, or as the number of the file goes, what other plans want of it."""
    number = int(path.name.partition("-")[0])
    plans = (
        {"mode": "all", "checksums": True},
        {"mode": "every", "seconds": 0.1, "scores": True},
        {"mode": "count", "n": 3, "width": 32, "format": "png"},
        {"mode": "best", "seconds": 0.2},
    )
    return attack(path, plans[number % len(plans)], limits=within(MOST_SECONDS))


@pytest.mark.parametrize("first", BATCHES)
def test_mutated_files_come_to_an_end(first: int, seeds: dict[str, bytes], tmp_path: Path) -> None:
    for number in range(first, min(first + EACH, FIRST + FILES)):
        name, data = mutate(seeds, number)
        (tmp_path / name).write_bytes(data)

    with weigh() as cost:
        outcomes = at_once(take_some, tmp_path.iterdir())

    assert cost.peak_bytes < MOST_BYTES
    # A decoder's death is contained, and still a thing to know of.
    assert {name: outcome.detail for name, outcome in outcomes.items() if outcome.code == "DECODER_CRASHED"} == {}
    assert {name for name, outcome in outcomes.items() if outcome.code == "LIMIT_TIME"} == set()
