import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest

import fotograma
from tests import broken_clips
from tests.fotograma.conftest import Archive, Draw, Take
from tests.waiting import wait_until

COMMAND = [sys.executable, "-m", "fotograma"]


def run(*words: object, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, cwd=folder, timeout=60)


@pytest.mark.parametrize(
    ("words", "plan"),
    [
        (["--every", "500ms"], {"mode": "every", "seconds": 0.5}),
        (["--fps", "2"], {"mode": "every", "seconds": 0.5}),
        (["--every-nth", "30"], {"mode": "every_nth", "n": 30}),
        (["--count", "3"], {"mode": "count", "n": 3}),
        (["--at", "1,0.5,00:00:01.2"], {"mode": "at", "seconds": [0.5, 1, 1.2]}),
        (["--keyframes"], {"mode": "keyframes"}),
        (
            ["--all", "--start", "0.5", "--end", "1s", "--limit", "3"],
            {"mode": "all", "start": 0.5, "end": 1, "limit": 3},
        ),
    ],
)
def test_options_say_the_plan(words: list[str], plan: dict[str, Any], draw: Draw, take: Take, tmp_path: Path) -> None:
    clip = draw("a.mp4")

    told = run("extract", clip.path, *words, "-o", tmp_path / "frames.zip")

    assert (told.returncode, told.stderr) == (0, "")
    assert (tmp_path / "frames.zip").read_bytes() == take(clip, plan).data


def test_without_a_jail_the_same_comes_out(draw: Draw, take: Take, tmp_path: Path) -> None:
    clip = draw("a.mp4")

    told = run("extract", clip.path, "--every", "1", "--no-jail", "-o", tmp_path / "frames.zip")

    assert told.returncode == 0
    assert (tmp_path / "frames.zip").read_bytes() == take(clip, {"mode": "every", "seconds": 1}).data


def test_json_is_all_that_is_on_standard_output(draw: Draw, tmp_path: Path) -> None:
    clip = draw("a.mp4")

    told = run("extract", clip.path, "--every", "1", "--checksums", "-o", "frames.zip", "--json", folder=tmp_path)
    summary = json.loads(told.stdout)

    assert told.stderr == ""
    assert (summary["frames"], summary["warnings"]) == (2, [])
    assert summary["plan"] == {"mode": "every", "seconds": 1, "checksums": True}
    assert summary["source"]["name"] == "a.mp4"
    assert (tmp_path / "frames.zip").exists()


def test_a_folder_is_made_and_gets_files(draw: Draw, tmp_path: Path) -> None:
    told = run("extract", draw("a.mp4").path, "--every", "1", "-o", "new/folder/", folder=tmp_path)
    files = {path.name for path in (tmp_path / "new/folder").iterdir()}

    assert told.returncode == 0
    assert files == {"frame_00h00m00.000s.jpg", "frame_00h00m01.000s.jpg", "manifest.json", "manifest.csv"}


def test_warnings_are_told_and_are_no_failure(draw: Draw, tmp_path: Path) -> None:
    whole = draw("a.mp4", container_options={"movflags": "faststart"})
    cut = broken_clips.truncate(whole.path, tmp_path / "cut.mp4", keep=0.6)

    told = run("extract", cut, "--every", "1", "-o", tmp_path / "frames.zip")

    assert told.returncode == 0
    assert "TRUNCATED: The file ends too early" in told.stderr
    assert zipfile.is_zipfile(tmp_path / "frames.zip")


@pytest.mark.parametrize(
    "words",
    [
        ["extract", "a.mp4", "-o", "x.zip"],
        ["extract", "a.mp4", "--every", "1", "--all", "-o", "x.zip"],
        ["extract", "a.mp4", "--every", "never", "-o", "x.zip"],
        ["extract", "a.mp4", "--every", "0", "-o", "x.zip"],
        ["extract", "a.mp4", "--every", "1", "--start", "5", "--end", "2", "-o", "x.zip"],
        ["extract", "a.mp4", "--count", "many", "-o", "x.zip"],
        ["extract", "a.mp4", "--every", "1"],
        ["extract", "missing.mp4", "--every", "1", "-o", "x.zip"],
        ["extract", "a.mp4", "--every", "1", "--sideways", "-o", "x.zip"],
        ["probe"],
        ["dance"],
    ],
)
def test_wrong_usage_ends_with_2(words: list[str], draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(draw("a.mp4").path.read_bytes())

    told = run(*words, folder=tmp_path)

    assert told.returncode == 2
    assert told.stdout == ""
    assert told.stderr != ""
    assert "Traceback" not in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("command", ["extract", "probe"])
def test_what_is_no_video_ends_with_3_and_one_line(command: str, empty_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    words = ["--every", "1", "-o", empty_folder / "x.zip"] if command == "extract" else ["--json"]

    told = run(command, tmp_path / "text.mp4", *words)

    assert (told.returncode, told.stdout) == (3, "")
    assert re.fullmatch(r"NOT_A_VIDEO: [A-Z].*\n", told.stderr)
    assert list(empty_folder.iterdir()) == []


def test_a_limit_ends_with_4_and_one_line(draw: Draw, tmp_path: Path) -> None:
    data = bytearray(draw("a.gif", codec="gif").path.read_bytes())
    # The size of the whole picture, of which each frame changes a part.
    data[6:10] = b"\xff\xff\xff\xff"
    (tmp_path / "bomb.gif").write_bytes(data)

    told = run("extract", tmp_path / "bomb.gif", "--all", "-o", tmp_path / "x.zip")

    assert (told.returncode, told.stdout) == (4, "")
    assert re.fullmatch(r"LIMIT_PIXELS: [A-Z].*\n", told.stderr)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("missing/x.zip", "there is no folder missing"),
        ("text.mp4/x.zip", "text.mp4/x.zip: Not a directory"),
        ("text.mp4/", "text.mp4: File exists"),
        ("text.mp4", "text.mp4 is the video itself"),
        ("/proc/x.zip", "/proc/x.zip: No such file or directory"),
        ("/proc/new/", "/proc/new: No such file or directory"),
        (f"{'x' * 300}.zip", f"{'x' * 300}.zip: File name too long"),
        ("-", "such as frames.zip, or FOLDER/ for files"),
        ("", "such as frames.zip, or FOLDER/ for files"),
    ],
)
def test_where_nothing_can_be_written_is_told_before_the_video_is_looked_at(
    output: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video")

    told = run("extract", "text.mp4", "--every", "1", "-o", output, folder=tmp_path)

    assert (told.returncode, told.stdout) == (2, "")
    assert re.fullmatch(rf"OUTPUT_REFUSED: [A-Z].* \({re.escape(reason)}\)\n", told.stderr)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("text.mp4", "no video")]


