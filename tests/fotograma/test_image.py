"""What is written is what was filmed: colours, sizes, which way is up."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from fotograma.errors import FotogramaError
from fotograma.jail import Jail
from fotograma.limits import Limits
from fotograma.plan import Plan
from fotograma.records import Picture
from tests.clips import Pixels, turn
from tests.fotograma.conftest import Archive, Draw, Take, decode_picture
from tests.pictures import FULL, LIMITED, PATCH, Colors, Rgb, flat, middles, write_clip

SKIN = (0.78, 0.57, 0.45)
PALETTE: list[Rgb] = [
    (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 0, 0), SKIN, (0.35, 0.22, 0.16), (0.9, 0.9, 0.1), (0.1, 0.6, 0.6),
    *((level / 6, level / 6, level / 6) for level in range(1, 6)),
]  # fmt: skip
FIRST = {"mode": "every_nth", "n": 1000}
MAGIC = {"jpg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n", "webp": b"RIFF", "avif": b"ftypavif"}
# Steps of 0 to 255 that the file may be off: rounding alone, and rounding in two colour spaces with coding between.
NEAR = {"png": 2, "jpg": 4}


def assert_shows(archive: Archive, colors: list[Rgb], *, within: float) -> None:
    [pixels] = archive.pictures
    expected = [[255 * min(max(value, 0), 1) for value in color] for color in colors]

    assert np.abs(np.array(middles(pixels, len(colors))) - expected).max() <= within


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuva420p"])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5, 6, 9], ids=["bt709", "bt470bg", "bt601", "bt2020"])
def test_tagged_colours_are_right(
    matrix: int, full: bool, pixel_format: str, kind: str, tmp_path: Path, take: Take
) -> None:
    told = Colors(matrix, full=full, depth=10 if "10" in pixel_format else 8)
    codes = [told.codes(color) for color in PALETTE]
    opaque = [(*code, 255) for code in codes]
    tags = {"colorspace": matrix, "color_range": FULL if full else LIMITED}
    clip = write_clip(tmp_path / "a.mkv", [flat(opaque, pixel_format)], tags=tags)

    archive = take(clip, FIRST | {"format": kind}, jail=False)

    assert archive.manifest["source"]["pixel_format"] == pixel_format
    assert_shows(archive, [told.color(code) for code in codes], within=NEAR[kind])


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "rawvideo"])
def test_colours_are_right_whatever_the_codec(codec: str, kind: str, tmp_path: Path, take: Take) -> None:
    told = Colors(9)
    codes = [told.codes(color) for color in PALETTE]
    lossless = {"libx264": {"qp": "0"}, "libx265": {"x265-params": "lossless=1:log-level=none"}, "rawvideo": {}}[codec]
    tags = {"colorspace": 9, "color_range": LIMITED}
    clip = write_clip(tmp_path / "a.mkv", [flat(codes, "yuv420p")], codec=codec, options=lossless, tags=tags)

    archive = take(clip, FIRST | {"format": kind}, jail=False)

    assert_shows(archive, [told.color(code) for code in codes], within=NEAR[kind])


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_grey_video_is_grey(full: bool, kind: str, tmp_path: Path, take: Take) -> None:
    told = Colors(full=full)
    levels = [(level / 8,) * 3 for level in range(9)]
    codes = [told.codes((grey, grey, grey)) for grey, _, _ in levels]
    tags = {"color_range": FULL if full else LIMITED}
    clip = write_clip(tmp_path / "a.mkv", [flat(codes, "gray")], tags=tags)

    archive = take(clip, FIRST | {"format": kind}, jail=False)

    assert_shows(archive, [told.color(code) for code in codes], within=NEAR[kind])


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize(
    ("codec", "name", "pixel_format"),
    [("libx264rgb", "a.mp4", "gbrp"), ("rawvideo", "a.mov", "rgb24"), ("libx265", "a.mkv", "gbrp")],
)
def test_rgb_video_keeps_its_values(
    codec: str, name: str, pixel_format: str, kind: str, tmp_path: Path, take: Take
) -> None:
    values = [[round(255 * value) for value in color] for color in PALETTE]
    pixels = np.repeat(np.array([values], np.uint8), PATCH, axis=1).repeat(PATCH, axis=0)
    options = {"libx264rgb": {"qp": "0"}, "libx265": {"x265-params": "lossless=1:log-level=none"}}.get(codec, {})
    form = "rgb24" if codec != "libx265" else "gbrp"
    clip = write_clip(tmp_path / name, [pixels], codec=codec, pixel_format=form, options=options)

    archive = take(clip, FIRST | {"format": kind}, jail=False)

    assert archive.manifest["source"]["pixel_format"] == pixel_format
    # Values that come as they are stay as they are; chroma of a JPEG is coded at half the size.
    assert_shows(archive, PALETTE, within=0.51 if kind == "png" else NEAR["jpg"])


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize(("lines", "matrix"), [(718, 6), (720, 1), (1080, 1)])
def test_untagged_colours_go_by_the_lines(lines: int, matrix: int, kind: str, tmp_path: Path, take: Take) -> None:
    told = Colors(matrix)
    codes = [told.codes(color) for color in PALETTE]
    clip = write_clip(tmp_path / "a.mkv", [flat(codes, "yuv420p", height=lines)])

    archive = take(clip, FIRST | {"format": kind}, jail=False)

    assert archive.manifest["source"]["color"]["matrix"] is None
    assert_shows(archive, [told.color(code) for code in codes], within=NEAR[kind])


@pytest.mark.parametrize("kind", ["png", "webp", "avif"])
def test_transparency_is_kept_where_the_format_has_it(kind: str, tmp_path: Path, take: Take) -> None:
    told = Colors()
    alphas = [0, 64, 128, 255]
    codes = [(*told.codes(SKIN), alpha) for alpha in alphas]
    clip = write_clip(tmp_path / "a.mkv", [flat(codes, "yuva420p")], tags={"colorspace": 1, "color_range": LIMITED})

    archive = take(clip, FIRST | {"format": kind, "quality": 100}, jail=False)

    pixels = cv2.imdecode(np.frombuffer(archive.read(archive.frames[0]["name"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    assert pixels.shape[2] == 4
    seen = [int(pixels[PATCH // 2, PATCH * patch + PATCH // 2, 3]) for patch in range(len(alphas))]
    assert seen == pytest.approx(alphas, abs=2)


def test_transparency_is_dropped_in_a_jpeg(tmp_path: Path, take: Take) -> None:
    told = Colors()
    codes = [(*told.codes(SKIN), alpha) for alpha in (0, 255)]
    clip = write_clip(tmp_path / "a.mkv", [flat(codes, "yuva420p")], tags={"colorspace": 1, "color_range": LIMITED})

    archive = take(clip, FIRST, jail=False)

    assert_shows(archive, [SKIN, SKIN], within=4)


@pytest.mark.parametrize("kind", MAGIC)
def test_a_file_is_what_its_name_says(kind: str, draw: Draw, take: Take) -> None:
    archive = take(draw("a.mp4"), FIRST | {"format": kind})
    [row] = archive.frames
    data = archive.read(row["name"])

    assert row["name"].endswith(f".{kind}")
    assert MAGIC[kind] in data[:16]
    assert (row["width"], row["height"]) == decode_picture(data).shape[1::-1] == (160, 96)
    assert archive.numbers == [0]
    if kind == "webp":
        assert data[8:12] == b"WEBP"
        assert len(data) == 8 + struct.unpack("<I", data[4:8])[0]


@pytest.mark.parametrize("kind", ["jpg", "webp", "avif"])
def test_better_pictures_are_larger_and_nearer(kind: str, tmp_path: Path, take: Take) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (24, 40, 3)).astype(np.uint8)
    painted = np.asarray(cv2.resize(noise, (160, 96), interpolation=cv2.INTER_CUBIC), np.uint8)
    clip = write_clip(tmp_path / "a.mkv", [painted], pixel_format="bgr0")
    sizes, errors = [], []
    for quality in (10, 50, 90):
        archive = take(clip, FIRST | {"format": kind, "quality": quality}, jail=False)
        sizes.append(archive.frames[0]["bytes"])
        errors.append(float(np.abs(archive.pictures[0][..., ::-1].astype(float) - painted).mean()))

    assert sizes == sorted(set(sizes))
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize(
    ("wish", "size"),
    [
        ({"width": 80}, (80, 48)),
        ({"height": 24}, (40, 24)),
        ({"width": 320}, (320, 192)),
        ({"width": 80, "height": 10}, (17, 10)),
        ({"width": 160, "height": 96}, (160, 96)),
        ({"width": 1}, (1, 1)),
        ({"crop": [40, 0, 80, 48], "width": 40}, (40, 24)),
    ],
)
def test_pictures_fit_and_keep_their_aspect(
    wish: dict[str, Any], size: tuple[int, int], draw: Draw, take: Take
) -> None:
    archive = take(draw("a.mp4"), FIRST | wish, jail=False)

    assert (archive.frames[0]["width"], archive.frames[0]["height"]) == size
    assert archive.pictures[0].shape[1::-1] == size


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_crop_is_cut_from_the_upright_picture(rotation: int, draw: Draw, take: Take) -> None:
    clip = draw("turned.mp4", rotation=rotation, options={"crf": "1"})
    [whole] = take(clip, FIRST | {"format": "png"}, jail=False).pictures

    [part] = take(clip, FIRST | {"format": "png", "crop": [8, 20, 60, 50]}, jail=False).pictures

    assert np.array_equal(part, whole[20:70, 8:68])


def test_a_crop_that_reaches_over_the_edge_ends_there(draw: Draw, take: Take) -> None:
    [row] = take(draw("a.mp4"), FIRST | {"crop": [100, 90, 500, 500]}, jail=False).frames

    assert (row["width"], row["height"]) == (60, 6)


@pytest.mark.parametrize("jail", [True, False])
def test_a_crop_outside_the_picture_is_refused(jail: bool, draw: Draw, take: Take) -> None:
    with pytest.raises(FotogramaError, match="crop") as refused:
        take(draw("a.mp4"), FIRST | {"crop": [160, 0, 10, 10]}, jail=jail)

    assert refused.value.code.name == "BAD_PLAN"


@pytest.mark.parametrize(
    ("rotation", "aspect", "size"),
    [
        (0, Fraction(2), (320, 96)),
        (0, Fraction(1, 2), (160, 192)),
        # The stored picture is 96 wide and 160 high; what is twice as wide there is twice as high once upright.
        (90, Fraction(2), (160, 192)),
        (270, Fraction(1, 2), (320, 96)),
        (180, Fraction(4, 3), (213, 96)),
    ],
)
def test_pixels_become_square_when_asked(
    rotation: int, aspect: Fraction, size: tuple[int, int], draw: Draw, take: Take
) -> None:
    clip = draw("stretched.mp4", rotation=rotation, colors={"sample_aspect_ratio": aspect})

    stored = take(clip, FIRST, jail=False)
    square = take(clip, FIRST | {"square_pixels": True}, jail=False)

    assert stored.manifest["source"]["sample_aspect_ratio"] == str(aspect)
    assert (stored.frames[0]["width"], stored.frames[0]["height"]) == (160, 96)
    assert (square.frames[0]["width"], square.frames[0]["height"]) == size
    assert stored.numbers == square.numbers == [0]


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", {"pixel_format": "yuv420p"}),
        ("a.mp4", {"pixel_format": "yuv422p"}),
        ("a.mp4", {"pixel_format": "yuv444p"}),
        ("a.mp4", {"pixel_format": "yuv420p10le"}),
        ("a.mp4", {"codec": "ffv1", "pixel_format": "yuv420p", "size": (161, 97)}),
        ("a.mp4", {"codec": "ffv1", "pixel_format": "yuv422p", "size": (161, 97)}),
        ("a.mp4", {"pixel_format": "yuv444p", "size": (161, 97)}),
    ],
    ids=["420", "422", "444", "10 bits", "odd 420", "odd 422", "odd 444"],
)
def test_pictures_stand_upright(
    name: str, how: dict[str, Any], rotation: int, kind: str, draw: Draw, take: Take
) -> None:
    clip = draw(name, rotation=rotation, frames=3, **how)

    archive = take(clip, {"mode": "all", "format": kind}, jail=False)

    assert archive.manifest["source"]["rotation"] == (-rotation) % 360
    assert archive.numbers == [0, 1, 2]
    assert {pixels.shape[1::-1] for pixels in archive.pictures} == {how.get("size", (160, 96))}


def test_colours_are_right_in_a_turned_picture(tmp_path: Path, take: Take) -> None:
    told = Colors(1)
    codes = [told.codes(color) for color in PALETTE]
    clip = write_clip(
        tmp_path / "a.mp4",
        [flat(codes, "yuv422p")],
        codec="libx264",
        options={"qp": "0"},
        tags={"colorspace": 1, "color_range": LIMITED},
    )
    turn(clip, 90)

    [pixels] = take(clip, FIRST, jail=False).pictures

    # What was at the left is at the top.
    seen = middles(np.asarray(np.rot90(pixels), np.uint8), len(PALETTE))
    expected = [[255 * min(max(value, 0), 1) for value in told.color(code)] for code in codes]
    assert np.abs(np.array(seen) - expected).max() <= NEAR["jpg"]


def thumbnails(path: Path, plan: dict[str, Any]) -> list[Pixels]:
    with Jail(path, limits=Limits()) as jail:
        jail.probe()
        records = jail.pictures(Plan.from_json(plan), thumbnails=True)
        return [decode_picture(record.thumbnail) for record in records if isinstance(record, Picture)]


@pytest.mark.parametrize(
    ("how", "size"),
    [
        ({"size": (640, 384)}, (160, 96)),
        ({"size": (240, 640)}, (60, 160)),
        ({"size": (96, 64)}, (96, 64)),
        ({"size": (640, 384), "rotation": 90}, (160, 96)),
        ({"size": (640, 384), "rotation": 180}, (160, 96)),
        ({"size": (640, 384), "pixel_format": "yuv422p10le"}, (160, 96)),
    ],
)
def test_thumbnails_are_small_and_upright(how: dict[str, Any], size: tuple[int, int], draw: Draw) -> None:
    clip = draw("a.mp4", frames=5, gop=5, **how)
    [first, last] = thumbnails(clip.path, {"mode": "at", "seconds": [0, 0.16], "format": "png"})

    assert first.shape[1::-1] == last.shape[1::-1] == size


@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize(
    ("crop", "size", "light"),
    [
        ([0, 0, 160, 96], (160, 96), 255),
        ([480, 0, 160, 96], (160, 96), 0),
        ([0, 0, 40, 20], (40, 20), 255),
        ([0, 288, 640, 2], (160, 1), 0),
        ([600, 380, 4000, 4000], (40, 4), 0),
    ],
)
def test_thumbnails_show_what_is_left_by_a_crop(
    crop: list[int], size: tuple[int, int], light: int, rotation: int, draw: Draw
) -> None:
    clip = draw("a.mp4", frames=2, size=(640, 384), rotation=rotation)
    [pixels] = thumbnails(clip.path, {"mode": "at", "seconds": [0], "crop": crop})

    assert pixels.shape[1::-1] == size
    assert np.abs(pixels.astype(int) - light).max() <= 12


def test_thumbnails_have_the_colours_of_the_picture(tmp_path: Path) -> None:
    told = Colors(9, depth=10)
    codes = [told.codes(color) for color in PALETTE[:5]]
    path = write_clip(tmp_path / "a.mkv", [flat(codes, "yuv420p10le")], tags={"colorspace": 9, "color_range": LIMITED})

    [pixels] = thumbnails(path, FIRST)

    expected = [[255 * min(max(value, 0), 1) for value in told.color(code)] for code in codes]
    assert np.abs(np.array(middles(pixels, 5)) - expected).max() <= 6


def test_pictures_that_are_read_out_of_a_mid_grey_frame_are_mid_grey() -> None:
    """The drawing itself: what the reference says of codes is what they were made of."""
    for matrix in (1, 5, 6, 9):
        for full in (False, True):
            told = Colors(matrix, full=full, depth=10)
            for color in PALETTE:
                assert told.color(told.codes(color)) == pytest.approx(color, abs=0.003)
    assert isinstance(flat([(128, 128, 128)], "yuv420p"), av.VideoFrame)
