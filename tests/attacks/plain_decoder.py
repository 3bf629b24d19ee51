"""What others do: open whatever it is by PyAV, with none of our guards.

A process of its own, in the folder of the attack: `python -m tests.attacks.plain_decoder HOW NAME`.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import av
import av.logging

from tests.clips import read_number

MOST_FRAMES = 3
# Larger pictures are only there for their size.
MOST_PIXELS_READ = 10**6


def main() -> None:
    """Print the format, the numbers painted in the first pictures, and how large the process became."""
    how, name = sys.argv[1:]
    av.logging.set_level(None)
    found: dict[str, object] = {"format": "", "streams": 0, "claimed": 0, "numbers": []}
    numbers: list[int | None] = []
    with contextlib.ExitStack() as stack, contextlib.suppress(av.FFmpegError, IndexError):
        source: object = name
        if how == "named":
            source = stack.enter_context(Path(name).open("rb"))
        elif how == "nameless":
            source = io.BytesIO(Path(name).read_bytes())
        container = stack.enter_context(av.open(source, timeout=5))  # type: ignore[call-overload]
        video = container.streams.video[0]
        found |= {"format": container.format.name, "streams": len(container.streams), "claimed": video.frames}
        for frame in container.decode(video):
            numbers.append(None)
            if frame.width * frame.height < MOST_PIXELS_READ:
                with contextlib.suppress(ValueError):
                    numbers[-1] = read_number(frame.to_ndarray(format="rgb24"))
            if len(numbers) == MOST_FRAMES:
                break
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    print(json.dumps({**found, "numbers": numbers, "peak_bytes": peak}))  # noqa: T201


if __name__ == "__main__":
    main()