@pytest.mark.parametrize("output", ["x.zip", "frames/"])
def test_a_full_disk_is_told_and_leaves_nothing_half_written(output: str, draw: Draw, tmp_path: Path) -> None:
    clip = draw("large.mkv", size=(1280, 720), frames=3, codec="mjpeg")
    # No file of this process grows beyond 4 KiB, which is told to it much as a full disk is.
    words = ["sh", "-c", 'ulimit -f 8 && exec "$@"', "sh", *COMMAND, "extract", clip.path, "--all", "--format", "png"]

    told = subprocess.run(
        [*map(str, words), "-o", output], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )

    assert (told.returncode, told.stdout) == (1, "")
    assert re.fullmatch(r"OUTPUT_FULL: [A-Z].*\n", told.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told_first"),
    [
        (["--server", "http://127.0.0.1:9", "-o", "missing/x.zip"], "OUTPUT_REFUSED: "),
        (["--server", "frames.example"], "BAD_PLAN: --server must be an address such as https://frames.example"),
    ],
)
def test_what_can_not_be_is_told_before_anything_is_sent(words: list[str], told_first: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    who = ["--email", "me@example.com", "--password", "none"]

    told = run("remote", "upload", "a.mp4", "--every", "1", *who, *words, folder=tmp_path)

    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(told_first)


def test_a_folder_that_was_there_stays_when_nothing_comes(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "frames").mkdir()

    told = run("extract", "text.mp4", "--every", "1", "-o", "frames", folder=tmp_path)

    assert told.returncode == 3
    assert list((tmp_path / "frames").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--count", "0"], "`n` must be from 1 to 100000"),
        (["--fps", "fast"], "`fps` must be a number such as 25, 0.5 or 30000/1001"),
        (["--scenes", "--threshold", "x"], "`threshold` must be a number such as 25, 0.5 or 30000/1001"),
    ],
)
def test_a_plan_that_can_not_be_is_told_in_its_own_words(words: list[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()

    told = run("extract", "a.mp4", *words, "-o", "x.zip", folder=tmp_path)

    assert (told.returncode, told.stderr) == (2, f"BAD_PLAN: {sentence}\n")


def test_an_interrupt_leaves_no_half_written_file(draw: Draw, empty_folder: Path) -> None:
    clip = draw("large.mkv", size=(1280, 720), frames=300, codec="mjpeg")
    command = [*COMMAND, "extract", str(clip.path), "--all", "--format", "png", "-o", str(empty_folder / "frames.zip")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        wait_until(lambda: any(path.stat().st_size for path in empty_folder.iterdir()))
        children = psutil.Process(process.pid).children()
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=10)

    assert process.returncode == 130
    assert told.count("\n") == 1
    assert told.startswith("CANCELLED")
    assert list(empty_folder.iterdir()) == []
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_probe_says_what_a_video_is(draw: Draw, take: Take) -> None:
    clip = draw("a.mp4")

    told = run("probe", clip.path, "--json")

    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout) == take(clip, {"mode": "keyframes"}).manifest["source"]


def test_probe_for_people_is_a_line_for_each_fact(draw: Draw) -> None:
    told = run("probe", draw("a.mp4").path)

    assert told.returncode == 0
    assert re.search(r"^codec +h264$", told.stdout, re.MULTILINE)


def test_doctor_finds_that_this_machine_can_decode() -> None:
    told = run("doctor", "--json")

    assert told.returncode == 0, told.stdout
    assert all(finding["ok"] for finding in json.loads(told.stdout))


def test_help_and_version_are_told() -> None:
    assert "--every 2s -o" in run("extract", "--help").stdout
    assert run("version").stdout == f"{fotograma.__version__}\n"


def test_the_zip_of_the_command_is_whole(draw: Draw, tmp_path: Path) -> None:
    run("extract", draw("a.mp4").path, "--all", "-o", tmp_path / "frames.zip")
    archive = Archive((tmp_path / "frames.zip").read_bytes())

    assert archive.numbers == list(range(50))
    assert len(list(csv.reader(io.StringIO(archive.read("manifest.csv").decode())))) == 51
