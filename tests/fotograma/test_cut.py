"""An extraction that is cut into parts gives what it gives whole."""

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fotograma import cut, decoding
from fotograma.limits import Limits
from fotograma.plan import Plan
from fotograma.readers import DescriptorReader
from fotograma.records import Picture, Warned
from fotograma.work import Probed, Work
from tests.fotograma.conftest import Draw

PLANS: list[dict[str, Any]] = [
    {"mode": "all"},
    {"mode": "every", "seconds": 0.3},
    {"mode": "every", "seconds": 0.25, "start": 0.5, "end": 1.7, "scores": True},
    {"mode": "every_nth", "n": 7},
    {"mode": "count", "n": 6},
    {"mode": "at", "seconds": [0, 0.3, 0.31, 1.1, 99]},
    {"mode": "keyframes"},
]
WHOLE_ONLY: list[dict[str, Any]] = [
    {"mode": "all", "limit": 5},
    {"mode": "all", "dedupe": 6},
    {"mode": "scenes"},
    {"mode": "best", "seconds": 0.4},
]


class Cutter:
    """A probed clip, and what parts of it give."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self._reader = DescriptorReader(self._descriptor)
        self.probed: Probed = decoding.probe(self._reader, limits=Limits())

    def places(self, plan: dict[str, Any], *, seconds: float) -> list[int]:
        return cut.places(Plan.from_json(plan), self.probed.index, self.probed.facts.media, seconds=seconds)

    def take(self, plan: dict[str, Any], start: int | None = None, end: int | None = None) -> list[Picture | Warned]:
        plan = plan | {"checksums": True}
        work = Work(self._reader, self.probed, Plan.from_json(plan), Limits(), start, end)
        return [record for record in decoding.pictures(work) if isinstance(record, Picture | Warned)]

    def close(self) -> None:
        self.probed.decoders.close()
        os.close(self._descriptor)


@pytest.fixture
def cutter(draw: Draw):
    opened: list[Cutter] = []

    def cutter(name: str, **how: Any) -> Cutter:
        opened.append(Cutter(draw(name, **how).path))
        return opened[-1]

    yield cutter
    for one in opened:
        one.close()


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("clip.mp4", {}),
        ("clip.mkv", {"codec": "libx265"}),
        ("clip.ts", {}),
        ("clip.webm", {"codec": "libvpx-vp9"}),
        # Pictures that follow a key frame in the file and are shown before it.
        ("open.mp4", {"options": {"x264-params": "open-gop=1:scenecut=0"}, "b_frames": 3}),
        ("variable.mp4", {"times": [Fraction(number * number, 500) for number in range(50)]}),
    ],
)
def test_parts_one_after_another_are_the_whole(name: str, how: dict[str, Any], plan: dict[str, Any], cutter) -> None:
    one = cutter(name, **how)
    places = one.places(plan, seconds=0)
    parts = [one.take(plan, start, end) for start, end in pairwise([None, *places, None])]
    whole = one.take(plan)

    assert places
    assert [record for part in parts for record in part if isinstance(record, Picture)] == [
        record for record in whole if isinstance(record, Picture)
    ]
    assert {record for part in parts for record in part if isinstance(record, Warned)} == {
        record for record in whole if isinstance(record, Warned)
    }


@pytest.mark.parametrize("plan", WHOLE_ONLY, ids=str)
def test_what_needs_the_whole_order_is_not_cut(plan: dict[str, Any], cutter) -> None:
    assert cutter("clip.mp4").places(plan, seconds=0) == []


def test_where_targets_are_left_out_they_are_counted_in_one_go(cutter) -> None:
    one = cutter("slow.mp4", times=[2 * number for number in range(6)], gop=2)

    assert one.places({"mode": "every", "seconds": 0.001}, seconds=0) == []
    assert one.places({"mode": "every", "seconds": 0.01}, seconds=0) != []


@pytest.mark.parametrize(("name", "how"), [("clip.avi", {"codec": "mpeg4"}), ("clip.gif", {"codec": "gif"})])
def test_what_is_decoded_from_its_beginning_is_not_cut(name: str, how: dict[str, Any], cutter) -> None:
    assert cutter(name, **how).places({"mode": "all"}, seconds=0) == []


def test_parts_are_about_as_long_as_asked_for(cutter) -> None:
    one = cutter("clip.mp4", frames=200, gop=10)
    finest = one.places({"mode": "all"}, seconds=0)
    # A picture of 160 x 96: decoded at 300, written at 400 million pixels a second.
    gop_seconds = 10 * 160 * 96 * (1 / 300e6 + 1 / 400e6)

    assert len(finest) == 19
    assert one.places({"mode": "all"}, seconds=4.5 * gop_seconds) == finest[4::5]
    assert one.places({"mode": "all"}, seconds=30) == []
