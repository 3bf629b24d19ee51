"""What a second worker brings: `python -m benchmarks.workers`."""

import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import inputs
from benchmarks.service import CLIPS, MEGABYTE, running, sign_up


def main(
    times: Annotated[int, typer.Option(help="How often a clip of 15 s is repeated.")] = 16,
    seconds: Annotated[float, typer.Option(help="Seconds between frames.")] = 0.5,
    segment_seconds: Annotated[float, typer.Option(help="SEGMENT_SECONDS.")] = 5,
) -> None:
    """One long video, by one worker on each of two cores in turn, and by two with one each."""
    clip = inputs.draw(next(one for one in inputs.INPUTS if one.name == "h264_720p"), CLIPS, scale=0.5)
    assert clip is not None
    video = inputs.repeated(clip, CLIPS, times=times)
    print(f"{video.name}: {video.stat().st_size / MEGABYTE:.0f} MB", flush=True)
    settings = {"WORKER_THREADS": "1", "SEGMENT_SECONDS": str(segment_seconds)}
    took = []
    with running() as found:
        for cores in ((0,), (1,), (0, 1)):
            for core in cores:
                found.add_worker(core=core, **settings)
            # Another user each time: the same again would be answered from what is there.
            with closing(sign_up(found.url)) as client, video.open("rb") as content:
                uploaded = client.post("/videos/upload", data={"interval": str(seconds)}, files={"file": content})
                video_id = uploaded.raise_for_status().json()["id"]
                # Asked seldom, for asking takes the same cores; how long it took is what the service says.
                told = []
                while (seen := client.get(f"/videos/{video_id}").json())["status"] in ("PENDING", "PROCESSING"):
                    told.append((datetime.now(UTC), seen["progress"]["seconds_left"]))
                    time.sleep(1)
            took.append(_seconds_between(seen["created_at"], seen["completed_at"]))
            print(f"{len(cores)} workers: {took[-1]:.1f} s, {seen['status']}, {seen['frames']} frames", flush=True)
            print(f"  {_time_left(told, seen['created_at'], seen['completed_at'])}", flush=True)
            for worker in found.workers:
                print(f"  {worker.part.name}: {worker.output().count('segment claimed')} segments", flush=True)
            found.stop_workers()
    print(f"{min(took[:2]) / took[2]:.2f} times as fast as the faster one", flush=True)
    alone, together = _alone(video, seconds, processes=1), _alone(video, seconds, processes=2)
    print(
        f"Without the service, one process a core: {2 * alone / together:.2f} times as much work in its time",
        flush=True,
    )


def _time_left(told: list[tuple[datetime, float | None]], first: str, last: str) -> str:
    """How what was told of the time left compares with what it came to, in the second half of the run."""
    began, ended = datetime.fromisoformat(first), datetime.fromisoformat(last)
    half = began + (ended - began) / 2
    # Of the last moments a factor says nothing.
    asked = [(left, (ended - moment).total_seconds()) for moment, left in told if half <= moment]
    ratios = [left / truly for left, truly in asked if left is not None and truly >= 1]
    within = sum(0.5 <= ratio <= 2 for ratio in ratios)
    return (
        f"time left, second half: told {len(ratios)} of {len(asked)} times, {within} of these within a factor of 2 "
        f"({min(ratios):.2f} to {max(ratios):.2f} times)"
    )


def _seconds_between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def _alone(video: Path, seconds: float, *, processes: int) -> float:
    """How long the engine takes for as many videos as processes, each with a core of its own: what the machine has."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        began = time.monotonic()
        running = [
            subprocess.Popen(
                [
                    *("taskset", "--cpu-list", str(core), Path(sys.executable).with_name("fotograma")),
                    *("extract", video),
                    *("--every", f"{seconds}s", "-o", f"{folder}/{core}.zip"),
                ],
                stderr=subprocess.DEVNULL,
            )
            for core in range(processes)
        ]
        if any(process.wait() for process in running):
            raise RuntimeError("fotograma extract has failed")
        return time.monotonic() - began


if __name__ == "__main__":
    typer.run(main)
