"""Bad files of others, in the folder that FOTOGRAMA_CORPUS names: what they cost, and that nothing of them stays.

What must come out of them is told in tests/fotograma/test_corpus.py.
"""

import json
from pathlib import Path

import pytest

from tests.attacks.assault import MOST_BYTES, attack, weigh
from tests.fotograma.test_corpus import FOLDER, TRUTHS

BAD = [told["file"] for told in map(json.loads, (path.read_text() for path in TRUTHS)) if told["kind"] == "bad"]

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not FOLDER, reason="FOTOGRAMA_CORPUS names no folder"),
]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_costs_little_and_leaves_nothing(name: str) -> None:
    plans = ({"mode": "all"}, {"mode": "every", "seconds": 1}, {"mode": "scenes"})

    with weigh() as cost:
        for plan in plans:
            attack(Path(FOLDER, name), plan)

    assert cost.peak_bytes < MOST_BYTES
