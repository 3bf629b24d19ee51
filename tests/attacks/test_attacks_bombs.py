"""Small files that ask for much end at a limit, or give the frames they have, soon and within their memory."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fotograma.limits import Limits
from tests.attacks import bombs
from tests.attacks.assault import MOST_BYTES, at_once, attack, weigh, within
from tests.fotograma.conftest import Draw

MEBIBYTE = 2**20
EVERY_SECOND = {"mode": "every", "seconds": 1}
# These are told by their code; all other lies give what frames there are.
REFUSED = {
    "no-durations": "NO_FRAMES",
    "one-size-for-2-billion": "NO_FRAMES",
    "2-billion-sizes": "NOT_A_VIDEO",
    "sizes-of-4-gigabytes": "NO_FRAMES",
    "2-billion-chunks": "NOT_A_VIDEO",
    "2-billion-durations": "LIMIT_STREAMS",
    "offsets-past-the-end": "NO_FRAMES",
    "2-billion-descriptions": "NOT_A_VIDEO",
}


def write(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """These files in a folder."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder for what attacks are made of."""
    (tmp_path / "parts").mkdir()
    return tmp_path / "parts"


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Clips of very many pictures that are work."""
    folder = tmp_path_factory.mktemp("endless")
    delta = bombs.endless_av1(folder / "few.mkv", packets=20_000, size=(1920, 1080))
    return write(folder, {"delta.ivf": delta, "canvas.gif": bombs.gif(8000, 8000, pictures=20_000)})


def test_pictures_that_are_too_large_are_refused_before_they_cost_anything(tmp_path: Path, parts: Path) -> None:
    files = bombs.pixels(parts)

    with weigh() as cost:
        outcomes = at_once(attack, write(tmp_path, files))

    # Its size is a claim of the container's; the pictures are small.
    claimed = outcomes.pop("head-16000-claimed.avi")
    assert claimed.numbers == [7, 7, 7]
    assert {name: outcome.code for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, "LIMIT_PIXELS")
    assert cost.peak_bytes < 300 * MEBIBYTE


def test_the_largest_picture_allowed_fits_into_the_memory(tmp_path: Path) -> None:
    [path] = write(tmp_path, {"largest.gif": bombs.gif(8192, 8192, pictures=2)})

    with weigh() as cost:
        outcome = attack(path, {"mode": "count", "n": 1, "width": 64})

    assert outcome.archive is not None
    assert len(outcome.archive.frames) == 1
    assert cost.peak_bytes < MOST_BYTES


def test_what_inflates_is_held_by_a_limit(tmp_path: Path, parts: Path) -> None:
    with weigh() as cost:
        outcomes = at_once(lambda path: attack(path, limits=within(3)), write(tmp_path, bombs.squeezed(parts)))

    codes = {name: outcome.code for name, outcome in outcomes.items()}
    assert codes.pop("text.mov") in ("", "LIMIT_TIME", "LIMIT_MEMORY", "NO_FRAMES")
    assert codes == {"index.mov": "NO_VIDEO_STREAM", "block.mkv": "NO_FRAMES"}
    assert cost.peak_bytes < MOST_BYTES


def test_no_more_streams_are_made_than_allowed(draw: Draw, tmp_path: Path) -> None:
    movie = draw("own.mp4").path.read_bytes()
    files = {**bombs.streams(), "300.mp4": bombs.many_tracks(movie, 300)}

    with weigh() as cost:
        outcomes = at_once(attack, write(tmp_path, files))

    refused = {name for name, outcome in outcomes.items() if outcome.archive is None}
    told = [outcome.archive.manifest["source"]["streams"] for outcome in outcomes.values() if outcome.archive]
    assert {outcomes[name].code for name in refused} <= {"LIMIT_STREAMS", "NO_FRAMES"}
    assert "300.mp4" in refused
    assert all(len(streams) <= Limits().max_streams for streams in told)
    assert cost.peak_bytes < 300 * MEBIBYTE


def test_a_million_tiny_pictures_end_at_the_number_allowed(tmp_path: Path, in_full: bool) -> None:
    # A million is the probe's work of ten seconds.
    pictures = 1_000_000 if in_full else 50_000
    [path] = write(tmp_path, {"dots.gif": bombs.gif(1, 1, pictures=pictures)})

    outcome = attack(path, limits=replace(within(13 if in_full else 5), max_frames=1000))

    assert outcome.code in (("LIMIT_FRAMES", "LIMIT_TIME") if in_full else ("LIMIT_FRAMES",))


@pytest.mark.parametrize("plan", [EVERY_SECOND, {"mode": "scenes"}], ids=["every", "scenes"])
def test_pictures_that_take_hours_end_in_time(plan: dict[str, Any], endless: list[Path]) -> None:
    with weigh() as cost:
        outcomes = at_once(lambda path: attack(path, plan, limits=within(1)), endless)

    assert {outcome.code for outcome in outcomes.values()} <= {"LIMIT_TIME", "LIMIT_MEMORY"}
    assert max(outcome.seconds for outcome in outcomes.values()) < 8
    assert cost.peak_bytes < MOST_BYTES


FAR = 10**9
GAP_PLANS: dict[str, tuple[dict[str, Any], int]] = {
    "every-millisecond": ({"mode": "every", "seconds": 0.001}, 3),
    "many": ({"mode": "count", "n": 100_000}, 2),
    "best": ({"mode": "best", "seconds": 0.001}, 3),
    "far": ({"mode": "at", "seconds": [5, FAR]}, 2),
    "between": ({"mode": "every", "seconds": 1, "start": 1, "end": FAR - 1}, 1),
    "distinct": ({"mode": "every", "seconds": 0.5, "dedupe": 1}, 2),
}


@pytest.mark.parametrize(("plan", "frames"), GAP_PLANS.values(), ids=list(GAP_PLANS))
def test_a_gap_of_thirty_years_costs_nothing(plan: dict[str, Any], frames: int, tmp_path: Path) -> None:
    clip = bombs.far_apart(tmp_path / "years.mkv", 0, 0.04, FAR)

    outcome = attack(clip.path, plan, limits=within(5))

    assert len(outcome.numbers) == frames


def test_what_an_index_claims_is_not_believed(draw: Draw, tmp_path: Path, in_full: bool) -> None:
    clip = draw("own.mp4")
    names = list(bombs.lies())
    chosen = names if in_full else names[::2]
    files = {name: bombs.lie(clip, name) for name in chosen}

    with weigh() as cost:
        outcomes = at_once(lambda path: attack(path, limits=within(5)), write(tmp_path, files))

    assert {name: outcome.code for name, outcome in outcomes.items()} == {
        name: REFUSED.get(name, "") for name in chosen
    }
    for outcome in outcomes.values():
        assert outcome.numbers == sorted(set(outcome.numbers) & set(range(clip.frames)))
    assert cost.peak_bytes < 300 * MEBIBYTE


def test_a_rotation_of_garbage_is_none(draw: Draw, tmp_path: Path) -> None:
    [path] = write(tmp_path, {"turned.mp4": bombs.lie(draw("own.mp4"), "matrix-of-garbage")})

    outcome = attack(path)

    assert outcome.numbers == list(range(50))
    assert outcome.archive is not None
    assert outcome.archive.manifest["source"]["rotation"] == 0


def test_boxes_in_boxes_in_boxes_are_no_video(tmp_path: Path) -> None:
    files = {"boxes.mp4": bombs.nested(20_000), "tags.mkv": bombs.nested_matroska(20_000)}
    outcomes = at_once(attack, write(tmp_path, files))

    assert {outcome.code for outcome in outcomes.values()} == {"NOT_A_VIDEO"}


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (96, 65_535)], ids=["tall", "wide", "too-tall-for-jpeg"])
def test_pictures_of_odd_shape_give_frames_or_a_limit(size: tuple[int, int], tmp_path: Path) -> None:
    [path] = write(tmp_path, {"shape.gif": bombs.gif(*size, pictures=2)})
    plans: tuple[dict[str, Any], ...] = (
        {"mode": "all"},
        {"mode": "best", "seconds": 1},
        {"mode": "all", "width": 640},
        {"mode": "all", "format": "webp"},
    )

    codes = {attack(path, plan).code for plan in plans}

    assert codes <= {"", "LIMIT_PIXELS", "LIMIT_MEMORY"}
