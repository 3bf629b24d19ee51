"""`import fotograma`: what a program gets out of it."""

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import fotograma
from tests.fotograma.conftest import Draw, Take
from tests.pictures import LIMITED, Colors, flat, write_clip

HALF_SECONDS = {"mode": "every", "seconds": 0.5}


class Remote:
    """A video that is no file: only sizes and offsets are known of it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)
        self.bytes_read = 0

    def read_at(self, offset: int, size: int) -> bytes:
        found = self._data[offset : offset + size]
        self.bytes_read += len(found)
        return found


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    process = psutil.Process()
    gc.collect()
    descriptors, threads = process.num_fds(), threading.active_count()

    yield

    gc.collect()
    assert process.num_fds() == descriptors
    assert threading.active_count() == threads
    assert [child for child in process.children() if "fotograma.child" in " ".join(child.cmdline())] == []


@pytest.mark.parametrize("jail", [True, False])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", {}),
        ("turned.mp4", {"rotation": 90}),
        ("ten_bits.mp4", {"pixel_format": "yuv420p10le"}),
        ("odd.mkv", {"codec": "ffv1", "pixel_format": "yuv444p", "size": (161, 97)}),
    ],
)
@pytest.mark.parametrize("wish", [{}, {"width": 50}, {"crop": [8, 8, 100, 60]}, {"scores": True}], ids=str)
def test_arrays_are_the_pixels_of_the_png(
    wish: dict[str, Any], name: str, how: dict[str, Any], jail: bool, draw: Draw, take: Take
) -> None:
    clip = draw(name, **how)
    plan = HALF_SECONDS | wish
    archive = take(clip, plan | {"format": "png"}, jail=False)

    arrays = list(fotograma.frames(clip.path, fotograma.Plan.from_json(plan), jail=jail))

    assert [frame.index for frame in arrays] == archive.indexes == [0, 12, 25, 37]
    assert [float(frame.time_seconds) for frame in arrays] == archive.times
    assert [frame.key_frame for frame in arrays] == [row["key_frame"] for row in archive.frames]
    assert [frame.pts for frame in arrays] == [row["pts"] for row in archive.frames]
    for frame, pixels in zip(arrays, archive.pictures, strict=True):
        # The file reader gives blue first.
        assert np.array_equal(frame.array, pixels[..., ::-1])
        assert frame.array.dtype == np.uint8
        assert not frame.array.flags.writeable


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_arrays_are_red_green_blue_without_transparency(kind: str, tmp_path: Path) -> None:
    told = Colors()
    codes = [(*told.codes((0.9, 0.2, 0.1)), 128)] * 3
    clip = write_clip(tmp_path / "a.mkv", [flat(codes, "yuva420p")], tags={"colorspace": 1, "color_range": LIMITED})
    plan = fotograma.Plan.from_json({"mode": "all", "format": kind})

    [frame] = fotograma.frames(clip, plan)

    assert frame.array.shape == (32, 96, 3)
    assert frame.array[16, 48].tolist() == pytest.approx([230, 51, 26], abs=3)


def test_arrays_come_as_they_are_decoded(draw: Draw) -> None:
    clip = draw("long.mp4", frames=500, gop=50)

    with nothing_left_behind():
        first = fotograma.frames(clip.path, fotograma.Plan.from_json({"mode": "all"}))
        assert next(iter(first)).time_seconds == Fraction(0)
        first.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("jail", [True, False])
def test_progress_tells_each_frame(jail: bool, draw: Draw) -> None:
    told: list[fotograma.Progress] = []
    plan = fotograma.Plan.from_json(HALF_SECONDS)

    fotograma.extract(draw("a.mp4").path, plan, sink=lambda _: None, progress=told.append, jail=jail)

    assert told == [fotograma.Progress(done, 4) for done in (1, 2, 3, 4)]


def test_progress_knows_no_total_where_pictures_choose(draw: Draw) -> None:
    told: list[fotograma.Progress] = []
    plan = fotograma.Plan.from_json({"mode": "best", "seconds": 1})

    fotograma.extract(draw("a.mp4").path, plan, sink=lambda _: None, progress=told.append)

    assert told == [fotograma.Progress(done, None) for done in (1, 2)]


def test_an_error_in_progress_ends_the_work(draw: Draw, tmp_path: Path) -> None:
    def stop(_: fotograma.Progress) -> None:
        raise KeyboardInterrupt

    plan = fotograma.Plan.from_json({"mode": "all"})
    with nothing_left_behind(), pytest.raises(KeyboardInterrupt):
        fotograma.extract(draw("a.mp4").path, plan, sink=tmp_path / "a.zip", progress=stop)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("jail", [True, False])
@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_nothing_is_printed_and_nothing_is_left(
    name: str, jail: bool, draw: Draw, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = draw(name, **({"codec": "mpeg4"} if name == "a.avi" else {}))
    plan = fotograma.Plan.from_json(HALF_SECONDS | {"scores": True})
    fotograma.extract(clip.path, plan, sink=lambda _: None, jail=jail)
    capfd.readouterr()

    with nothing_left_behind():
        for _ in range(3):
            fotograma.extract(clip.path, plan, sink=lambda _: None, jail=jail)
            assert len(list(fotograma.frames(clip.path, plan, jail=jail))) == 4
            fotograma.probe(clip.path, jail=jail)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("jail", [True, False])
def test_damage_is_told_in_the_summary_and_not_on_the_screen(
    jail: bool, draw: Draw, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(draw("a.ts").path.read_bytes())
    rng = np.random.default_rng(3)
    for place in rng.integers(4000, len(data), 200):
        data[place] ^= 0xFF
    path = tmp_path / "damaged.ts"
    path.write_bytes(data)
    plan = fotograma.Plan.from_json({"mode": "all"})

    with nothing_left_behind():
        summary = fotograma.extract(path, plan, sink=lambda _: None, jail=jail)

    assert summary.warnings
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("jail", [True, False])
def test_a_reader_serves_every_call(jail: bool, draw: Draw, take: Take) -> None:
    clip = draw("a.mp4")
    remote = Remote(clip.path.read_bytes())
    plan = fotograma.Plan.from_json(HALF_SECONDS)
    archive = take(clip, HALF_SECONDS | {"format": "png"}, jail=False)

    with nothing_left_behind():
        facts = fotograma.probe(remote, jail=jail)
        arrays = [frame.array for frame in fotograma.frames(remote, plan, jail=jail)]
        summary = fotograma.extract(remote, plan, sink=lambda _: None, jail=jail, name="remote.mp4")

    assert facts.media["frames"] == 50
    assert all(np.array_equal(array, pixels[..., ::-1]) for array, pixels in zip(arrays, archive.pictures, strict=True))
    assert (summary.frames, summary.source["name"], summary.source["bytes"]) == (4, "remote.mp4", remote.size)


def test_of_a_long_video_a_reader_gives_only_what_is_needed(draw: Draw) -> None:
    noisy = write_clip(
        draw("a.mp4").path.with_name("noise.mov"),
        [np.random.default_rng(number).integers(0, 256, (240, 320, 3)).astype(np.uint8) for number in range(150)],
        codec="mjpeg",
        pixel_format="yuvj420p",
        options={"qmin": "1", "qmax": "2"},
    )
    whole = Remote(noisy.read_bytes())
    part = Remote(noisy.read_bytes())

    list(fotograma.frames(whole, fotograma.Plan.from_json({"mode": "all"})))
    list(fotograma.frames(part, fotograma.Plan.from_json({"mode": "at", "seconds": [3]})))

    assert part.bytes_read < whole.bytes_read / 2


def test_a_descriptor_stays_its_owners(draw: Draw) -> None:
    plan = fotograma.Plan.from_json(HALF_SECONDS)
    with draw("a.mp4").path.open("rb") as file:
        file.seek(7)
        with nothing_left_behind():
            assert len(list(fotograma.frames(file.fileno(), plan))) == 4
        assert file.tell() == 7


def test_errors_are_of_one_kind(tmp_path: Path) -> None:
    path = tmp_path / "letter.mp4"
    path.write_text("Dear video,\n" * 50)

    for jail in (True, False):
        with pytest.raises(fotograma.FotogramaError) as refused:
            fotograma.probe(path, jail=jail)
        assert refused.value.code.name == "NOT_A_VIDEO"


def test_public_names_are_sorted_and_there() -> None:
    assert list(fotograma.__all__) == sorted(fotograma.__all__)
    for name in fotograma.__all__:
        assert getattr(fotograma, name).__doc__
    with pytest.raises(AttributeError, match="nothing_such"):
        fotograma.nothing_such  # noqa: B018


def loaded_by(script: str) -> set[str]:
    """The top-level modules that a program has loaded at its end."""
    told = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(fotograma.__file__).parents[1],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    return set(told.stdout.split())


@pytest.mark.parametrize(
    "script",
    ["import fotograma", "import fotograma; fotograma.Plan, fotograma.Limits", "import fotograma; fotograma.extract"],
)
def test_importing_loads_no_decoder(script: str) -> None:
    assert not {"av", "cv2", "numpy", "simplejpeg", "typer", "rich"} & loaded_by(script)


def test_the_jails_parent_never_loads_a_decoder(draw: Draw) -> None:
    script = (
        "import fotograma, pathlib\n"
        f"fotograma.extract(pathlib.Path({str(draw('a.mp4').path)!r}), "
        "fotograma.Plan.from_json({'mode': 'every', 'seconds': 1, 'scores': True}), sink=lambda _: None)"
    )

    assert not {"av", "cv2", "numpy", "simplejpeg"} & loaded_by(script)
