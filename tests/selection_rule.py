"""The selection rule, slow and naive, written from its text alone: the judge of what the engine chooses.

Times are seconds from the first frame and never fall.
"""

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction

from fotograma.plan import All, At, Count, Every, EveryNth, Keyframes, Plan


def wanted(
    plan: Plan, times: Sequence[Fraction], key_frames: Sequence[bool], *, end: Fraction
) -> list[tuple[int, tuple[Fraction, ...]]]:
    """Index of each frame that the plan wants of a video whose last frame ends at `end`, and the targets it answers."""
    match plan.mode:
        case Every() | Count() | At():
            answers: dict[int, tuple[Fraction, ...]] = {}
            for target in targets(plan, last=times[-1], end=end):
                if plan.snap == "keyframe":
                    index = nearest_key_frame(times, key_frames, target)
                else:
                    index = on_screen(times, target)
                if index is not None:
                    answers[index] = (*answers.get(index, ()), target)
            return sorted(answers.items())[: plan.limit]
        case EveryNth(n):
            fitting = [index % n == 0 for index in range(len(times))]
        case Keyframes():
            fitting = list(key_frames)
        case All():
            fitting = [True] * len(times)
        case _:
            raise NotImplementedError(plan.mode)
    in_range = [plan.start <= time and (plan.end is None or time < plan.end) for time in times]
    indexes = [index for index in range(len(times)) if fitting[index] and in_range[index]]
    return [(index, ()) for index in indexes[: plan.limit]]


def targets(plan: Plan, *, last: Fraction, end: Fraction) -> Iterator[Fraction]:
    """The times asked for that lie in the plan's range and in the video."""
    match plan.mode:
        case Every(seconds):
            asked: Iterator[Fraction] = itertools.takewhile(
                lambda target: target <= last, (plan.start + k * seconds for k in itertools.count())
            )
        case Count(n):
            until = end if plan.end is None else min(plan.end, end)
            asked = (plan.start + k * (until - plan.start) / n for k in range(n if until > plan.start else 0))
        case At(listed):
            asked = (target for target in listed if target < end)
        case _:
            raise NotImplementedError(plan.mode)
    return (target for target in asked if plan.start <= target and (plan.end is None or target < plan.end))


def on_screen(times: Sequence[Fraction], target: Fraction) -> int | None:
    """The last frame whose time is not after `target`."""
    return max((index for index, time in enumerate(times) if time <= target), default=None)


def nearest_key_frame(times: Sequence[Fraction], key_frames: Sequence[bool], target: Fraction) -> int | None:
    """The key frame nearest to `target`; half-way, the earlier; of equal times the last decoded."""
    keys = [index for index, key in enumerate(key_frames) if key]
    return min(keys, key=lambda index: (abs(times[index] - target), times[index], -index), default=None)
