"""What OpenCV does with pixels: crop, scale, and write files. Loaded only where a plan asks for it: it takes 0.1 s."""

from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from fotograma.errors import FotogramaError, LimitExceeded
from fotograma.plan import Crop, ImageFormat

Pixels = npt.NDArray[np.uint8]
"""Shape (height, width, 3) or (height, width, 4), in the order blue, green, red, alpha."""

_AVIF_SPEED = 8
_PNG_LEVEL = 3

# Frames are worked on side by side; threads within one would only get in their way.
cv2.setNumThreads(1)


def cropped(pixels: Pixels, crop: Crop) -> Pixels:
    """The part of the crop that lies within the picture.

    Raises:
        FotogramaError: none does.
    """
    part = pixels[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    if not part.size:
        height, width = pixels.shape[:2]
        raise FotogramaError("BAD_PLAN", f"the crop lies outside the picture of {width} x {height}")
    return np.ascontiguousarray(part)


def square(pixels: Pixels, ratio: Fraction, *, max_pixels: int) -> Pixels:
    """Stretch the shorter side of the pixels, so that nothing is lost."""
    height, width = pixels.shape[:2]
    if ratio > 1:
        return _resized(pixels, width=round(width * ratio), height=height, max_pixels=max_pixels)
    return _resized(pixels, width=width, height=round(height / ratio), max_pixels=max_pixels)


def fitted(pixels: Pixels, *, width: int | None, height: int | None, max_pixels: int) -> Pixels:
    """Scaled to fit into width x height, the aspect kept."""
    has_height, has_width = pixels.shape[:2]
    scales = [Fraction(side, has) for side, has in ((width, has_width), (height, has_height)) if side]
    if not scales or min(scales) == 1:
        return pixels
    scale = min(scales)
    new_width, new_height = max(1, round(has_width * scale)), max(1, round(has_height * scale))
    return _resized(pixels, width=new_width, height=new_height, max_pixels=max_pixels)


def _resized(pixels: Pixels, *, width: int, height: int, max_pixels: int) -> Pixels:
    if width * height > max_pixels:
        raise LimitExceeded("LIMIT_PIXELS", f"{width} x {height} after scaling, allowed are {max_pixels} pixels")
    smaller = width * height < pixels.shape[0] * pixels.shape[1]
    way = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=way), np.uint8)


def encoded(pixels: Pixels, kind: ImageFormat, *, quality: int) -> bytes:
    """A PNG, WebP or AVIF file; JPEGs are made elsewhere.

    Raises:
        LimitExceeded: the format can't hold a picture of this size.
    """
    options = {
        "png": [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL],
        "webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
        "avif": [cv2.IMWRITE_AVIF_QUALITY, quality, cv2.IMWRITE_AVIF_SPEED, _AVIF_SPEED],
    }[kind]
    whole, data = cv2.imencode(f".{kind}", pixels, options)
    if not whole:
        height, width = pixels.shape[:2]
        raise LimitExceeded("LIMIT_PIXELS", f"{width} x {height} is more than {kind} holds")
    return data.tobytes()
