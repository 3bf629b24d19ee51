"""Keeps the parts running: a dead one is started again, and all end in order."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from app.local_stack import data_folder
from app.local_stack.errors import StackError
from app.local_stack.processes import Part, Process, rest

DEATHS = 3
DEATHS_WITHIN_SECONDS = 60


@dataclass
class _Watched:
    process: Process
    deaths: list[float] = field(default_factory=list)
    restart_at: float | None = None


class Supervisor:
    """The processes of one run, in the order they were started. `is_ending` is set when it is asked to end; a plain
    flag, since what sets it is a signal handler, which deadlocks on the lock of a threading.Event."""

    def __init__(self, folder: Path, *, tell: Callable[[str], None]) -> None:
        self.is_ending = False
        self._folder = folder
        self._tell = tell
        self._watched: list[_Watched] = []
        self._passing: list[Process] = []
        # What runs beside the service comes and goes by a thread of its own.
        self._recording = threading.Lock()

    def start(self, *parts: Part) -> None:
        """Start parts that don't wait for each other, and return once all are healthy."""
        began = time.monotonic()
        new = [_Watched(self._launch(part)) for part in parts]
        self._watched.extend(new)
        self._record()
        for watched in new:
            watched.process.wait_until_healthy(self.pause)
            self._tell(f"{watched.process.part.name} is up ({time.monotonic() - began:.1f} s)")

    def run(self, part: Part) -> None:
        """Run a part that does one thing, to its end; on any thread."""
        process = self._launch(part)
        self._passing.append(process)
        self._record()
        try:
            process.wait_until_done(self.pause)
        finally:
            process.kill()
            self._passing.remove(process)
            self._record()
        self._tell(f"{part.name} done")

    def pause(self) -> None:
        """Wait a moment; KeyboardInterrupt when asked to end."""
        rest()
        if self.is_ending:
            raise KeyboardInterrupt

    def watch(self) -> NoReturn:
        """Start again what died, until asked to end."""
        while True:
            self.pause()
            for watched in self._watched:
                if watched.restart_at is None:
                    self._look_after(watched)
                elif time.monotonic() >= watched.restart_at:
                    watched.process = self._launch(watched.process.part)
                    watched.restart_at = None
                    self._record()

    def end(self) -> None:
        """End what serves, all at once, and then what it stood on, the last started first."""
        self.is_ending = True
        data_folder.say_ending(self._folder)
        for process in [*self._passing]:
            process.kill()
        running = [watched.process for watched in reversed(self._watched)]
        serving = [process for process in running if not process.part.is_foundation]
        began = time.monotonic()
        for process in serving:
            process.ask_to_stop()
        for process in serving:
            process.end_by(began + process.part.stop_within_seconds)
        for process in running:
            process.stop()
        self._watched.clear()
        self._record()

    def _launch(self, part: Part) -> Process:
        return Process(part, log=self._folder / "logs" / f"{part.name.lower().replace(' ', '-')}.log")

    def _record(self) -> None:
        with self._recording:
            data_folder.record(self._folder, [watched.process for watched in self._watched] + self._passing)

    def _look_after(self, watched: _Watched) -> None:
        process = watched.process
        if process.is_running():
            return
        # Its children must not go on beside those of the next one.
        process.kill()
        now = time.monotonic()
        watched.deaths = [death for death in watched.deaths if now - death < DEATHS_WITHIN_SECONDS] + [now]
        if len(watched.deaths) == DEATHS:
            raise StackError(f"{process.part.name} ended {DEATHS} times within a minute: {process.last_words()}")
        pause_seconds = 2 ** (len(watched.deaths) - 1)
        watched.restart_at = now + pause_seconds
        self._tell(
            f"{process.part.name} ended ({process.how_it_ended()}) and is started again in {pause_seconds} s: "
            f"{process.last_words()}"
        )
