"""The examples of docs/api.md, run as they stand but for the address."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.local_stack.processes import PROJECT
from tests.clips import draw_clip
from tests.conftest import command
from tests.end_to_end.archives import pictures_in
from tests.end_to_end.service import Service


@pytest.fixture(scope="module")
def folder(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples find the video, and a worker that works on it."""
    service.start_workers()
    folder = tmp_path_factory.mktemp("guide")
    draw_clip(folder / "video.mp4", frames=125)
    return folder


@pytest.fixture(scope="module")
def told(service: Service, folder: Path) -> dict[str, str]:
    """What the examples of each language print, run in the order of the page: the first sign up."""
    page = (PROJECT / "docs" / "api.md").read_text().replace("http://localhost:8000", service.url)
    interpreters = {
        "sh": ["bash", "-euo", "pipefail", "-c"],
        "python": [sys.executable, "-c"],
        "js": [command("node"), "--input-type=module", "-e"],
    }
    told = {}
    for language, interpreter in interpreters.items():
        examples = re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)
        done = subprocess.run(
            [*interpreter, "\n".join(examples)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        told[language] = done.stdout
        (folder / "frames.zip").rename(folder / f"{language}.zip")
    return told


def test_curl(told: dict[str, str], folder: Path):
    assert set(pictures_in((folder / "sh.zip").read_bytes()).values()) == {0, 50, 100}
    assert (folder / "first.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "first.jpg").read_bytes().startswith(b"\xff\xd8")
    assert "/files/" in told["sh"]


def test_python(told: dict[str, str], folder: Path):
    assert "frame_00h00m04.000s.jpg 4" in told["python"]
    assert "COMPLETED 5 None" in told["python"]
    assert set(pictures_in((folder / "python.zip").read_bytes()).values()) == {0, 50, 100}


def test_javascript(told: dict[str, str], folder: Path):
    assert told["js"].startswith("COMPLETED ")
    assert (folder / "js.zip").read_bytes().startswith(b"PK")
