"""Lets all do the same work in turn, and keeps who was right and how long each took."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path

import av

from benchmarks import measuring, peers, verifying
from benchmarks.measuring import LIMIT, US, Failed, Run

# A peer that took so many times as long as the fastest in the first round isn't run again.
HOPELESS = 1.4
# What takes less is run so often, whatever is asked: a few hundredths of a second of chance would decide.
SHORT_SECONDS, SHORT_ROUNDS = 1.5, 5


@dataclass(frozen=True)
class Took:
    """What somebody took for a work: medians of the rounds."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    rounds: int
    fault: str = ""
    """How its frames differ from ours, or why there are none."""


@dataclass(frozen=True)
class Case:
    """One work on one input."""

    name: str
    work: str
    seconds: float
    """Length of the input."""
    frames: int
    took: dict[str, Took] = field(default_factory=dict)

    @property
    def us(self) -> Took:
        """Ourselves."""
        return self.took[US]

    @property
    def best_peer(self) -> str | None:
        """The fastest of those that gave the right frames."""
        right = [who for who, took in self.took.items() if who not in (US, LIMIT) and not took.fault]
        return min(right, key=lambda who: self.took[who].wall_seconds, default=None)


def compare(video: Path, *, work: str, name: str, installed: list[str], rounds: int, folder: Path) -> Case:
    """Measure all who can do the work, in turn, and check each one's frames against ours."""
    able = [US, LIMIT, *(peer for peer in installed if peers.can(peer, work))]
    runs: dict[str, list[Run]] = {who: [] for who in able}
    faults: dict[str, str] = {}
    ours = folder / "ours.zip"
    for number in range(max(rounds, SHORT_ROUNDS)):
        if number >= rounds and runs[US][0].wall_seconds > SHORT_SECONDS:
            break
        for who in able if number == 0 else _hopeful(runs, faults):
            output = ours if who == US else folder / "theirs.zip"
            arguments = measuring.command(who, work=work, video=video, output=output)
            try:
                runs[who].append(measuring.limit_run(arguments) if who == LIMIT else measuring.run(arguments))
            except Failed as error:
                if who == US:
                    raise
                faults[who] = str(error)
                continue
            if number == 0 and who not in (US, LIMIT):
                faults[who] = verifying.differences(ours, output)
            if who != US:
                output.unlink(missing_ok=True)
    frames = verifying.frames(ours)
    took = {who: _median(found, fault=faults.get(who, "")) for who, found in runs.items()}
    return Case(name, work, _seconds(video), frames, took)


def _hopeful(runs: dict[str, list[Run]], faults: dict[str, str]) -> list[str]:
    first = {who: found[0].wall_seconds for who, found in runs.items() if found and not faults.get(who)}
    best = min((seconds for who, seconds in first.items() if who not in (US, LIMIT)), default=0)
    return [who for who in first if who in (US, LIMIT) or first[who] <= HOPELESS * best]


def _median(found: list[Run], *, fault: str) -> Took:
    if not found:
        return Took(0, 0, 0, 0, fault)
    return Took(
        statistics.median(run.wall_seconds for run in found),
        statistics.median(run.cpu_seconds for run in found),
        max(run.peak_bytes for run in found),
        len(found),
        fault,
    )


def _seconds(video: Path) -> float:
    with av.open(video) as container:
        return (container.duration or 0) / av.time_base
