"""The same by the command: whoever types it learns what is wrong, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks import bombs
from tests.attacks.bait import Bait
from tests.attacks.references import SECRET, Victim, references


def run(*words: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    """What the command says, run beside the victim's files."""
    command = [sys.executable, "-m", "fotograma", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60)


@pytest.mark.parametrize(
    ("kind", "suffix", "more"),
    [("concat-sibling", "mp4", []), ("hls-http", "m3u8", []), ("tty", "txt", ["--no-jail"])],
)
def test_a_file_that_names_others_is_no_video(
    kind: str, suffix: str, more: list[str], victim: Victim, bait: Bait, empty_folder: Path
) -> None:
    name = f"{kind}.{suffix}"
    (victim.folder / name).write_bytes(references(victim, bait.url)[kind])

    told = run("extract", name, "--all", "-o", empty_folder / "frames.zip", *more, folder=victim.folder)

    assert told.returncode == 3
    assert "NOT_A_VIDEO" in told.stderr
    assert SECRET not in told.stderr + told.stdout
    assert list(empty_folder.iterdir()) == []
    assert bait.calls == []


@pytest.mark.parametrize("address", ["{bait}/movie.mp4", "concat:victim.ts|victim.ts", "img%03d.jpg"])
def test_an_address_is_no_file(address: str, victim: Victim, bait: Bait, empty_folder: Path) -> None:
    name = address.format(bait=bait.url)

    told = run("extract", name, "--all", "-o", empty_folder / "frames.zip", folder=victim.folder)

    assert told.returncode != 0
    assert list(empty_folder.iterdir()) == []
    assert bait.calls == []


def test_a_bomb_is_a_limit(tmp_path: Path, empty_folder: Path) -> None:
    (tmp_path / "bomb.gif").write_bytes(bombs.gif(16_000, 16_000, pictures=10))

    told = run("extract", "bomb.gif", "--all", "-o", empty_folder / "frames.zip", folder=tmp_path)

    assert told.returncode == 4
    assert "LIMIT_PIXELS" in told.stderr
    assert list(empty_folder.iterdir()) == []
