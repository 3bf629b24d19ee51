"""Draw a short clip to try Fotograma with: each picture shows its own time.

uv run examples/draw_clip.py clip.mp4
"""

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import av
import cv2
import numpy as np
import typer

WIDTH, HEIGHT = 640, 360
PICTURES_PER_SECOND = 25


def draw_clip(
    path: Annotated[Path, typer.Argument(help="Where the clip goes; the name's ending says which container.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="How long it is.")] = 10,
) -> None:
    """Write an H.264 clip of a ball that rolls under a clock."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=PICTURES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(round(seconds * PICTURES_PER_SECOND)):
            frame = av.VideoFrame.from_ndarray(_picture(Fraction(index, PICTURES_PER_SECOND)), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _picture(time_seconds: Fraction) -> np.ndarray:
    shade = np.linspace(40, 140, WIDTH, dtype=np.uint8)
    picture = np.ascontiguousarray(np.broadcast_to(shade[None, :, None], (HEIGHT, WIDTH, 3)))
    cv2.circle(picture, (int(time_seconds * 60) % WIDTH, HEIGHT - 60), 40, (60, 160, 240), thickness=-1)
    clock = f"{float(time_seconds):06.3f} s"
    cv2.putText(picture, clock, (150, 170), cv2.FONT_HERSHEY_SIMPLEX, 2, (255, 255, 255), 4, cv2.LINE_AA)
    return picture


if __name__ == "__main__":
    typer.run(draw_clip)
