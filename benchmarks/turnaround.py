"""From an upload's first byte to the finished ZIP by the running service, beside the command on the same file."""

import json
import statistics
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import US, command
from benchmarks.service import Running, running, sign_up

ENDED = ("COMPLETED", "FAILED", "CANCELLED")
AIM_TIMES = 1.1
AIM_SECONDS = 0.3


@dataclass(frozen=True)
class Turnaround:
    """Medians of so many rounds, of both in turn."""

    name: str
    megabytes: float
    frames: int
    rounds: int
    engine_seconds: float
    upload_seconds: float
    """Of the service's, until the upload was answered."""
    service_seconds: float

    @property
    def aim_seconds(self) -> float:
        """What the service may take."""
        return AIM_TIMES * self.engine_seconds + AIM_SECONDS


def measure(video: Path, *, name: str, interval: str = "1s", rounds: int, folder: Path) -> Turnaround:
    """Both in turn, in a service of its own with one worker that has all cores."""
    engine, service, upload = [], [], []
    with running() as found:
        found.add_worker()
        # The first of each loads what the others find loaded.
        frames = _by_service(found, video, interval)[2]
        _by_engine(video, interval, folder)
        for _ in range(rounds):
            engine.append(_by_engine(video, interval, folder))
            uploaded, done, frames = _by_service(found, video, interval)
            upload.append(uploaded)
            service.append(done)
    return Turnaround(
        name=name,
        megabytes=video.stat().st_size / 1e6,
        frames=frames,
        rounds=rounds,
        engine_seconds=statistics.median(engine),
        upload_seconds=statistics.median(upload),
        service_seconds=statistics.median(service),
    )


def as_text(took: Turnaround) -> str:
    """A line for the terminal."""
    return (
        f"{took.name}, {took.megabytes:.0f} MB to {took.frames} frames: command {took.engine_seconds:.2f} s, "
        f"service {took.service_seconds:.2f} s (answered after {took.upload_seconds:.2f} s); "
        f"the aim is {took.aim_seconds:.2f} s"
    )


def _by_engine(video: Path, interval: str, folder: Path) -> float:
    began = time.perf_counter()
    output = folder / "turnaround.zip"
    subprocess.run(command(US, work=interval, video=video, output=output), check=True, capture_output=True)
    took = time.perf_counter() - began
    output.unlink()
    return took


def _by_service(found: Running, video: Path, interval: str) -> tuple[float, float, int]:
    """Seconds until the answer and until the archive, and its frames."""
    # Another user each time: the same again would be answered from what is there.
    with closing(sign_up(found.url)) as client, video.open("rb") as content:
        began = time.perf_counter()
        answer = client.post(
            "/videos/upload", data={"interval": interval.removesuffix("s")}, files={"file": (video.name, content)}
        )
        uploaded = time.perf_counter() - began
        video_id = answer.raise_for_status().json()["id"]
        # As the page hears it. Who asks again and again takes the decoder's time.
        with client.stream("GET", "/events") as events:
            states = (
                json.loads(line.removeprefix("data:")) for line in events.iter_lines() if line.startswith("data:")
            )
            seen = next(state for state in states if state.get("id") == video_id and state["status"] in ENDED)
        done = time.perf_counter() - began
    if seen["status"] != "COMPLETED":
        sys.exit(f"the extraction ended {seen['status']}: {seen['error']}")
    return uploaded, done, seen["frames"]
