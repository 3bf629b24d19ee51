"""HDR to SDR: PQ and HLG pictures brought to BT.709, so that they are not washed out.

PQ (SMPTE ST 2084) and HLG (ITU-R BT.2100, with its OOTF for a display of 1000 cd/m2) become display light; its
brightest channel is rolled off from 1000 to 203 cd/m2, the reference white of ITU-R BT.2408, by the knee of ITU-R
BT.2390 (5.4.1, in PQ space); colours go from BT.2020 to BT.709 primaries by the matrix of ITU-R BT.2407, and out by the
inverse of BT.1886 (gamma 2.4), which is how such pictures are shown.
"""

from dataclasses import dataclass
from functools import lru_cache

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorTrc

Floats = npt.NDArray[np.float32]
Exact = npt.NDArray[np.float64]

PEAK = 1000.0
"""What the brightest highlights are taken for, in cd/m2."""
WHITE = 203.0
"""What becomes the brightest value of the picture."""

_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073
_HLG_GAMMA = 1.2
_LUMA_2020 = (0.2627, 0.6780, 0.0593)
# For blue, green, red on both sides.
_TO_709 = np.array(
    [[1.1187297, -0.1005789, -0.0181508], [-0.0083494, 1.1328999, -0.1245505], [-0.0728499, -0.5876411, 1.6604910]],
    np.float32,
)


_STEPS = 65_535


@dataclass(frozen=True)
class _Tables:
    """Curves, looked up rather than computed."""

    pq: Floats
    """Signal to display light."""
    hlg: Floats
    """Signal to scene light."""
    gain: Floats
    """Square root of display light to the factor of the knee."""
    out: npt.NDArray[np.uint8]
    """Display light to the signal of an SDR screen."""


def is_hdr(picture: av.VideoFrame) -> bool:
    """Whether the picture's transfer is PQ or HLG."""
    return picture.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


def to_bt709(samples: npt.NDArray[np.uint16], *, transfer: int) -> npt.NDArray[np.uint8]:
    """Blue, green, red samples of 16 bits, PQ or HLG over BT.2020, as 8 bits of BT.709; the same shape."""
    tables = _tables()
    if transfer == ColorTrc.SMPTE2084:
        light = tables.pq[samples]
    else:
        light = tables.hlg[samples]
        blue, green, red = light[..., 0], light[..., 1], light[..., 2]
        scene = _LUMA_2020[0] * red + _LUMA_2020[1] * green + _LUMA_2020[2] * blue
        light *= (PEAK * np.maximum(scene, 1e-6) ** (_HLG_GAMMA - 1))[..., None]
    # By the brightest channel, so that the hue stays.
    steps = np.sqrt(np.clip(light.max(axis=2) / np.float32(PEAK), 0, 1)) * np.float32(_STEPS)
    light *= tables.gain[steps.astype(np.uint16)][..., None]
    shown = cv2.transform(light, _TO_709) * np.float32(_STEPS / WHITE)
    return np.asarray(tables.out[np.clip(shown, 0, _STEPS).astype(np.uint16)], np.uint8)


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


@lru_cache
def _tables() -> _Tables:
    """For each of 65,536 steps; made when the first HDR picture comes."""
    signal = np.linspace(0, 1, _STEPS + 1)
    light = np.maximum(signal**2 * PEAK, 1e-4)
    return _Tables(
        pq=_pq_light(signal).astype(np.float32),
        hlg=_hlg_scene(signal).astype(np.float32),
        gain=(_knee(light) / light).astype(np.float32),
        out=np.round(255 * signal ** (1 / 2.4)).astype(np.uint8),
    )
