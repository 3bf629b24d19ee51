"""Runs a command and tells what it took: seconds, processor seconds, and memory of all its processes."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import interval
from fotograma.plan import Plan

SAMPLE_SECONDS = 0.02
US = "fotograma"
LIMIT = "limit"


@dataclass(frozen=True)
class Run:
    """What one run took."""

    wall_seconds: float
    cpu_seconds: float
    """Of all its processes."""
    peak_bytes: int
    """Of those of its processes that ran at the same time, the peaks added up: at least what it held at once. 0 where
    the system doesn't tell."""
    output: str


class Failed(Exception):
    """The command did not end well."""


def plan_of(work: str) -> Plan:
    """The work as a plan of the engine."""
    seconds = interval(work)
    return Plan.from_json({"mode": work} if seconds is None else {"mode": "every", "seconds": seconds})


def command(who: str, *, work: str, video: Path, output: Path) -> list[str]:
    """What makes `who` do the work."""
    if who == LIMIT:
        return [sys.executable, "-m", "benchmarks.limit", work, str(video)]
    if who == US:
        wanted = [f"--{work}"] if interval(work) is None else ["--every", work]
        return [str(Path(sys.executable).with_name("fotograma")), "extract", str(video), *wanted, "-o", str(output)]
    return [sys.executable, "-m", "benchmarks.peers", who, work, str(video), str(output)]


def run(arguments: list[str]) -> Run:
    """Run it to its end.

    Raises:
        Failed: it said so.
    """
    # Installed software has its bytecode: where this machine forbids to store it, every start would compile anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    peaks = [0]
    ended = threading.Event()
    sampler = threading.Thread(target=_sample, args=(process.pid, peaks, ended))
    sampler.start()
    before = os.times()
    output, errors = process.communicate()
    wall_seconds = time.perf_counter() - began
    after = os.times()
    ended.set()
    sampler.join()
    if process.returncode:
        last = (errors.strip().splitlines() or [""])[-1]
        raise Failed(f"status {process.returncode}: {last}")
    cpu_seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(wall_seconds, cpu_seconds, max(peaks), output)


def limit_run(arguments: list[str]) -> Run:
    """The same for the limit, which measures itself: its start-up and reading don't count."""
    found = run(arguments)
    told = json.loads(found.output)
    return Run(told["wall_seconds"], told["cpu_seconds"], found.peak_bytes, found.output)


def _sample(root: int, peaks: list[int], ended: threading.Event) -> None:
    """Note the peaks of `root` and all under it until the end; the kernel keeps each one's, so seldom is enough."""
    while not ended.wait(SAMPLE_SECONDS):
        waiting, together = [root], 0
        while waiting:
            pid = waiting.pop()
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (task / "children").read_text().split())
            except OSError:  # It has ended, or this is no Linux.
                continue
            lines = (line for line in status.splitlines() if line.startswith("VmHWM:"))
            together += sum(int(line.split()[1]) * 1024 for line in lines)
        peaks.append(together)
