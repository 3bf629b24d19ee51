"""HDR to SDR: PQ and HLG pictures brought to BT.709, so that they are not washed out.

PQ (SMPTE ST 2084) and HLG (ITU-R BT.2100, with its OOTF for a display of 1000 cd/m2) become display light; its
brightest channel is rolled off from 1000 to 203 cd/m2, the reference white of ITU-R BT.2408, by the knee of ITU-R
BT.2390 (5.4.1, in PQ space); colours go from BT.2020 to BT.709 primaries by the matrix of ITU-R BT.2407, and out by the
inverse of BT.1886 (gamma 2.4), which is how such pictures are shown.
"""

from functools import lru_cache

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorTrc

Exact = npt.NDArray[np.float64]

PEAK = 1000.0
"""What the brightest highlights are taken for, in cd/m2."""
WHITE = 203.0
"""What becomes the brightest value of the picture."""

_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073
_HLG_GAMMA = 1.2
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])
_TO_709 = np.array(
    [[1.6604910, -0.5876411, -0.0728499], [-0.1245505, 1.1328999, -0.0083494], [-0.0181508, -0.1005789, 1.1187297]]
)


# Steps of each channel in the table; colours between are interpolated (FFmpeg's `haldclut`, tetrahedral).
_STEPS = 64
_GREATEST = 65_535


def is_hdr(picture: av.VideoFrame) -> bool:
    """Whether the picture's transfer is PQ or HLG."""
    return picture.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


@lru_cache
def hald(transfer: int) -> npt.NDArray[np.uint16]:
    """The table for PQ or HLG as a picture of 512 x 512: red rises fastest, then green, then blue (a Hald CLUT)."""
    steps = np.linspace(0, 1, _STEPS)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    shown = to_bt709(np.stack([red, green, blue], axis=-1), transfer=transfer)
    side = int(_STEPS**1.5)
    return np.round(shown * _GREATEST).astype(np.uint16).reshape(side, side, 3)


def to_bt709(signal: Exact, *, transfer: int) -> Exact:
    """Red, green, blue of PQ or HLG over BT.2020 as those of BT.709; all from 0 to 1, the last axis the channels."""
    if transfer == ColorTrc.SMPTE2084:
        light = _pq_light(signal)
    else:
        scene = _hlg_scene(signal)
        light = PEAK * scene * np.maximum(scene @ _LUMA_2020, 1e-6)[..., None] ** (_HLG_GAMMA - 1)
    # By the brightest channel, so that the hue stays.
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-4)
    shown = (light * _knee(brightest) / brightest) @ _TO_709.T / WHITE
    return np.asarray(np.clip(shown, 0, 1) ** (1 / 2.4), np.float64)


def _pq_light(signal: Exact) -> Exact:
    power = np.power(signal, 1 / _M2)
    return 10_000 * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)


def _pq_signal(light: Exact) -> Exact:
    power = np.power(light / 10_000, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def _hlg_scene(signal: Exact) -> Exact:
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _HLG_C) / _HLG_A) + _HLG_B) / 12)


def _knee(light: Exact) -> Exact:
    """BT.2390's roll-off of display light from PEAK to WHITE."""
    peak, most = _pq_signal(np.array([PEAK, WHITE]))
    most /= peak
    signal = np.minimum(_pq_signal(light) / peak, 1)
    start = 1.5 * most - 0.5
    t = np.clip((signal - start) / (1 - start), 0, 1)
    rolled = (2 * t**3 - 3 * t**2 + 1) * start + (t**3 - 2 * t**2 + t) * (1 - start) + (-2 * t**3 + 3 * t**2) * most
    return _pq_light(np.where(signal < start, signal, rolled) * peak)
