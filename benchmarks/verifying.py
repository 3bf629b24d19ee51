"""Whether two archives hold the same frames: by the times they tell, and by what the pictures show."""

import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np

# Peers tell times in float seconds, some by frame rate; frames are at least 16 ms apart.
SLACK_SECONDS = 0.004
PICTURES_COMPARED = 12
# Pictures are compared by blocks, so that a small thing that has moved counts as much as a large one.
BLOCKS = (48, 27)
# Levels of 255 by which a block may differ, once one picture's colours are fitted to the other's: tools take untagged
# video for BT.601 or BT.709 as they like, which is not what is asked here.
MOST_DIFFERENCE = 6.0


def differences(ours: Path, theirs: Path) -> str:
    """In a few words how `theirs` differs from `ours`; nothing where both hold the same frames."""
    our_times, our_pictures = _ours(ours)
    with zipfile.ZipFile(theirs) as archive:
        names = sorted(archive.namelist(), key=lambda name: float(name.removesuffix(".jpg")))
        their_times = [float(name.removesuffix(".jpg")) for name in names]
        if len(names) != len(our_times):
            return f"{len(names)} frames instead of {len(our_times)}"
        apart = max(abs(our - their) for our, their in zip(our_times, their_times, strict=True))
        if apart > SLACK_SECONDS:
            return f"frames up to {apart:.3f} s off"
        places = sorted({round(place) for place in np.linspace(0, len(names) - 1, PICTURES_COMPARED)})
        with zipfile.ZipFile(ours) as our_archive:
            for place in places:
                far = _difference(our_archive.read(our_pictures[place]), archive.read(names[place]))
                if far > MOST_DIFFERENCE:
                    return f"another picture at {our_times[place]:g} s"
    return ""


def frames(ours: Path) -> int:
    """How many frames our archive holds."""
    return len(_ours(ours)[0])


def _ours(path: Path) -> tuple[list[float], list[str]]:
    with zipfile.ZipFile(path) as archive:
        rows = json.load(io.BytesIO(archive.read("manifest.json")))["frames"]
    return [float(row["time_seconds"]) for row in rows], [row["name"] for row in rows]


def _difference(one: bytes, other: bytes) -> float:
    """The largest difference between two pictures' blocks."""
    blocks = []
    for data in (one, other):
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            return 255.0
        blocks.append(cv2.resize(picture, BLOCKS, interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(float))
    theirs = np.hstack([blocks[1], np.ones((len(blocks[1]), 1))])
    fitted = theirs @ np.linalg.lstsq(theirs, blocks[0], rcond=None)[0]
    return float(np.abs(fitted - blocks[0]).mean(axis=1).max())
