"""Killing at random, and people who go on uploading meanwhile."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2
import psutil

from tests.clips import Clip
from tests.end_to_end.service import Person, Service, decoders

# A client's patience with a service that is being killed: it asks again, as Retry-After tells it to.
AGAIN_SECONDS = 0.5


@dataclass
class Havoc:
    """Kills with SIGKILL, one process at a time, and starts it again, as a supervisor would."""

    service: Service
    chance: random.Random
    spared: set[int] = field(default_factory=set)
    """Process ids that nobody kills."""
    killed: Counter[str] = field(default_factory=Counter)

    def kill_something(self, *names: str) -> None:
        """One of what is named: `worker`, `decoder`, `api`, `broker`, `database`."""
        name = self.chance.choice(names)
        if name == "worker":
            worker = self.chance.choice([one for one in self.service.workers if one.pid not in self.spared])
            worker.kill()
            self.service.workers.remove(worker)
            self.service.start_workers()
        elif name == "decoder":
            found = [decoder for worker in self.service.workers for decoder in decoders(worker)]
            if not found:
                return
            self.chance.choice(found).kill()
        else:
            self.service.processes[name].kill()
            self.service.begin_again(name)
        self.killed[name] += 1


class Uploader(threading.Thread):
    """Uploads again and again, evenly over the time, and again where it is not acknowledged."""

    def __init__(self, people: list[Person], clips: list[Clip], *, uploads: int, seconds: float) -> None:
        super().__init__(name="uploader")
        self.answers: Counter[int] = Counter()
        self.failure: Exception | None = None
        self._people, self._clips = people, clips
        self._uploads, self._pause_seconds = uploads, seconds / uploads

    def run(self) -> None:
        """Upload until all are acknowledged."""
        next_at = time.monotonic()
        try:
            for number in range(self._uploads):
                self._upload(number)
                next_at += self._pause_seconds
                time.sleep(max(0, next_at - time.monotonic()))
        except Exception as error:
            self.failure = error

    def _upload(self, number: int) -> None:
        turn, whose = divmod(number, len(self._people))
        person = self._people[whose]
        # Each of a person's videos asks for other frames, so that no work is spared.
        plan = f'{{"mode": "every", "seconds": {1 + turn / 100}}}'
        while True:
            try:
                answer = person.try_upload(self._clips[turn % len(self._clips)].path, plan=plan)
            except httpx2.TransportError:
                self.answers[0] += 1
            else:
                self.answers[answer.status_code] += 1
                if answer.status_code == 202:
                    return
                assert answer.status_code in (429, 503), answer.text
            time.sleep(AGAIN_SECONDS)


@dataclass
class Footprint:
    """What processes take, over time."""

    pids: list[int]
    samples: list[tuple[float, int]] = field(default_factory=list)
    """MiB resident, and descriptors, of all together."""

    def look(self) -> None:
        """One more sample."""
        processes = [psutil.Process(pid) for pid in self.pids]
        memory = sum(process.memory_info().rss for process in processes) / 2**20
        self.samples.append((memory, sum(process.num_fds() for process in processes)))

    def growth(self) -> tuple[float, float]:
        """From the second quarter to the last one, as parts of one: of memory, and of descriptors."""
        quarter = len(self.samples) // 4
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]

        def median(samples: list[tuple[float, int]], place: int) -> float:
            return sorted(sample[place] for sample in samples)[len(samples) // 2]

        memory, descriptors = (median(late, place) / median(early, place) - 1 for place in (0, 1))
        return memory, descriptors
