"""Selection: plan + frame times -> the frames wanted. Pure integer arithmetic; knows nothing of decoding.

A frame is *on screen* from its own time until the next frame's. Times are ticks of the stream's time base, counted from
the first frame; whatever a plan says in seconds is compared exactly, never rounded.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from fotograma.plan import All, At, Best, Count, Every, EveryNth, Keyframes, Plan, Scenes

MOST_TARGETS_LISTED = 1000
"""Targets told for one frame: a picture on screen for years would otherwise fill the manifest."""


@dataclass(frozen=True)
class Choice:
    """A frame that the plan wants."""

    index: int
    """Its place in presentation order, from 0."""
    targets: tuple[Fraction, ...] = ()
    """The times asked for (seconds) that this frame answers."""
    targets_left_out: int = 0
    """How many more there are than are listed."""


class Selector:
    """Takes frames in presentation order and tells which are wanted, at most one frame late.

    `scenes` and `best` choose by pictures; for these, and for `dedupe`, it tells the frames to look at.
    """

    def __init__(self, plan: Plan, *, time_base: Fraction, end_ticks: int | None = None) -> None:
        """
        Args:
            plan: what to take.
            time_base: seconds of one tick.
            end_ticks: the end of the last frame, which `count` divides by; the others need none.
        """
        self._plan = plan
        self._time_base = time_base
        # Whole ticks to compare with: `t * time_base >= start` is the same as `t >= ceil(start / time_base)`.
        self._start_ticks = math.ceil(plan.start / time_base)
        self._end_ticks = math.inf if plan.end is None else math.ceil(plan.end / time_base)
        self._index = -1
        self._last_ticks = 0
        self._candidate: tuple[int, int] | None = None
        self._targets: _Targets | None = None
        match plan.mode:
            case Every(seconds):
                self._targets = _Series(plan.start, seconds, end=plan.end)
            case Count(n):
                if end_ticks is None:
                    raise ValueError("count needs the end of the last frame")
                end = end_ticks * time_base if plan.end is None else min(plan.end, end_ticks * time_base)
                step = (end - plan.start) / n
                self._targets = _Series(plan.start, step, end=end) if step > 0 else _Listed(())
            case At(seconds):
                self._targets = _Listed(tuple(s for s in seconds if plan.start <= s and not _past(s, plan.end)))
            case _:
                pass
        self._due_ticks = self._next_due()

    def feed(self, ticks: int, *, key_frame: bool) -> Iterator[Choice]:
        """The next frame, at `ticks` (not before the one fed last). Yields what is now certain to be wanted."""
        self._index += 1
        self._last_ticks = ticks
        if self._targets is None:
            if self._wants(ticks, key_frame=key_frame):
                yield Choice(self._index)
            return
        if self._plan.snap == "keyframe" and not key_frame:
            return
        if self._candidate is not None:
            index, since = self._candidate
            if self._plan.snap == "keyframe":
                # The nearer of two key frames; half-way, the earlier; of two of the same time, the later decoded.
                until = (since + ticks) * self._time_base / 2
                if ticks > since:
                    yield from self._answer(index, self._targets.take(until, inclusive=True))
            elif ticks >= self._due_ticks:
                yield from self._answer(index, self._targets.take(ticks * self._time_base, inclusive=False))
                self._due_ticks = self._next_due()
        self._candidate = (self._index, ticks)

    def finish(self, *, end_ticks: int | None = None) -> Iterator[Choice]:
        """There are no more frames; the last one ends at `end_ticks`. Yields the last choice, if there is one."""
        if self._targets is None or self._candidate is None:
            return
        index, _ = self._candidate
        last = self._last_ticks * self._time_base
        if isinstance(self._plan.mode, Every) or end_ticks is None or end_ticks <= self._last_ticks:
            yield from self._answer(index, self._targets.take(last, inclusive=True))
        else:
            yield from self._answer(index, self._targets.take(end_ticks * self._time_base, inclusive=False))

    @property
    def undecided(self) -> int | None:
        """Index of the one frame fed before whose fate a later frame decides."""
        return self._candidate[0] if self._candidate else None

    @property
    def done(self) -> bool:
        """Whether no later frame can be wanted."""
        if self._targets is not None:
            return self._targets.upcoming is None
        return self._last_ticks >= self._end_ticks

    @property
    def targets_past_the_end(self) -> int:
        """Listed times that no frame answered (after `finish`)."""
        return self._targets.left if isinstance(self._targets, _Listed) else 0

    def _wants(self, ticks: int, *, key_frame: bool) -> bool:
        if not self._start_ticks <= ticks < self._end_ticks:
            return False
        match self._plan.mode:
            case EveryNth(n):
                return self._index % n == 0
            case Keyframes():
                return key_frame
            case All() | Scenes() | Best():
                return True
        raise AssertionError(self._plan.mode)

    def _next_due(self) -> float:
        """The first tick from which the frame before can have answered a target."""
        upcoming = self._targets.upcoming if self._targets else None
        return math.inf if upcoming is None else math.floor(upcoming / self._time_base) + 1

    def _answer(self, index: int, taken: "_Taken") -> Iterator[Choice]:
        if taken.count:
            yield Choice(index, taken.listed, taken.count - len(taken.listed))


def choose(
    plan: Plan, ticks: Sequence[int], key_frames: Sequence[bool], *, time_base: Fraction, end_ticks: int
) -> list[Choice]:
    """The frames that `plan` wants of a video whose frame times are known.

    Args:
        plan: what to take.
        ticks: time of each frame in presentation order, counted from the first, never falling.
        key_frames: which of them are key frames.
        time_base: seconds of one tick.
        end_ticks: the end of the last frame.
    """
    selector = Selector(plan, time_base=time_base, end_ticks=end_ticks)
    choices: list[Choice] = []
    for frame_ticks, key_frame in zip(ticks, key_frames, strict=True):
        choices.extend(selector.feed(frame_ticks, key_frame=key_frame))
        if selector.done:
            break
    else:
        choices.extend(selector.finish(end_ticks=end_ticks))
    # Where pictures choose, the limit counts what they leave over.
    return choices if plan.chooses_by_picture else choices[: plan.limit]


def looked_at(plan: Plan, choices: Iterable[Choice]) -> list[int]:
    """The places of the frames that must be decoded: the chosen ones, and those that they are compared with."""
    places = {choice.index for choice in choices}
    if plan.scores or isinstance(plan.mode, Scenes):
        places |= {place - 1 for place in places if place}
    return sorted(places)


@dataclass(frozen=True)
class _Taken:
    listed: tuple[Fraction, ...]
    count: int


class _Series:
    """start, start + step, start + 2 * step... below `end`, taken from the front."""

    def __init__(self, start: Fraction, step: Fraction, *, end: Fraction | None) -> None:
        self._start, self._step, self._end = start, step, end
        self._next = 0

    def take(self, until: Fraction, *, inclusive: bool) -> _Taken:
        """The targets up to `until`; counted by division, so that a gap of years costs nothing."""
        if self._end is not None and self._end <= until:
            until, inclusive = self._end, False
        steps = (until - self._start) / self._step
        beyond = steps.__floor__() + 1 if inclusive else steps.__ceil__()
        first, self._next = self._next, max(self._next, beyond)
        last_listed = min(self._next, first + MOST_TARGETS_LISTED)
        return _Taken(
            tuple(self._start + k * self._step for k in range(first, last_listed)), max(0, self._next - first)
        )

    @property
    def upcoming(self) -> Fraction | None:
        """The first target not taken yet, if there is one."""
        target = self._start + self._next * self._step
        return None if _past(target, self._end) else target


class _Listed:
    """Times in rising order, taken from the front."""

    def __init__(self, seconds: tuple[Fraction, ...]) -> None:
        self._seconds = seconds
        self._next = 0

    def take(self, until: Fraction, *, inclusive: bool) -> _Taken:
        """The targets up to `until`."""
        taken = tuple(
            itertools.takewhile(
                lambda seconds: seconds < until or (inclusive and seconds == until), self._seconds[self._next :]
            )
        )
        self._next += len(taken)
        return _Taken(taken[:MOST_TARGETS_LISTED], len(taken))

    @property
    def upcoming(self) -> Fraction | None:
        """The first target not taken yet, if there is one."""
        return self._seconds[self._next] if self.left else None

    @property
    def left(self) -> int:
        """How many were never taken."""
        return len(self._seconds) - self._next


_Targets = _Series | _Listed


def _past(seconds: Fraction, end: Fraction | None) -> bool:
    return end is not None and seconds >= end
