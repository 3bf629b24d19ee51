"""Where a command's time goes, stage by stage: python -m benchmarks.stages VIDEO WORK [ROUNDS]

Each stage runs alone in a fresh process that does what the jailed one does, so that what the command does side by side
is seen one after the other; the least of the rounds is told, which other load disturbs the least.
"""

import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import plan_of
from fotograma import spawn

STAGES = {
    "interpreter": "start of the interpreter",
    "av": "import of av (FFmpeg)",
    "decoding": "import of the engine beside it",
    "locks": "the jail's locks",
    "open": "opening, and the packet index",
    "first": "the first picture decoded",
    "numpy": "import of numpy and of what encodes (while the video is opened)",
    "pictures": "reading, decoding and encoding",
    "command": "the command: start, imports and end (beside the above)",
    "packing": "the command: checking and packing",
}
ROUNDS = 5


def stages(video: Path, work: str) -> dict[str, tuple[float, float]]:
    """Seconds of wall and processors for each stage in this process, which nothing was imported into before."""
    took: dict[str, tuple[float, float]] = {}
    began = time.perf_counter(), time.process_time()

    def ended(stage: str) -> None:
        nonlocal began
        now = time.perf_counter(), time.process_time()
        took[stage] = now[0] - began[0], now[1] - began[1]
        began = now

    gc.disable()
    import av

    del av
    ended("av")
    from fotograma import locks
    from fotograma.decoders import Decoders
    from fotograma.decoding import OpenDecoder
    from fotograma.limits import Limits
    from fotograma.readers import DescriptorReader

    ended("decoding")
    limits = Limits()
    descriptor = os.open(video, os.O_RDONLY)
    locks.lock_in(limits, parent=os.getppid(), keep=(descriptor,), load_rest=lambda: None)
    ended("locks")
    decoders = Decoders(DescriptorReader(descriptor), limits=limits, stream=None)
    ended("open")
    decoders.first()
    ended("first")
    decoders.close()
    import fotograma.image

    del fotograma.image
    ended("numpy")
    decoder = OpenDecoder(DescriptorReader(descriptor), limits=limits)
    decoder.probe()
    began = time.perf_counter(), time.process_time()
    for _ in decoder.pictures(plan_of(work)):
        pass
    ended("pictures")
    return took


def packing(video: Path, work: str) -> dict[str, tuple[float, float]]:
    """What the command's own process spends on checking and packing, its imports left out."""
    from fotograma.extraction import extract

    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_SELF)
        extract(video, plan_of(work), sink=Path(folder) / "frames.zip")
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"packing": (0.0, cpu_seconds)}


def least(video: Path, work: str, *, rounds: int) -> dict[str, tuple[float, float]]:
    """The least that each stage took."""
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for stage, command in (
            ("interpreter", [sys.executable, "-I", "-c", "pass"]),
            ("command", [str(Path(sys.executable).with_name("fotograma")), "version"]),
        ):
            began, before = time.perf_counter(), os.times()
            subprocess.run(command, check=True, capture_output=True)
            wall_seconds, after = time.perf_counter() - began, os.times()
            cpu_seconds = after.children_user + after.children_system - before.children_user - before.children_system
            found.setdefault(stage, []).append((wall_seconds, cpu_seconds))
        for part in ("stages", "packing"):
            command = [sys.executable, "-m", "benchmarks.stages", str(video), work, part]
            environment = os.environ | spawn.ENVIRONMENT
            told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
            for stage, took in json.loads(told).items():
                found.setdefault(stage, []).append(tuple(took))
    return {stage: (min(wall for wall, _ in took), min(cpu for _, cpu in took)) for stage, took in found.items()}


def main() -> None:
    """Tell it as a table."""
    video, work, *rest = sys.argv[1:]
    if rest and rest[0] in ("stages", "packing"):
        print(json.dumps(globals()[rest[0]](Path(video), work)))
        return
    rounds = int(rest[0]) if rest else ROUNDS
    print(f"| {Path(video).stem}, {work} | ms | processor ms |\n|---|---|---|")
    took = least(Path(video), work, rounds=rounds)
    for stage in STAGES:
        wall, cpu = took[stage]
        print(f"| {STAGES[stage]} | {f'{1000 * wall:.0f}' if wall else ''} | {1000 * cpu:.0f} |")


if __name__ == "__main__":
    main()
