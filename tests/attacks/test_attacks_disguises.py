"""Two files in one give the frames of the video or none; text inside of a video harms nobody who reads the answer."""

import json
from pathlib import Path

from tests.attacks import disguises
from tests.attacks.assault import at_once, attack
from tests.attacks.references import SECRET, Victim
from tests.clips import Clip
from tests.fotograma.conftest import Draw

FRAMES = 5
# No longer than what a manifest is for such a clip without any tags.
MOST_TOLD = 20_000


def own(draw: Draw) -> Clip:
    return draw("own.mp4", frames=FRAMES)


def test_a_video_that_is_something_else_too_gives_its_frames(draw: Draw, victim: Victim) -> None:
    files = disguises.two_at_once(own(draw))
    for name, data in files.items():
        (victim.folder / name).write_bytes(data)

    outcomes = at_once(attack, [victim.folder / name for name in files])

    assert {name: outcome.numbers for name, outcome in outcomes.items()} == {
        name: list(range(FRAMES)) for name in files
    }
    assert all(SECRET not in outcome.told for outcome in outcomes.values())


def test_something_else_with_a_video_behind_it_gives_nothing_of_others(draw: Draw, victim: Victim) -> None:
    files = disguises.other_first(own(draw))
    for name, data in files.items():
        (victim.folder / name).write_bytes(data)

    outcomes = at_once(attack, [victim.folder / name for name in files])

    # Its own one picture, not the clip's behind it.
    picture = outcomes.pop("picture.mp4")
    assert picture.numbers == [None]
    assert {name: outcome.code for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, "NOT_A_VIDEO")
    assert not (victim.folder / "owned").exists()


def test_hostile_text_in_tags_goes_nowhere(draw: Draw, tmp_path: Path, in_full: bool) -> None:
    paths = []
    for number, (name, text) in enumerate(disguises.HOSTILE_TEXTS.items()):
        if in_full or number % 2:
            paths.append(disguises.tagged_matroska(own(draw), tmp_path / f"{name}.mkv", text))
        if in_full or not number % 2:
            paths.append(tmp_path / f"{name}.mp4")
            paths[-1].write_bytes(disguises.tagged_movie(own(draw), text))

    outcomes = at_once(attack, paths)

    assert {name: outcome.numbers for name, outcome in outcomes.items()} == {
        path.name: list(range(FRAMES)) for path in paths
    }
    for outcome in outcomes.values():
        assert outcome.archive is not None
        told = json.dumps(outcome.archive.manifest["source"])
        assert all(word not in told for word in ("owned", "script", "everybody", "jndi", "exe", "MARKER"))
        assert outcome.told.replace("\r\n", "\n").replace("\n", "").isprintable()


def test_tags_of_ten_megabytes_are_left_where_they_are(draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    path.write_bytes(disguises.tagged_movie(own(draw), b"A" * disguises.LONG))

    outcome = attack(path)

    assert outcome.numbers == list(range(FRAMES))
    assert len(outcome.told) < MOST_TOLD
