"""Real files of many makers, and bad ones, against the truth that is told beside them.

FOTOGRAMA_CORPUS names a folder of videos with `truth/NAME.truth.json` for each: what a reference decoder says of it.
Some of the files are hostile: they are opened in the jail only.
"""

import itertools
import json
import math
import os
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from fotograma.errors import Cause, FotogramaError
from fotograma.plan import Plan
from tests.fotograma.conftest import Archive, Take
from tests.selection_rule import wanted

FOLDER = os.environ.get("FOTOGRAMA_CORPUS", "")
TRUTHS = sorted(Path(FOLDER, "truth").glob("*.truth.json")) if FOLDER else []
EVERY_SECOND = Plan.from_json({"mode": "every", "seconds": 1})
# Codecs whose every bit is laid down; of the others, decoders of several versions differ in the last bits.
BIT_EXACT = {"h264", "hevc", "vp8", "vp9", "av1", "theora", "svq3", "ffv1", "huffyuv", "cfhd", "tscc", "gif", "apng"}
# Containers round times in different ways; frames are further apart.
ROUNDING_SECONDS = 0.002
LONGEST_SECONDS_OF_BAD = 30

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not FOLDER, reason="FOTOGRAMA_CORPUS names no folder"),
]


@dataclass(frozen=True)
class Truth:
    """What the reference says of a file."""

    path: Path
    told: dict[str, Any]

    @property
    def frames(self) -> int:
        """How many frames the reference gives."""
        return int(self.told["n_frames"])

    @property
    def codec(self) -> str:
        """Of the stream that it decoded."""
        streams = {stream["index"]: stream["codec"] for stream in self.told["video_streams"]}
        return str(streams[self.told["stream_index"]])

    @property
    def times(self) -> list[float | None]:
        """Their times by the container's clock."""
        return list(self.told.get("pts", []))

    @property
    def is_good(self) -> bool:
        """The file is whole, and readers agree on it, whatever their version."""
        second = self.told.get("second_reader") or {}
        return (
            self.told["kind"] != "bad"
            and self.frames > 0
            and not self.told["cover_only"]
            and "complains" not in self.told["expected"]
            and "version-sensitive" not in self.told["expected"]
            and second.get("n", self.frames) == self.frames
            and not second.get("err")
        )

    @property
    def times_are_certain(self) -> bool:
        """The container says when each frame is shown, so that nothing is guessed."""
        known = [time for time in self.times if time is not None]
        rising = all(before < after for before, after in itertools.pairwise(known))
        return len(known) == len(self.times) and rising and self.told["second_reader"]["pts_same"]

    @property
    def may_be_refused(self) -> bool:
        """An error is among the right answers."""
        return "error" in self.told["expected"] or self.frames == 0 or self.told["cover_only"]


def truths() -> list[Any]:
    found = []
    for file in TRUTHS:
        told = json.loads(file.read_text())
        found.append(pytest.param(Truth(Path(FOLDER, told["file"]), told), id=told["file"]))
    return found


@pytest.mark.parametrize("truth", truths())
def test_a_file_gives_what_its_truth_says(truth: Truth, take: Take) -> None:
    began = time.monotonic()
    answer: Archive | FotogramaError
    try:
        answer = take(truth.path, {"mode": "all", "checksums": True})
    except FotogramaError as error:
        answer = error

    assert truth.told["kind"] != "bad" or time.monotonic() - began < LONGEST_SECONDS_OF_BAD
    if isinstance(answer, FotogramaError):
        assert answer.code.cause in (Cause.INPUT, Cause.LIMIT), answer
        assert truth.may_be_refused, answer
        assert "encrypted" not in truth.told["expected"] or answer.code.name == "ENCRYPTED"
    elif truth.is_good:
        check_good(truth, answer, take)
    else:
        check_salvaged(truth, answer)


def check_good(truth: Truth, archive: Archive, take: Take) -> None:
    """Each frame, bit for bit, at its time; and the second's frames as the rule wants."""
    frames = archive.frames
    assert len(frames) == truth.frames
    if truth.codec in BIT_EXACT:
        assert [row["md5"] for row in frames] == truth.told["md5"]
    if not truth.times_are_certain:
        return
    times = [float(time) - float(truth.times[0] or 0) for time in truth.times if time is not None]
    assert archive.times == pytest.approx(times, abs=ROUNDING_SECONDS)
    if "?" not in truth.told["pict"]:
        # The reference's decoder says of each picture whether it is a key frame.
        assert [index for index, row in enumerate(frames) if row["key_frame"]] == truth.told["key"]
    exact = [(row["pts"] - frames[0]["pts"]) * Fraction(row["time_base"]) for row in frames]
    chosen = take(truth.path, EVERY_SECOND.to_json())
    expected = wanted(EVERY_SECOND, exact, [row["key_frame"] for row in frames], end=exact[-1])
    assert [row["sha256"] for row in chosen.frames] == [frames[index]["sha256"] for index, _ in expected]
    assert [row["pts"] for row in chosen.frames] == [frames[index]["pts"] for index, _ in expected]
    assert all(row["index"] in (None, index) for row, (index, _) in zip(chosen.frames, expected, strict=True))


def check_salvaged(truth: Truth, archive: Archive) -> None:
    """What could be decoded is there, in order, and what is wrong is told; how much depends on decoders' versions."""
    second = truth.told.get("second_reader") or {}
    counts = [truth.frames, second.get("n", truth.frames)]

    assert archive.times == sorted(archive.times)
    assert all(math.isfinite(seconds) for seconds in archive.times)
    assert min(counts) * 0.9 - 1 <= len(archive.frames) <= max(*counts, truth.frames) * 1.1 + 1
    if truth.told["kind"] == "bad" and second.get("err"):
        assert archive.warnings != []
