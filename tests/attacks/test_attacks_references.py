"""Files that name other files and hosts: nothing of those comes out, and nobody is called."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.attacks.assault import MOST_BYTES, Outcome, at_once, attack, weigh
from tests.attacks.bait import Bait
from tests.attacks.references import (
    NAMES,
    OWN_FRAMES,
    SECRET,
    SUFFIXES,
    VICTIMS_FIRST_NUMBER,
    Victim,
    movies,
    references,
)
from tests.clips import draw_clip

# Of each kind those that reach furthest; each costs a process.
CHOICE = (
    "concat-sibling",
    "concat-from-the-root",
    "concat-absolute",
    "concat-sibling-behind-a-tag",
    "hls-sibling",
    "hls-file-url",
    "hls-http",
    "hls-key",
    "hls-master",
    "hls-carries-text-out",
    "sdp",
    "dash-http",
    "tty",
)


def write(folder: Path, attacks: Mapping[str, bytes], suffixes: Mapping[str, Sequence[str]]) -> list[Path]:
    """Each attack under each of its suffixes."""
    written = []
    for name, data in attacks.items():
        for suffix in suffixes[name]:
            written.append(folder / f"{name}.{suffix}")
            written[-1].write_bytes(data)
    return written


def usual_suffix(name: str) -> str:
    """What the attack works under, where it works at all."""
    return "m3u8" if name.startswith("hls") else "txt" if name == "tty" else "mp4"


def is_clean(outcome: Outcome) -> bool:
    """Whether nothing of the victim's is in it."""
    painted = [number for number in outcome.numbers if number is not None]
    return SECRET not in outcome.told and all(number < VICTIMS_FIRST_NUMBER for number in painted)


def test_what_names_other_files_is_refused(victim: Victim, bait: Bait, in_full: bool) -> None:
    attacks = references(victim, bait.url)
    # By default a choice, each under the suffix that makes it work; `just attack` tries all under all.
    chosen = dict.fromkeys(attacks, SUFFIXES) if in_full else {name: (usual_suffix(name),) for name in CHOICE}
    paths = write(victim.folder, {name: attacks[name] for name in chosen}, chosen)

    with weigh() as cost:
        outcomes = at_once(attack, paths)

    assert {name: outcome.code for name, outcome in outcomes.items() if outcome.code != "NOT_A_VIDEO"} == {}
    assert all(is_clean(outcome) for outcome in outcomes.values())
    assert bait.calls == []
    assert cost.peak_bytes < MOST_BYTES


def test_the_lists_alone_refuse_them_under_all_names(
    victim: Victim, bait: Bait, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacks = references(victim, bait.url)
    paths = write(victim.folder, attacks, dict.fromkeys(attacks, SUFFIXES))
    # Without a jail, and where a relative name would lead to the victim.
    monkeypatch.chdir(victim.folder)

    outcomes = {path.name: attack(path, jail=False) for path in paths}

    assert len(outcomes) == len(attacks) * len(SUFFIXES)
    assert {name: outcome.code for name, outcome in outcomes.items() if outcome.code != "NOT_A_VIDEO"} == {}
    assert bait.calls == []


def test_movies_whose_pictures_lie_elsewhere_give_none(victim: Victim, bait: Bait, tmp_path: Path) -> None:
    made = movies(victim, bait.url, folder=tmp_path).no_frames
    outcomes = at_once(attack, write(victim.folder, made, dict.fromkeys(made, ("mov",))))

    assert {name: outcome.code for name, outcome in outcomes.items()} == {
        f"{name}.mov": "NO_VIDEO_STREAM" if name.startswith("reference") else "NO_FRAMES" for name in made
    }
    assert all(is_clean(outcome) for outcome in outcomes.values())
    assert bait.calls == []


def test_subtitles_that_name_others_bring_nothing_in(victim: Victim, bait: Bait, tmp_path: Path) -> None:
    made = movies(victim, bait.url, folder=tmp_path).own_frames
    outcomes = at_once(attack, write(victim.folder, made, dict.fromkeys(made, ("avi",))))

    assert [outcome.numbers for outcome in outcomes.values()] == [[7] * 3] * len(made)
    assert all(is_clean(outcome) for outcome in outcomes.values())
    assert bait.calls == []


def test_a_name_is_only_a_name(victim: Victim, bait: Bait, tmp_path: Path, in_full: bool) -> None:
    names = NAMES if in_full else NAMES[::3]
    own = draw_clip(tmp_path / "own.mp4", frames=OWN_FRAMES).path.read_bytes()
    for name in names:
        (victim.folder / name).write_bytes(own)

    outcomes = at_once(attack, [victim.folder / name for name in names])

    assert {name: outcome.numbers for name, outcome in outcomes.items()} == {name: [0, 1, 2] for name in names}
    assert bait.calls == []
    assert not (victim.folder / "owned").exists()
