"""Drawn clips, and what the engine takes out of them."""

import csv
import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import psutil
import pytest

from fotograma.extraction import Summary, extract
from fotograma.plan import Plan
from fotograma.readers import Source
from tests.clips import Clip, Pixels, draw_clip, read_number


class Draw(Protocol):
    """The `draw` fixture."""

    def __call__(self, name: str, **how: Any) -> Clip: ...


@pytest.fixture(scope="session")
def draw(tmp_path_factory: pytest.TempPathFactory) -> Draw:
    """`draw("x.mp4", codec="libx265")`: a clip, drawn once a session; don't write to it."""
    folder = tmp_path_factory.mktemp("clips")
    drawn: dict[str, Clip] = {}

    def draw(name: str, **how: Any) -> Clip:
        wish = f"{name} {sorted(how.items())}"
        if wish not in drawn:
            own = folder / hashlib.sha256(wish.encode()).hexdigest()[:12]
            own.mkdir()
            drawn[wish] = draw_clip(own / name, **how)
        return drawn[wish]

    return draw


@dataclass(frozen=True)
class Archive:
    """A ZIP of frames, read back."""

    data: bytes
    summary: Summary | None = None

    @cached_property
    def files(self) -> dict[str, bytes]:
        """All that is in it."""
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def read(self, name: str) -> bytes:
        """A file in it."""
        return self.files[name]

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """`manifest.json`."""
        shown: dict[str, Any] = json.loads(self.read("manifest.json"))
        return shown

    @property
    def frames(self) -> list[dict[str, Any]]:
        """The manifest's frames."""
        rows: list[dict[str, Any]] = self.manifest["frames"]
        return rows

    @property
    def csv_rows(self) -> list[dict[str, str]]:
        """`manifest.csv`."""
        return list(csv.DictReader(io.StringIO(self.read("manifest.csv").decode())))

    @property
    def warnings(self) -> list[str]:
        """The codes of what is told beside the frames."""
        return [warning["code"] for warning in self.manifest["warnings"]]

    @property
    def indexes(self) -> list[int | None]:
        """Each frame's place in presentation order, as the manifest says."""
        return [row["index"] for row in self.frames]

    @property
    def times(self) -> list[float]:
        """Each frame's time, as the manifest says."""
        return [row["time_seconds"] for row in self.frames]

    @property
    def pictures(self) -> list[Pixels]:
        """The decoded pictures, in the manifest's order."""
        return [decode_picture(self.read(row["name"])) for row in self.frames]

    @property
    def numbers(self) -> list[int]:
        """What is painted in them."""
        return [read_number(pixels) for pixels in self.pictures]


def decode_picture(data: bytes) -> Pixels:
    """The pixels of a picture's file."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


class Take(Protocol):
    """The `take` fixture."""

    def __call__(self, source: Source | Clip, plan: dict[str, Any], **more: Any) -> Archive: ...


@pytest.fixture(scope="session")
def take() -> Take:
    """`take(clip, {"mode": "all"})`: the archive of a plan, jailed unless `jail=False`."""

    def take(source: Source | Clip, plan: dict[str, Any], **more: Any) -> Archive:
        pieces: list[bytes] = []
        chosen = source.path if isinstance(source, Clip) else source
        summary = extract(chosen, Plan.from_json(plan), sink=pieces.append, **more)
        return Archive(b"".join(pieces), summary)

    return take


@pytest.fixture(scope="session")
def second_opinion() -> Callable[[str], str]:
    """`second_opinion("ffprobe")`: the path of a program that reads the same files. Where it is missing the test is
    skipped, but not in CI."""

    def find(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{program} is not installed, and CI must have it")
            pytest.skip(f"{program} is not installed")
        return path

    return find


@pytest.fixture
def empty_folder(tmp_path: Path) -> Path:
    """A folder of the test's own with nothing in it."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def leaves_nobody() -> Iterator[None]:
    """After the test there is no process that was not there before."""
    before = psutil.Process().children()
    yield
    assert psutil.Process().children() == before
