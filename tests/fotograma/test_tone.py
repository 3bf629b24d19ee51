"""HDR becomes what it looks like: judged by the curve as the documents give it, written once more in plain floats."""

import colorsys
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from av.video.reformatter import ColorTrc
from hypothesis import given
from hypothesis import strategies as st

from fotograma import tone
from tests.fotograma.conftest import Archive, Take
from tests.pictures import LIMITED, Colors, Rgb, flat, middles, write_clip

PQ, HLG = int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)
BT2020 = Colors(9, depth=10)
both = pytest.mark.parametrize("transfer", [PQ, HLG], ids=["PQ", "HLG"])


def pq_signal(nits: float) -> float:
    """SMPTE ST 2084."""
    power = (nits / 10_000) ** (1305 / 8192)
    return ((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def pq_nits(signal: float) -> float:
    power = signal ** (32 / 2523)
    return 10_000 * (max(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)) ** (8192 / 1305)


def hlg_scene(signal: float) -> float:
    """ITU-R BT.2100, the inverse of its OETF."""
    if signal <= 0.5:
        return signal**2 / 3
    return (math.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12


def hlg_signal(scene: float) -> float:
    return math.sqrt(3 * scene) if scene <= 1 / 12 else 0.17883277 * math.log(12 * scene - 0.28466892) + 0.55991073


def hlg_nits(color: Rgb) -> Rgb:
    """With the OOTF of a display of 1000 nits."""
    red, green, blue = (hlg_scene(signal) for signal in color)
    gain = 1000 * (0.2627 * red + 0.6780 * green + 0.0593 * blue) ** 0.2
    return red * gain, green * gain, blue * gain


def rolled_off(nits: float) -> float:
    """ITU-R BT.2390, 5.4.1: from 1000 nits to 203."""
    source = pq_signal(1000)
    most = pq_signal(203) / source
    signal = min(pq_signal(nits) / source, 1)
    knee = 1.5 * most - 0.5
    if signal >= knee:
        t = (signal - knee) / (1 - knee)
        signal = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return pq_nits(signal * source)


def shown(color: Rgb, transfer: int) -> list[float]:
    """The documented way from a signal of PQ or HLG to one of BT.709."""
    light = hlg_nits(color) if transfer == HLG else tuple(pq_nits(signal) for signal in color)
    brightest = max(*light, 1e-4)
    red, green, blue = (channel * rolled_off(brightest) / brightest / 203 for channel in light)
    linear = (
        1.660491 * red - 0.587641 * green - 0.072850 * blue,
        -0.124550 * red + 1.132900 * green - 0.008349 * blue,
        -0.018151 * red - 0.100579 * green + 1.118730 * blue,
    )
    return [min(max(channel, 0), 1) ** (1 / 2.4) for channel in linear]


signals = st.floats(0, 1).map(lambda value: round(value, 4))


@both
@given(color=st.tuples(signals, signals, signals))
def test_the_curve_is_the_documented_one(transfer: int, color: Rgb) -> None:
    # Where nothing is seen (below 0.01 nits) the two ways of guarding a division by zero may differ.
    assert tone.to_bt709(np.array(color), transfer=transfer) == pytest.approx(shown(color, transfer), abs=0.003)


@both
def test_the_table_holds_the_curve(transfer: int) -> None:
    table = tone.hald(transfer).reshape(64, 64, 64, 3) / 65_535

    for red, green, blue in [(0, 0, 0), (63, 0, 0), (0, 63, 0), (5, 40, 22), (63, 63, 63), (30, 30, 30)]:
        expected = shown((red / 63, green / 63, blue / 63), transfer)
        assert table[blue, green, red] == pytest.approx(expected, abs=0.003)


def grey(nits: float, transfer: int) -> Rgb:
    """The signal of a grey that a display of 1000 nits shows so brightly."""
    signal = pq_signal(nits) if transfer == PQ else hlg_signal((nits / 1000) ** (1 / 1.2))
    return signal, signal, signal


@pytest.fixture
def film(tmp_path: Path, take: Take) -> Callable[..., list[list[float]]]:
    """The patches that come out where these signals went in, 0 to 255."""

    def film(colors: list[Rgb], transfer: int, **plan: object) -> list[list[float]]:
        tags = {"colorspace": 9, "color_primaries": 9, "color_trc": transfer, "color_range": LIMITED}
        codes = [BT2020.codes(color) for color in colors]
        path = write_clip(tmp_path / "hdr.mkv", [flat(codes, "yuv420p10le")], tags=tags)
        archive: Archive = take(path, {"mode": "all", "format": "png"} | plan, jail=False)

        assert archive.manifest["source"]["color"]["transfer"] == {PQ: "SMPTE2084", HLG: "ARIB_STD_B67"}[transfer]
        return middles(archive.pictures[0], len(colors))

    return film


Film = Callable[..., list[list[float]]]


@both
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_greys_keep_their_brightness(transfer: int, kind: str, film: Film) -> None:
    nits = [0, 5, 26, 40, 80]

    patches = film([grey(level, transfer) for level in nits], transfer, format=kind)

    # Up to the knee light stays light: what was so bright is so bright on a screen whose white has 203 nits.
    expected = [255 * (level / 203) ** (1 / 2.4) for level in nits]
    assert [sum(patch) / 3 for patch in patches] == pytest.approx(expected, abs=5)
    assert max(max(patch) - min(patch) for patch in patches) <= 3


@both
def test_white_is_nearly_white_and_highlights_are_whiter(transfer: int, film: Film) -> None:
    [paper, highlight] = film([grey(203, transfer), grey(1000, transfer)], transfer)

    assert all(200 < channel < 250 for channel in paper)
    assert min(highlight) >= 253


def test_what_is_brighter_than_the_peak_is_white(film: Film) -> None:
    [patch] = film([grey(4000, PQ)], PQ)

    assert min(patch) >= 253


@both
def test_brighter_stays_brighter(transfer: int, film: Film) -> None:
    patches = film([grey(level, transfer) for level in (0, 1, 5, 20, 60, 120, 203, 300, 400, 600)], transfer)
    levels = [sum(patch) / 3 for patch in patches]

    assert all(after > before for before, after in itertools.pairwise(levels))


@both
@pytest.mark.parametrize("share", [0.3, 0.6, 1], ids=["dark", "middle", "bright"])
def test_colours_keep_their_hue(transfer: int, share: float, film: Film) -> None:
    signal = 0.75 * share
    low = 0.15 * share
    primaries = [(signal, low, low), (low, signal, low), (low, low, signal)]

    hues = [colorsys.rgb_to_hsv(*patch)[0] * 360 for patch in film(primaries, transfer)]

    for hue, expected in zip(hues, (0, 120, 240), strict=True):
        assert abs((hue - expected + 180) % 360 - 180) < 20


@both
def test_patches_come_out_as_the_curve_says(transfer: int, film: Film) -> None:
    colors: list[Rgb] = [
        *(grey(nits, transfer) for nits in (2, 10, 50, 100, 150, 300, 600)),
        (0.5, 0.35, 0.3), (0.65, 0.55, 0.5), (0.3, 0.5, 0.35), (0.25, 0.3, 0.55), (0.7, 0.6, 0.2),
    ]  # fmt: skip

    patches = film(colors, transfer)

    expected = [[255 * value for value in shown(BT2020.color(BT2020.codes(color)), transfer)] for color in colors]
    assert np.abs(np.array(patches) - expected).max() <= 3


@both
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_raw_values_are_kept_when_asked(transfer: int, kind: str, film: Film) -> None:
    colors: list[Rgb] = [(0.5, 0.5, 0.5), (0.75, 0.75, 0.75), (0.6, 0.2, 0.2), (1, 1, 1), (0, 0, 0)]

    patches = film(colors, transfer, tone_map=False, format=kind)

    expected = [[255 * value for value in color] for color in colors]
    assert np.abs(np.array(patches) - expected).max() <= (2 if kind == "png" else 4)


def test_what_is_no_hdr_is_left_alone(tmp_path: Path, take: Take) -> None:
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 14, "color_range": LIMITED}
    colors: list[Rgb] = [(0.5, 0.5, 0.5), (0.6, 0.2, 0.2)]
    codes = [BT2020.codes(color) for color in colors]
    path = write_clip(tmp_path / "wide.mkv", [flat(codes, "yuv420p10le")], tags=tags)

    [mapped] = take(path, {"mode": "all", "format": "png"}, jail=False).pictures
    [raw] = take(path, {"mode": "all", "format": "png", "tone_map": False}, jail=False).pictures

    assert np.array_equal(mapped, raw)
    assert np.abs(np.array(middles(mapped, 2)) - [[255 * value for value in color] for color in colors]).max() <= 2
