"""The fast path gives what decoding everything gives, bit for bit, or gives way to it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from fotograma import decoding, linear, sparse
from fotograma.limits import Limits
from fotograma.packets import DISCARD, KEY, PacketIndex
from fotograma.plan import Plan
from fotograma.readers import DescriptorReader
from fotograma.records import Finished, Picture, Warned
from fotograma.spans import Span, is_regular, merged, spans
from fotograma.work import Work
from tests import broken_clips
from tests.clips import Pixels
from tests.fotograma.conftest import Draw, Take
from tests.pictures import write_clip

SIZE = (96, 64)
CONTAINERS = {
    "libx264": ("mp4", "mkv", "ts", "flv"),
    "libx265": ("mp4", "mkv", "ts"),
    "mpeg2video": ("mkv", "ts", "mpg"),
    "libvpx": ("mkv", "ivf"),
    "libvpx-vp9": ("mkv", "mp4", "ivf"),
    "mjpeg": ("mkv", "mov"),
    "prores_ks": ("mov", "mkv"),
}
PIXEL_FORMATS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}
# No presentation times of their own but those of a constant rate.
CONSTANT_RATE = ("mpeg2video",)
PLANS: list[dict[str, Any]] = [
    {"mode": "every", "seconds": 0.25},
    {"mode": "every", "seconds": "1/3", "start": 0.2, "end": 1.7},
    {"mode": "every", "seconds": 0.5, "snap": "keyframe"},
    {"mode": "every", "seconds": 0.1, "limit": 5},
    {"mode": "every_nth", "n": 7},
    {"mode": "every_nth", "n": 2, "start": 0.5},
    {"mode": "count", "n": 6},
    {"mode": "at", "seconds": [0, 0.3, 0.31, 1.1, 99]},
    {"mode": "keyframes"},
    {"mode": "scenes", "threshold": 5, "scores": True},
    {"mode": "best", "seconds": 0.4},
    {"mode": "best", "seconds": 0.4, "limit": 2, "start": 0.3},
    {"mode": "all"},
    {"mode": "all", "dedupe": 6, "limit": 4},
    {"mode": "every_nth", "n": 5, "scores": True, "format": "png", "width": 40},
]


def moving(number: int) -> Pixels:
    """A texture that moves, brightens and now and then changes at once: each picture needs the one before."""
    noise = np.random.default_rng(number // 23).integers(0, 200, (16, 24, 3)).astype(np.uint8)
    painted = np.roll(cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC), (number, 2 * number), axis=(0, 1))
    return np.asarray(np.clip(painted.astype(int) + number % 11, 0, 255), np.uint8)


def draw_moving(
    folder: Path,
    *,
    codec: str,
    container: str,
    frames: int = 60,
    gop: int = 12,
    b_frames: int = 2,
    open_gop: bool = False,
    rate: Fraction = Fraction(25),
    steps: list[int] | None = None,
) -> Path:
    """A clip whose pictures refer to each other; `steps` are milliseconds from picture to picture, taken in turn."""
    options = {}
    if codec == "libx264":
        options = {"x264-params": f"open-gop={int(open_gop)}:keyint={gop}:min-keyint=1:bframes={b_frames}:scenecut=0"}
    elif codec == "libx265":
        structure = f"open-gop={int(open_gop)}:keyint={gop}:min-keyint=1:bframes={b_frames}:b-adapt=0:scenecut=0"
        options = {"x265-params": f"{structure}:log-level=none:pools=none:frame-threads=1"}
    elif codec == "mpeg2video" and not open_gop:
        options = {"flags": "+cgop", "sc_threshold": "1000000000"}
    times = None
    if steps is not None:
        times = [Fraction(sum(steps[at % len(steps)] for at in range(number)), 1000) for number in range(frames)]
    tags = {"gop_size": gop} | ({"max_b_frames": b_frames} if codec in ("libx264", "mpeg2video") else {})
    return write_clip(
        folder / f"clip.{container}",
        [moving(number) for number in range(frames)],
        codec=codec,
        pixel_format=PIXEL_FORMATS.get(codec, "yuv420p"),
        rate=rate,
        times=times,
        options=options,
        tags=tags,
    )


Ask = Callable[..., Work]


@contextmanager
def probed(path: Path) -> Iterator[Ask]:
    """`ask(plan)` is the work that a plan asks of the video."""
    limits = Limits()
    with path.open("rb") as file:
        reader = DescriptorReader(file.fileno())
        found = decoding.probe(reader, limits=limits)

        def ask(plan: dict[str, Any], start_pts: int | None = None, end_pts: int | None = None) -> Work:
            return Work(reader, found, Plan.from_json(plan), limits, start_pts, end_pts)

        yield ask


def split(records: Iterator[Picture | Warned | Finished]) -> tuple[list[Picture], list[Warned], str]:
    pictures: list[Picture] = []
    warnings: list[Warned] = []
    path = ""
    for record in records:
        if isinstance(record, Picture):
            pictures.append(record)
        elif isinstance(record, Warned):
            warnings.append(record)
        else:
            path = record.path
    return pictures, warnings, path


@st.composite
def clips(draw: st.DrawFn, codec: str) -> dict[str, Any]:
    how: dict[str, Any] = {"codec": codec, "container": draw(st.sampled_from(CONTAINERS[codec]))}
    how["frames"] = draw(st.integers(20, 90))
    how["gop"] = draw(st.integers(1, 40))
    how["b_frames"] = draw(st.integers(0, 4))
    how["open_gop"] = draw(st.booleans())
    if codec in CONSTANT_RATE or draw(st.booleans()):
        rates = [Fraction(25), Fraction(30), Fraction(24000, 1001), Fraction(60)]
        how["rate"] = draw(st.sampled_from(rates))
    else:
        how["steps"] = draw(st.lists(st.integers(10, 120), min_size=2, max_size=7))
    return how


@pytest.mark.parametrize("codec", CONTAINERS)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), plans=st.lists(st.sampled_from(PLANS), min_size=2, max_size=3, unique_by=str))
def test_both_paths_give_the_same_bits(
    codec: str, data: st.DataObject, plans: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    how = data.draw(clips(codec))
    path = draw_moving(tmp_path_factory.mktemp("drawn"), **how)
    with probed(path) as ask:
        for plan in plans:
            work = ask(plan | {"checksums": True})
            fast, fast_warnings, way = split(decoding.pictures(work))
            slow, slow_warnings, _ = split(linear.pictures(work, skip=0))
            event(f"{how['codec']} in {how['container']}: {way}")

            assert fast == slow
            assert fast_warnings == slow_warnings
    path.unlink()


REGULAR: list[dict[str, Any]] = [
    {"codec": "libx264", "container": "mp4"},
    {"codec": "libx264", "container": "mkv", "open_gop": True},
    {"codec": "libx264", "container": "mp4", "b_frames": 0, "steps": [20, 70, 33]},
    {"codec": "libx264", "container": "ts"},
    {"codec": "libx264", "container": "flv"},
    {"codec": "libx265", "container": "mp4", "open_gop": True},
    {"codec": "libx265", "container": "mkv"},
    {"codec": "mpeg2video", "container": "mkv"},
    {"codec": "libvpx", "container": "mkv"},
    {"codec": "libvpx-vp9", "container": "mp4"},
    {"codec": "mjpeg", "container": "mov"},
    {"codec": "prores_ks", "container": "mov"},
]


def named(how: dict[str, Any]) -> str:
    return " ".join(str(value) for value in how.values())


@pytest.mark.parametrize("how", REGULAR, ids=named)
def test_parts_cut_at_key_frames_are_the_whole(how: dict[str, Any], tmp_path: Path) -> None:
    path = draw_moving(tmp_path, **how)
    with probed(path) as ask:
        timeline = ask({"mode": "all"}).timeline
        keys = [
            timeline.first_pts + ticks
            for ticks, key in zip(timeline.ticks, timeline.key_frames, strict=True)
            if key and ticks
        ]
        cuts = [None, *keys[:: max(1, len(keys) // 4)], None]
        for plan in PLANS:
            if not {"limit", "dedupe", "threshold"} & set(plan) and plan["mode"] != "best":
                whole, _, way = split(decoding.pictures(ask(plan | {"checksums": True})))
                parts = [
                    split(decoding.pictures(ask(plan | {"checksums": True}, start, end)))
                    for start, end in pairwise(cuts)
                ]

                assert way == "sparse"
                assert [picture for pictures, _, _ in parts for picture in pictures] == whole


@pytest.mark.parametrize("jail", [True, False])
@pytest.mark.parametrize("how", REGULAR, ids=named)
def test_regular_files_take_the_fast_path(how: dict[str, Any], jail: bool, tmp_path: Path, take: Take) -> None:
    path = draw_moving(tmp_path, **how)

    assert take(path, {"mode": "every", "seconds": 0.5}, jail=jail).manifest["engine"]["path"] == "sparse"


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.avi", {"codec": "mpeg4"}),
        ("raw.h264", {}),
        ("a.mkv", {"codec": "ffv1"}),
        ("a.gif", {"codec": "gif"}),
        ("a.asf", {"codec": "wmv2"}),
    ],
)
@pytest.mark.parametrize("jail", [True, False])
def test_other_files_are_decoded_whole(name: str, how: dict[str, Any], jail: bool, draw: Draw, take: Take) -> None:
    clip = draw(name, **how)

    assert take(clip, {"mode": "every", "seconds": 0.5}, jail=jail).manifest["engine"]["path"] == "linear"


def index_of(*packets: tuple[int, int]) -> PacketIndex:
    """Packets of time and flags, in the order of the file."""
    index = PacketIndex(Fraction(1, 25))
    for number, (pts, flags) in enumerate(packets):
        index.add(pts=pts, dts=number, duration=1, size=9, position=9 * number, flags=flags)
    return index


# I0 P3 B1 B2 | I6 B4 B5 P9 B7 B8: 4 and 5 are shown before the key frame that they follow.
OPEN = index_of((0, KEY), (3, 0), (1, 0), (2, 0), (6, KEY), (4, 0), (5, 0), (9, 0), (7, 0), (8, 0))


def test_a_span_reaches_from_the_key_frame_to_the_last_wanted_packet() -> None:
    assert spans(OPEN, [2]) == [Span(0, 2, (2,))]
    assert spans(OPEN, [1]) == [Span(0, 1, (1,))]
    assert spans(OPEN, [7, 8]) == [Span(4, 8, (8, 7))]
    assert spans(OPEN, [4]) == [Span(4, 4, (4,))]


def test_leading_pictures_belong_to_the_key_frame_before() -> None:
    assert spans(OPEN, [5]) == [Span(0, 5, (5,))]
    assert spans(OPEN, [6, 4, 3]) == [Span(0, 6, (3, 6)), Span(4, 4, (4,))]


def test_wanted_frames_are_told_in_the_order_in_which_they_are_shown() -> None:
    assert spans(OPEN, [1, 2, 3]) == [Span(0, 3, (2, 3, 1))]


def test_nothing_wanted_is_no_span() -> None:
    assert spans(OPEN, []) == []


def test_gops_without_a_wanted_frame_are_skipped() -> None:
    index = index_of(*((number, KEY * (number % 5 == 0)) for number in range(50)))

    assert spans(index, [7, 31]) == [Span(5, 7, (7,)), Span(30, 31, (31,))]


def test_neighbours_become_one_up_to_so_many_frames() -> None:
    every = [Span(number, number, (number,)) for number in range(5)]

    assert merged(every, most_wanted=2) == [Span(0, 1, (0, 1)), Span(2, 3, (2, 3)), Span(4, 4, (4,))]
    assert merged([every[0], every[2]], most_wanted=8) == [every[0], every[2]]


@pytest.mark.parametrize(
    ("packets", "regular"),
    [
        ([(0, KEY), (1, 0), (2, 0)], True),
        ([(0, 0), (1, KEY)], False),
        ([(0, KEY), (1, 0), (1, 0)], False),
        ([(0, KEY), (1, 0), (5, KEY), (4, 0), (3, KEY)], False),
        ([(0, KEY | DISCARD), (1, 0)], True),
        ([(0, KEY), (1, 1 << 6)], False),
        ([(0, KEY), *((number, 0) for number in range(30, 60)), (1, 0)], False),
        ([], False),
    ],
    ids=["plain", "no key frame", "twice the same time", "keys backwards", "discarded", "damaged", "too deep", "empty"],
)
def test_an_index_is_believed_only_where_it_is_regular(packets: list[tuple[int, int]], regular: bool) -> None:
    assert is_regular(index_of(*packets), codec="h264", container="mov") is regular


def test_times_that_turn_back_are_believed_only_of_codecs_that_reorder() -> None:
    assert is_regular(OPEN, codec="h264", container="mov")
    assert not is_regular(OPEN, codec="vp9", container="mov")


@pytest.mark.parametrize("seed", range(3))
def test_damage_that_no_decoder_notices_gives_the_same_bits_too(seed: int, tmp_path: Path) -> None:
    whole = draw_moving(tmp_path, codec="libvpx", container="webm", gop=60)
    flipped = broken_clips.flip_bits(whole, tmp_path / "flipped.webm", flips=4, first=0.3, last=0.8, seed=seed)

    with probed(flipped) as ask:
        fast, _, path = split(sparse.pictures(ask({"mode": "all", "checksums": True})))
        whole_way, _, _ = split(linear.pictures(ask({"mode": "all", "checksums": True}), skip=0))

    assert path == "sparse"
    assert [picture.md5 for picture in fast] == [picture.md5 for picture in whole_way]
