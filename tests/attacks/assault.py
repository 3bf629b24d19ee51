"""Give hostile files to the engine as a caller does, and watch what it costs and what stays behind."""

import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import psutil

from fotograma.errors import Cause, FotogramaError
from fotograma.extraction import extract
from fotograma.limits import Limits
from fotograma.plan import Plan
from fotograma.readers import Source
from tests.clips import read_number
from tests.fotograma.conftest import Archive

# Of all attacks together; each test may ask for less.
MOST_SECONDS = 30
MOST_BYTES = 2 * 2**30
QUICK = Limits(wall_seconds=10)
ALL = {"mode": "all"}
# What an attack may end with. A decoder that dies is an outcome too, and never the parent's death.
ENDINGS = {Cause.INPUT, Cause.LIMIT, Cause.CRASH}
T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What came of an attack."""

    code: str
    """Of the failure; empty where there are frames."""
    detail: str
    """What the failure says beside its code."""
    archive: Archive | None
    """The frames, where there are any."""
    seconds: float

    @property
    def numbers(self) -> list[int | None]:
        """What is painted in the pictures, None where that can't be read."""
        return [] if self.archive is None else [_number(pixels) for pixels in self.archive.pictures]

    @property
    def told(self) -> str:
        """All text that came out."""
        if self.archive is None:
            return self.detail
        return self.archive.read("manifest.json").decode() + self.archive.read("manifest.csv").decode()


def _number(pixels: Any) -> int | None:
    try:
        return read_number(pixels)
    except ValueError:
        return None


def attack(source: Source, plan: dict[str, Any] | None = None, *, limits: Limits = QUICK, jail: bool = True) -> Outcome:
    """Take frames out of a hostile file."""
    began = time.monotonic()
    pieces: list[bytes] = []
    code = detail = ""
    try:
        extract(source, Plan.from_json(plan or ALL), sink=pieces.append, limits=limits, jail=jail)
    except FotogramaError as error:
        if error.code.cause not in ENDINGS:
            raise
        code, detail = error.code.name, error.detail
    seconds = time.monotonic() - began
    assert seconds < min(MOST_SECONDS, 2 * limits.wall_seconds + 5), (source, seconds)
    return Outcome(code, detail, None if code else Archive(b"".join(pieces)), seconds)


def at_once(work: Callable[[Path], T], paths: Iterable[Path]) -> dict[str, T]:
    """The work on many files, as many at a time as there are processors, by the files' names."""
    paths = list(paths)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip([path.name for path in paths], pool.map(work, paths), strict=True))


def decoders() -> list[psutil.Process]:
    """The jailed processes that this one has started and that still run."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and "fotograma.child" in " ".join(child.cmdline()):
                found.append(child)
    return found


@dataclass(frozen=True)
class Held:
    """What this process holds of the system."""

    descriptors: int
    threads: int
    decoders: int

    @classmethod
    def now(cls) -> "Held":
        """At this moment."""
        process = psutil.Process()
        return cls(process.num_fds(), process.num_threads(), len(decoders()))

    def is_given_back(self) -> bool:
        """Whether no more is held than then."""
        now = Held.now()
        if now.descriptors > self.descriptors:
            # What nobody can reach any more is closed when it is found.
            gc.collect()
            now = Held.now()
        return now.descriptors <= self.descriptors and now.threads <= self.threads and now.decoders <= self.decoders


@dataclass
class Cost:
    """What decoding processes took."""

    peak_bytes: int = 0
    """Most memory that one of them ever held; each keeps count of its own (VmHWM)."""


@contextmanager
def weigh() -> Iterator[Cost]:
    """Watch the memory of all decoding processes that start and end meanwhile."""
    cost = Cost()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            for child in decoders():
                with contextlib.suppress(OSError, StopIteration):
                    lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
                    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
                    cost.peak_bytes = max(cost.peak_bytes, peak)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield cost
    finally:
        over.set()
        watcher.join()
    assert cost.peak_bytes, "not one decoding process was seen"


def within(seconds: float) -> Limits:
    """The usual limits, but for the time."""
    return replace(QUICK, wall_seconds=seconds)
