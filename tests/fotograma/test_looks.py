"""What pictures tell: scenes, the sharpest, repeats, scores; the same whichever way the frames are decoded."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.clips import Pixels
from tests.fotograma.conftest import Archive, Take
from tests.pictures import FULL, flat, write_clip

SIZE = (160, 96)
# Where each picture has its time, only what is needed is decoded; AVI has no times, so all is.
SPARSE, LINEAR = "clip.mkv", "clip.avi"
both_paths = pytest.mark.parametrize("name", [SPARSE, LINEAR], ids=["sparse", "linear"])

Draw = Callable[..., Path]


def texture(seed: int, *, blur: float = 0, light: int = 0) -> Pixels:
    """A picture of its own for each seed."""
    noise = np.random.default_rng(seed).integers(40, 216, (12, 20, 3)).astype(np.uint8)
    # Colours of their own, too: pictures of noise alone have all much the same hue and brightness.
    noise[..., seed % 3] //= 3
    painted = cv2.resize(noise, SIZE, interpolation=cv2.INTER_NEAREST)
    if blur:
        painted = cv2.GaussianBlur(painted, (0, 0), blur)
    return np.asarray(np.clip(painted.astype(int) + light, 0, 255), np.uint8)


def fine(seed: int, *, blur: float = 0) -> Pixels:
    """A picture of details one pixel large."""
    noise = np.random.default_rng(seed).integers(40, 216, (SIZE[1], SIZE[0])).astype(np.uint8)
    painted = cv2.GaussianBlur(noise, (0, 0), blur) if blur else noise
    return np.repeat(np.asarray(painted, np.uint8)[..., None], 3, axis=2)


def plain(level: int) -> av.VideoFrame:
    """Grey without a trace of colour."""
    return flat([(level, 128, 128)] * 5, "yuvj420p", height=SIZE[1])


@pytest.fixture
def draw_pictures(tmp_path: Path) -> Draw:
    """A clip of these pictures, each a key frame; the container says which way it is decoded."""

    def draw_pictures(name: str, pictures: Sequence[Pixels | av.VideoFrame], **how: Any) -> Path:
        quality = {"qmin": "1", "qmax": "2"}
        how = {"codec": "mjpeg", "pixel_format": "yuvj420p", "options": quality} | how
        return write_clip(tmp_path / name, pictures, **how)

    return draw_pictures


def path_taken(archive: Archive) -> str:
    path: str = archive.manifest["engine"]["path"]
    return path


def scores(archive: Archive, name: str) -> list[float]:
    return [row["scores"][name] for row in archive.frames]


@both_paths
@pytest.mark.parametrize("jail", [True, False])
def test_each_scene_gives_its_first_frame(name: str, jail: bool, draw_pictures: Draw, take: Take) -> None:
    lengths = [20, 16, 30, 25]
    clip = draw_pictures(name, [texture(scene) for scene, length in enumerate(lengths) for _ in range(length)])

    archive = take(clip, {"mode": "scenes"}, jail=jail)

    assert archive.indexes == [0, 20, 36, 66]
    assert path_taken(archive) == ("sparse" if name == SPARSE else "linear")


@both_paths
def test_a_flash_is_no_scene(name: str, draw_pictures: Draw, take: Take) -> None:
    pictures = [texture(1)] * 30 + [plain(255)] * 2 + [texture(1)] * 30
    clip = draw_pictures(name, pictures)

    # The flash itself begins after more than 0.6 s; what comes back 0.08 s later is no new scene.
    assert take(clip, {"mode": "scenes"}, jail=False).indexes == [0, 30]
    # With its beginning less than 0.6 s after the first frame, it is none either.
    assert take(clip, {"mode": "scenes", "start": 0.8}, jail=False).indexes == [20]


def test_cuts_may_be_as_near_as_six_tenths(draw_pictures: Draw, take: Take) -> None:
    clip = draw_pictures(SPARSE, [texture(number // 15) for number in range(60)])
    nearer = draw_pictures("nearer.mkv", [texture(number // 14) for number in range(60)])

    assert take(clip, {"mode": "scenes"}, jail=False).indexes == [0, 15, 30, 45]
    assert take(nearer, {"mode": "scenes"}, jail=False).indexes == [0, 28, 56]


@both_paths
def test_the_threshold_tells_how_unlike_scenes_must_be(name: str, draw_pictures: Draw, take: Take) -> None:
    # Grey has no hue and no saturation: a third of the step in brightness is the difference.
    clip = draw_pictures(name, [plain(level) for level in (20, 80, 230) for _ in range(20)])

    assert take(clip, {"mode": "scenes", "threshold": 15}, jail=False).indexes == [0, 20, 40]
    assert take(clip, {"mode": "scenes"}, jail=False).indexes == [0, 40]
    assert take(clip, {"mode": "scenes", "threshold": 60}, jail=False).indexes == [0]


@both_paths
@pytest.mark.parametrize("jail", [True, False])
def test_the_sharpest_of_each_interval_is_taken(name: str, jail: bool, draw_pictures: Draw, take: Take) -> None:
    sharp = {3, 17, 20, 39}
    clip = draw_pictures(name, [texture(1, blur=0 if number in sharp else 2 + number % 3) for number in range(40)])

    archive = take(clip, {"mode": "best", "seconds": 0.4}, jail=jail)

    assert archive.indexes == [3, 17, 20, 39]


@both_paths
def test_of_equally_sharp_frames_the_earlier_is_taken(name: str, draw_pictures: Draw, take: Take) -> None:
    sharp = {4, 7, 12, 13}
    clip = draw_pictures(name, [texture(1, blur=0 if number in sharp else 3) for number in range(20)])

    assert take(clip, {"mode": "best", "seconds": 0.4}, jail=False).indexes == [4, 12]


def test_intervals_count_from_the_start(draw_pictures: Draw, take: Take) -> None:
    sharp = {2, 9, 14, 22}
    clip = draw_pictures(SPARSE, [texture(1, blur=0 if number in sharp else 3) for number in range(30)])

    # From frame 5 on: 5 to 14, 15 to 24 and 25 to the end.
    assert take(clip, {"mode": "best", "seconds": 0.4, "start": 0.2}, jail=False).indexes == [9, 22, 25]


@both_paths
@pytest.mark.parametrize("jail", [True, False])
def test_repeats_are_dropped(name: str, jail: bool, draw_pictures: Draw, take: Take) -> None:
    clip = draw_pictures(name, [texture(seed) for seed in (1, 1, 1, 2, 2, 1, 1, 3)])

    archive = take(clip, {"mode": "all", "dedupe": 8}, jail=jail)

    # A picture that comes back later is a repeat only of the one kept last.
    assert archive.indexes == [0, 3, 5, 7]


def test_a_little_lighter_is_a_repeat(draw_pictures: Draw, take: Take) -> None:
    clip = draw_pictures(SPARSE, [texture(1), texture(1, light=15), texture(1, blur=1), texture(2)])

    assert take(clip, {"mode": "all", "dedupe": 10}, jail=False).indexes == [0, 3]


@both_paths
@pytest.mark.parametrize(
    ("plan", "indexes"),
    [
        ({"mode": "all", "dedupe": 8, "limit": 2}, [0, 15]),
        ({"mode": "scenes", "limit": 3}, [0, 15, 30]),
        ({"mode": "scenes", "limit": 1}, [0]),
        ({"mode": "best", "seconds": 0.6, "limit": 2}, [0, 15]),
        ({"mode": "every", "seconds": 0.2, "dedupe": 8, "limit": 3}, [0, 15, 30]),
    ],
)
def test_the_limit_counts_what_is_left_over(
    name: str, plan: dict[str, Any], indexes: list[int], draw_pictures: Draw, take: Take
) -> None:
    clip = draw_pictures(name, [texture(number // 15) for number in range(60)])

    assert take(clip, plan, jail=False).indexes == indexes


@both_paths
def test_one_frame_is_a_limit_too(name: str, draw_pictures: Draw, take: Take) -> None:
    clip = draw_pictures(name, [texture(number) for number in range(5)])

    assert take(clip, {"mode": "all", "limit": 1}, jail=False).indexes == [0]


@both_paths
@pytest.mark.parametrize("jail", [True, False])
def test_sharpness_falls_with_blur(name: str, jail: bool, draw_pictures: Draw, take: Take) -> None:
    clip = draw_pictures(name, [fine(1, blur=blur) for blur in (0, 0.7, 1.2, 2, 4)])

    told = scores(take(clip, {"mode": "all", "scores": True}, jail=jail), "sharpness")

    assert told == sorted(set(told), reverse=True)
    assert told[0] > 10 * told[-1]


def test_sharpness_is_the_variance_of_the_laplacian_at_640(tmp_path: Path, take: Take) -> None:
    small = np.random.default_rng(5).integers(0, 256, (48, 80)).astype(np.uint8)
    luma = np.asarray(cv2.resize(small, (640, 384), interpolation=cv2.INTER_CUBIC), np.uint8)
    picture = av.VideoFrame.from_ndarray(luma, format="gray")
    clip = write_clip(tmp_path / "a.mkv", [picture], tags={"color_range": FULL})

    [told] = scores(take(clip, {"mode": "all", "scores": True}, jail=False), "sharpness")

    assert told == pytest.approx(float(cv2.Laplacian(luma, cv2.CV_64F).var()), rel=0.001)


@both_paths
def test_brightness_is_the_mean_luma(name: str, draw_pictures: Draw, take: Take) -> None:
    levels = [0, 64, 128, 200, 255]
    clip = draw_pictures(name, [plain(level) for level in levels])

    assert scores(take(clip, {"mode": "all", "scores": True}, jail=False), "brightness") == pytest.approx(levels, abs=2)


def test_brightness_counts_from_black_to_white_where_the_range_is_limited(draw_pictures: Draw, take: Take) -> None:
    levels = [0, 64, 128, 200, 255]
    how = {"codec": "libx264", "pixel_format": "yuv420p", "options": {"qp": "1"}}
    clip = draw_pictures("limited.mp4", [plain(level) for level in levels], **how)

    assert scores(take(clip, {"mode": "all", "scores": True}, jail=False), "brightness") == pytest.approx(levels, abs=3)


@both_paths
def test_a_still_differs_in_nothing(name: str, draw_pictures: Draw, take: Take) -> None:
    clip = draw_pictures(name, [texture(1)] * 6)

    assert scores(take(clip, {"mode": "all", "scores": True}, jail=False), "difference") == [0] * 6


@both_paths
def test_the_difference_is_that_to_the_frame_before_in_the_video(name: str, draw_pictures: Draw, take: Take) -> None:
    clip = draw_pictures(name, [plain(level) for level in (10, 40, 40, 130, 130, 10)])

    everything = take(clip, {"mode": "all", "scores": True}, jail=False)
    thirds = take(clip, {"mode": "every_nth", "n": 3, "scores": True}, jail=False)

    # Of hue, saturation and value only the last differs.
    assert scores(everything, "difference") == pytest.approx([0, 10, 0, 30, 0, 40], abs=1)
    assert scores(thirds, "difference") == [scores(everything, "difference")[index] for index in (0, 3)]


PLANS: list[dict[str, Any]] = [
    {"mode": "scenes", "scores": True},
    {"mode": "scenes", "start": 0.3, "end": 2, "threshold": 10, "scores": True},
    {"mode": "best", "seconds": 0.3, "scores": True},
    {"mode": "best", "seconds": 0.3, "start": 0.5, "end": 1.7, "limit": 2},
    {"mode": "all", "dedupe": 12, "scores": True},
    {"mode": "every", "seconds": 0.25, "dedupe": 3, "limit": 5, "scores": True},
    {"mode": "every_nth", "n": 7, "scores": True},
    {"mode": "count", "n": 6, "scores": True, "checksums": True},
]


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_jail_and_path_change_nothing(plan: dict[str, Any], draw_pictures: Draw, take: Take) -> None:
    pictures = [texture(number // 18, blur=number % 4, light=number % 5) for number in range(70)]
    clips = [draw_pictures(name, pictures) for name in (SPARSE, LINEAR)]

    archives = [take(clip, plan, jail=jail) for clip in clips for jail in (True, False)]

    assert [path_taken(archive) for archive in archives] == ["sparse", "sparse", "linear", "linear"]
    assert archives[0].data == archives[1].data
    assert archives[2].data == archives[3].data
    told = [
        [{key: row.get(key) for key in ("index", "time_seconds", "sha256", "scores", "md5")} for row in archive.frames]
        for archive in archives
    ]
    assert told[0] == told[2]
    assert told[0]
