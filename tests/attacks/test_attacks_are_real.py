"""The same files against a decoder without guards: they work, so that what the other tests say means something."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.attacks import bombs, plain_decoder
from tests.attacks.bait import Bait
from tests.attacks.references import SECRET, VICTIMS_FIRST_NUMBER, Victim, playlist, references
from tests.fotograma.conftest import Draw

PROJECT = Path(__file__).parents[2]
VICTIMS = [VICTIMS_FIRST_NUMBER + number for number in range(plain_decoder.MOST_FRAMES)]


def decode(how: str, name: str, *, folder: Path) -> dict[str, Any]:
    """What a decoder without guards makes of a file."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.attacks.plain_decoder", how, name],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(told.stdout)
    return found


@pytest.mark.parametrize(
    ("kind", "suffix", "how"),
    [
        ("concat-sibling", "mp4", "path"),
        ("concat-subfolder", "jpg", "named"),
        ("concat-sibling", "gif", "nameless"),
        ("hls-sibling", "m3u8", "path"),
        ("hls-file-url", "m3u8", "named"),
        ("hls-master-sibling", "m3u8", "path"),
    ],
)
def test_a_plain_decoder_gives_the_victims_pictures(
    kind: str, suffix: str, how: str, victim: Victim, bait: Bait
) -> None:
    (victim.folder / f"{kind}.{suffix}").write_bytes(references(victim, bait.url)[kind])
    (victim.folder / "variant.m3u8").write_bytes(playlist("#EXTINF:2,", "victim.ts"))

    assert decode(how, f"{kind}.{suffix}", folder=victim.folder)["numbers"] == VICTIMS


def test_a_plain_decoder_in_the_root_folder_gives_the_victims_pictures(victim: Victim, bait: Bait) -> None:
    path = victim.folder / "concat-from-the-root.mp4"
    path.write_bytes(references(victim, bait.url)["concat-from-the-root"])

    assert decode("nameless", str(path), folder=Path("/"))["numbers"] == VICTIMS


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("hls-http", "GET /segment.ts"),
        ("hls-key", "GET /key"),
        ("hls-map", "GET /map.mp4"),
        ("hls-master", "GET /variant.m3u8"),
    ],
)
def test_a_plain_decoder_calls_the_server(kind: str, call: str, victim: Victim, bait: Bait) -> None:
    (victim.folder / f"{kind}.m3u8").write_bytes(references(victim, bait.url)[kind])

    decode("named", f"{kind}.m3u8", folder=victim.folder)

    assert [line for line in bait.calls if line.startswith(call)] != []


def test_a_plain_decoder_paints_text_as_video(victim: Victim) -> None:
    (victim.folder / "notes.txt").write_text(SECRET * 100)

    assert decode("path", "notes.txt", folder=victim.folder)["format"] == "tty"


@pytest.mark.parametrize("name", ["concat:victim.ts|victim.ts", "subfile,,start,0,end,99999,,:victim.mp4"])
def test_a_plain_decoder_takes_a_name_for_an_address(name: str, victim: Victim) -> None:
    assert decode("path", name, folder=victim.folder)["numbers"] == VICTIMS


def test_a_plain_decoder_takes_a_name_for_many_pictures(victim: Victim) -> None:
    assert decode("path", "img%03d.jpg", folder=victim.folder)["numbers"] == [number + 1 for number in VICTIMS]


def test_a_plain_decoder_makes_all_streams_and_believes_what_is_claimed(draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "900.mkv").write_bytes(bombs.streams()["900.mkv"])
    (tmp_path / "lie.mp4").write_bytes(bombs.lie(draw("own.mp4"), "one-duration-for-2-billion"))

    assert decode("path", "900.mkv", folder=tmp_path)["streams"] == 900
    assert decode("path", "lie.mp4", folder=tmp_path)["claimed"] == 2**31 - 1


def test_a_plain_decoder_swells_for_two_hundred_bytes(tmp_path: Path) -> None:
    (tmp_path / "screen.gif").write_bytes(bombs.gif(10_000, 10_000, pictures=1))
    assert (tmp_path / "screen.gif").stat().st_size < 200

    assert decode("path", "screen.gif", folder=tmp_path)["peak_bytes"] > 4 * 10_000**2
