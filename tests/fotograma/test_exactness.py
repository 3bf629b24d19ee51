"""Whatever the container, the codec and the plan: the frames are those that the rule wants of a full linear decode."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from fotograma.plan import Plan
from tests.broken_clips import edit_start
from tests.clips import draw_clip, read_number
from tests.fotograma.conftest import Draw, Take
from tests.selection_rule import wanted

UNEVEN = [0, 0.04, 0.5, 0.52, 0.56, 1, 1.01, 1.3, 2, 2.04, 2.08, 3.5, 3.54]
OPEN_GOP = {"x264-params": "open-gop=1:keyint=12:min-keyint=12"}
OPEN_GOP_HEVC = {"x265-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:scenecut=0:b-adapt=0:log-level=none"}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}

CLIPS: dict[str, dict[str, Any]] = {
    "b_frames.mp4": {},
    "index_first.mp4": {"container_options": {"movflags": "faststart"}},
    "plain.mov": {"b_frames": 0},
    "deep_b_frames.mkv": {"b_frames": 7, "gop": 40, "frames": 120},
    "one_gop.mp4": {"gop": 1000, "frames": 120},
    "open_gop.mp4": {"options": OPEN_GOP, "frames": 120},
    "long.mp4": {"gop": 50, "frames": 500},
    "hevc.mp4": {"codec": "libx265"},
    "hevc_open_gop.mkv": {"codec": "libx265", "options": OPEN_GOP_HEVC, "frames": 120},
    "av1.mp4": {"codec": "libsvtav1"},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg2.ts": {"codec": "mpeg2video"},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "mjpeg.avi": {"codec": "mjpeg"},
    "prores.mov": {"codec": "prores_ks"},
    "ffv1.mkv": {"codec": "ffv1"},
    "huffyuv.avi": {"codec": "huffyuv"},
    "wmv.asf": {"codec": "wmv2"},
    "flv1.flv": {"codec": "flv"},
    "h264.flv": {},
    "h264.ts": {},
    "raw.h264": {},
    "raw.hevc": {"codec": "libx265"},
    "moving.gif": {"codec": "gif"},
    "moving.apng": {"codec": "apng"},
    "fragmented.mp4": {"container_options": FRAGMENTED},
    "no_index.mkv": {"container_options": {"live": "1"}},
    "sound.mp4": {"audio": True},
    "ntsc.mp4": {"rate": Fraction(30000, 1001)},
    "slow.mkv": {"rate": Fraction(1, 3), "frames": 12},
    "uneven.mp4": {"times": UNEVEN},
    "uneven.mkv": {"times": UNEVEN},
    "gap.mkv": {"times": [0, 0.04, 0.08, 40, 40.04]},
    "late.ts": {"start": 43_000},
    "late.mkv": {"start": 12.5},
    "ten_bits.mp4": {"pixel_format": "yuv420p10le"},
    "hevc_ten_bits.mp4": {"codec": "libx265", "pixel_format": "yuv420p10le"},
    "odd.mkv": {"codec": "ffv1", "size": (161, 97), "pixel_format": "yuv444p"},
    "rgb.mkv": {"codec": "ffv1", "pixel_format": "bgr0"},
    "one_frame.mp4": {"frames": 1},
}

PLANS: list[dict[str, Any]] = [
    {"mode": "every", "seconds": 1},
    {"mode": "every", "seconds": 0.07},
    {"mode": "every", "seconds": "1/3", "start": 0.5, "end": 1.9},
    {"mode": "every", "seconds": 0.5, "limit": 2},
    {"mode": "every", "seconds": 0.3, "snap": "keyframe"},
    {"mode": "every_nth", "n": 7},
    {"mode": "count", "n": 5},
    {"mode": "count", "n": 3, "start": 0.1, "end": 1},
    {"mode": "at", "seconds": [0, 0.03, 0.9, 1.23, 1.95]},
    {"mode": "keyframes"},
    {"mode": "all", "start": 0.5, "end": 0.8},
]

every_clip = pytest.mark.parametrize("name", CLIPS)


@dataclass(frozen=True)
class Reference:
    """A full linear decode by nothing but PyAV."""

    times: list[Fraction]
    key_frames: list[bool]
    numbers: list[int]
    end: Fraction


def linear_decode(path: Path, *, rate: Fraction) -> Reference:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        frames = list(container.decode(stream))
        numbers = [read_number(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)) for frame in frames]
        if container.format.name in ("avi", "h264", "hevc"):
            # These hold no presentation times: frames follow each other at the rate.
            times = [index / rate for index in range(len(frames))]
            last = 1 / rate
        else:
            assert stream.time_base is not None
            ticks = [frame.pts or 0 for frame in frames]
            times = [(tick - ticks[0]) * stream.time_base for tick in ticks]
            last = (frames[-1].duration or 0) * stream.time_base or 1 / rate
        return Reference(times, [bool(frame.key_frame) for frame in frames], numbers, times[-1] + last)


@every_clip
def test_each_frame_is_there_once_and_at_its_time(name: str, draw: Draw, take: Take) -> None:
    clip = draw(name, **CLIPS[name])

    archive = take(clip, {"mode": "all"})

    assert archive.numbers == list(range(clip.frames))
    assert archive.indexes == list(range(clip.frames))
    # Matroska and FLV round to milliseconds, GIF to hundredths.
    assert archive.times == pytest.approx([float(time) for time in clip.times], abs=0.0051 if "gif" in name else 0.0011)
    # A bare stream has no times at all.
    assert archive.warnings == (["MISSING_TIMES"] if name.startswith("raw.") else [])


@every_clip
def test_each_plan_takes_what_the_rule_wants(name: str, draw: Draw, take: Take) -> None:
    clip = draw(name, **CLIPS[name])
    reference = linear_decode(clip.path, rate=Fraction(CLIPS[name].get("rate", 25)))
    wrong = {}
    for values in PLANS:
        plan = Plan.from_json(values)
        expected = wanted(plan, reference.times, reference.key_frames, end=reference.end)
        if not expected:
            continue
        archive = take(clip, values, jail=False)
        got = list(zip(archive.numbers, [row["targets"] for row in archive.frames], strict=True))
        right = [(reference.numbers[index], [round(float(t), 6) for t in targets]) for index, targets in expected]
        if [(number, [round(float(Fraction(t)), 6) for t in targets]) for number, targets in got] != right:
            wrong[str(values)] = {"got": got, "wanted": right}

    assert wrong == {}


@pytest.mark.parametrize(
    "name", ["b_frames.mp4", "open_gop.mp4", "long.mp4", "hevc_open_gop.mkv", "mpeg2.ts", "vp9.webm"]
)
def test_a_frame_taken_alone_is_that_of_the_full_decode(name: str, draw: Draw, take: Take) -> None:
    clip = draw(name, **CLIPS[name])
    whole = take(clip, {"mode": "all", "checksums": True}, jail=False).frames

    for row in whole[:: max(1, len(whole) // 12)]:
        [alone] = take(clip, {"mode": "at", "seconds": [row["time_seconds"]], "checksums": True}, jail=False).frames
        assert (alone["pts"], alone["md5"], alone["sha256"]) == (row["pts"], row["md5"], row["sha256"])


@pytest.mark.parametrize(
    "name",
    ["b_frames.mp4", "hevc.mp4", "vp9.webm", "ffv1.mkv", "ten_bits.mp4", "odd.mkv", "mpeg2.ts", "av1.mp4", "rgb.mkv"],
)
def test_checksums_are_those_of_ffmpeg(name: str, draw: Draw, take: Take, second_opinion: Callable[[str], str]) -> None:
    clip = draw(name, **CLIPS[name])
    command = [second_opinion("ffmpeg"), "-v", "error", "-noautorotate", "-i", str(clip.path)]
    told = subprocess.run(
        [*command, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [line.split(",")[-1].strip() for line in told.stdout.splitlines() if not line.startswith("#")]

    archive = take(clip, {"mode": "all", "checksums": True}, jail=False)

    assert [row["md5"] for row in archive.frames] == expected


@pytest.mark.parametrize(
    "name", ["b_frames.mp4", "uneven.mp4", "uneven.mkv", "late.ts", "h264.flv", "ntsc.mp4", "gap.mkv"]
)
def test_times_are_those_of_ffprobe(name: str, draw: Draw, take: Take, second_opinion: Callable[[str], str]) -> None:
    clip = draw(name, **CLIPS[name])
    command = [second_opinion("ffprobe"), "-v", "error", "-select_streams", "v", "-of", "json"]
    told = subprocess.run(
        [*command, "-show_entries", "frame=best_effort_timestamp_time", str(clip.path)],
        capture_output=True,
        check=True,
    )
    clock = [float(frame["best_effort_timestamp_time"]) for frame in json.loads(told.stdout)["frames"]]

    archive = take(clip, {"mode": "all"}, jail=False)

    assert archive.times == pytest.approx([time - clock[0] for time in clock], abs=2e-5)


def test_what_an_edit_list_leaves_out_is_no_frame(tmp_path: Path, take: Take) -> None:
    clip = draw_clip(tmp_path / "edited.mp4", b_frames=2)
    # B-frames begin two frames late by the track's clock, which has 512 ticks for each; so the edit begins at frame 20.
    edit_start(clip.path, media_time=512 * (2 + 20))

    archive = take(clip, {"mode": "every", "seconds": 0.2})

    assert archive.numbers == [20, 25, 30, 35, 40, 45]
    assert archive.times == [0, 0.2, 0.4, 0.6, 0.8, 1]


def test_what_lies_before_zero_is_left_out_by_the_edit_list(draw: Draw, take: Take) -> None:
    clip = draw("early.mp4", start=-1, container_options={"avoid_negative_ts": "disabled"})

    archive = take(clip, {"mode": "all"})

    assert archive.numbers == list(range(25, 50))
    assert archive.times[:2] == [0, 0.04]
