"""What pictures look like: scores, and the choices that only pictures can tell (`scenes`, `best`, `dedupe`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np

from fotograma.image import Pixels
from fotograma.plan import Best, Plan, Scenes
from fotograma.selection import Choice
from fotograma.video import Frame

COMPARED_WIDTH = 256
"""Pictures are compared at this width..."""
JUDGED_WIDTH = 640
"""...and their sharpness is judged at this one, so that the size of a video does not matter."""
MOST_LINES = 10_000
SCENE_SHORTEST = Fraction(6, 10)
"""Seconds between two scenes: a flash is none."""


@dataclass(frozen=True)
class Look:
    """What is seen in one picture."""

    hsv: Pixels
    """Hue (0 to 179), saturation and value at the compared width."""
    sharpness: float
    """Variance of the Laplacian of the luma at the judged width (Pech-Pacheco et al., ICPR 2000)."""
    brightness: float
    """Mean luma, 0 to 255."""
    dhash: int
    """64 bits: whether each of 9 x 8 luma samples is darker than the one to its right (Krawetz, 2013)."""


@dataclass(frozen=True)
class Seen:
    """A frame that was looked at."""

    frame: Frame
    choice: Choice
    seconds: Fraction
    """From the first frame."""
    look: Look
    before: Look | None
    """The look of the frame before it, where there is one and it was asked for."""

    @property
    def scores(self) -> dict[str, float]:
        """As the manifest tells them; the first frame differs from nothing."""
        return {
            "sharpness": round(self.look.sharpness, 3),
            "brightness": round(self.look.brightness, 3),
            "difference": 0.0 if self.before is None else round(difference(self.look, self.before), 3),
        }


def look(picture: av.VideoFrame) -> Look:
    """Look at a picture, as the decoder gives it."""
    hsv = cv2.cvtColor(_scaled(picture, COMPARED_WIDTH, "bgr24"), cv2.COLOR_BGR2HSV)
    luma = _scaled(picture, JUDGED_WIDTH, "gray")
    small = cv2.resize(luma, (9, 8), interpolation=cv2.INTER_AREA)
    return Look(
        hsv=np.asarray(hsv, np.uint8),
        sharpness=float(cv2.Laplacian(luma, cv2.CV_64F).var()),
        brightness=float(luma.mean()),
        dhash=int.from_bytes(np.packbits(small[:, :-1] < small[:, 1:]).tobytes(), "big"),
    )


def difference(look: Look, before: Look) -> float:
    """Mean absolute difference of hue, saturation and value, 0 to 255."""
    other = before.hsv
    if other.shape != look.hsv.shape:
        other = np.asarray(cv2.resize(other, look.hsv.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return float(cv2.absdiff(look.hsv, other).mean())


def chosen(plan: Plan, frames: Iterator[Seen]) -> Iterator[Seen]:
    """Those of the frames that the plan's pictures choose."""
    match plan.mode:
        case Scenes(threshold):
            frames = _scenes(frames, threshold=float(threshold))
        case Best(seconds):
            frames = _best(frames, start=plan.start, length=seconds)
        case _:
            pass
    return frames if plan.dedupe is None else _unlike(frames, bits=plan.dedupe)


def _scenes(frames: Iterator[Seen], *, threshold: float) -> Iterator[Seen]:
    last: Fraction | None = None
    for seen in frames:
        if last is None or (
            seen.before is not None
            and seen.seconds - last >= SCENE_SHORTEST
            and difference(seen.look, seen.before) >= threshold
        ):
            last = seen.seconds
            yield seen


def _best(frames: Iterator[Seen], *, start: Fraction, length: Fraction) -> Iterator[Seen]:
    best: Seen | None = None
    interval = -1
    for seen in frames:
        now = int((seen.seconds - start) / length)
        if best is not None and now != interval:
            yield best
            best = None
        interval = now
        if best is None or seen.look.sharpness > best.look.sharpness:
            best = seen
    if best is not None:
        yield best


def _unlike(frames: Iterator[Seen], *, bits: int) -> Iterator[Seen]:
    kept: int | None = None
    for seen in frames:
        if kept is None or (seen.look.dhash ^ kept).bit_count() >= bits:
            kept = seen.look.dhash
            yield seen


def _scaled(picture: av.VideoFrame, width: int, form: str) -> Pixels:
    """The picture at that width, its aspect kept; smaller ones are made larger, so that scores compare."""
    # Of a picture like a thread the rest of its length tells nothing more, and the scaler takes no more.
    height = min(max(1, round(picture.height * width / picture.width)), MOST_LINES)
    return np.asarray(
        picture.reformat(width=width, height=height, format=form, interpolation="AREA").to_ndarray(), np.uint8
    )
