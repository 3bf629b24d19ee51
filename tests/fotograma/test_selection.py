import time
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fotograma.plan import Plan
from fotograma.selection import Choice, choose
from tests.selection_rule import wanted

TICK = Fraction(1, 1000)
NTSC = Fraction(1001, 30000)
YEAR_SECONDS = 31_556_952


def chosen(
    plan: dict[str, Any],
    ticks: Sequence[int],
    *,
    keys: Sequence[int] = (0,),
    time_base: Fraction = TICK,
    end_ticks: int | None = None,
) -> list[Choice]:
    key_frames = [index in keys for index in range(len(ticks))]
    end = ticks[-1] + 1 if end_ticks is None else end_ticks
    return choose(Plan.from_json(plan), ticks, key_frames, time_base=time_base, end_ticks=end)


def indexes(plan: dict[str, Any], ticks: Sequence[int], **more: Any) -> list[int]:
    return [choice.index for choice in chosen(plan, ticks, **more)]


# Ten frames, 0.4 s each: times 0, 0.4 ... 3.6, and the last ends at 4.
SLOW = range(0, 4000, 400)


def test_every_takes_the_frame_on_screen_at_each_target() -> None:
    assert indexes({"mode": "every", "seconds": 1}, SLOW) == [0, 2, 5, 7]


def test_every_takes_a_frame_from_the_moment_of_its_time() -> None:
    assert indexes({"mode": "every", "seconds": 0.4}, SLOW) == list(range(10))


def test_every_ends_with_the_time_of_the_last_frame_not_with_its_end() -> None:
    assert indexes({"mode": "every", "seconds": 3.6}, SLOW, end_ticks=9000) == [0, 9]
    assert indexes({"mode": "every", "seconds": 3.7}, SLOW, end_ticks=9000) == [0]


def test_a_frame_on_screen_at_several_targets_is_taken_once_and_tells_them() -> None:
    choices = chosen({"mode": "every", "seconds": 0.7}, [0, 1500, 2500])

    assert choices == [
        Choice(0, (Fraction(0), Fraction(7, 10), Fraction(14, 10))),
        # 2.8 s lies behind the last frame.
        Choice(1, (Fraction(21, 10),)),
    ]


def test_a_fraction_of_a_second_is_exact() -> None:
    ticks = [round(k * 700) for k in range(1000)]

    assert indexes({"mode": "every", "seconds": 0.7}, ticks) == list(range(1000))


def test_fps_of_the_video_itself_takes_each_frame() -> None:
    assert indexes({"mode": "every", "fps": "30000/1001"}, range(3000), time_base=NTSC) == list(range(3000))


def test_every_second_of_ntsc_drifts_as_its_times_do() -> None:
    assert indexes({"mode": "every", "seconds": 1}, range(91), time_base=NTSC) == [0, 29, 59, 89]


def test_of_equal_times_the_last_decoded_wins() -> None:
    assert indexes({"mode": "every", "seconds": 1}, [0, 0, 1000, 1000, 1000, 1500]) == [1, 4]
    assert indexes({"mode": "at", "seconds": [1]}, [0, 1000, 1000]) == [2]


def test_a_gap_of_years_costs_nothing_and_invents_nothing() -> None:
    began = time.monotonic()
    choices = chosen({"mode": "every", "seconds": 0.001}, [0, 100 * YEAR_SECONDS * 1000])

    assert time.monotonic() - began < 1
    assert [choice.index for choice in choices] == [0, 1]
    assert choices[0].targets_left_out + len(choices[0].targets) == 100 * YEAR_SECONDS * 1000


def test_count_divides_the_whole_range() -> None:
    assert indexes({"mode": "count", "n": 4}, SLOW, end_ticks=4000) == [0, 2, 5, 7]
    assert indexes({"mode": "count", "n": 1}, SLOW, end_ticks=4000) == [0]


def test_count_beyond_the_frames_takes_each_once() -> None:
    assert indexes({"mode": "count", "n": 50_000}, SLOW, end_ticks=4000) == list(range(10))


def test_count_within_a_range() -> None:
    assert indexes({"mode": "count", "n": 2, "start": 1, "end": 3}, SLOW, end_ticks=4000) == [2, 5]
    assert indexes({"mode": "count", "n": 2, "start": 2, "end": 900}, SLOW, end_ticks=4000) == [5, 7]


def test_count_from_behind_the_end_takes_nothing() -> None:
    assert indexes({"mode": "count", "n": 2, "start": 5}, SLOW, end_ticks=4000) == []


def test_at_takes_the_frame_on_screen_until_it_ends() -> None:
    assert indexes({"mode": "at", "seconds": [3.99, 0, 0.39, 0.4]}, SLOW, end_ticks=4000) == [0, 1, 9]


def test_at_behind_the_last_frame_takes_nothing() -> None:
    assert indexes({"mode": "at", "seconds": [4, 1000]}, SLOW, end_ticks=4000) == []


def test_every_nth_counts_from_the_first_frame_whatever_the_start() -> None:
    assert indexes({"mode": "every_nth", "n": 3}, SLOW) == [0, 3, 6, 9]
    assert indexes({"mode": "every_nth", "n": 3, "start": 1}, SLOW) == [3, 6, 9]


def test_keyframes_and_all() -> None:
    assert indexes({"mode": "keyframes"}, SLOW, keys=(0, 4, 9)) == [0, 4, 9]
    assert indexes({"mode": "keyframes", "start": 0.1}, SLOW, keys=(0, 4, 9)) == [4, 9]
    assert indexes({"mode": "all"}, [0, 0, 5]) == [0, 1, 2]


def test_the_range_is_half_open() -> None:
    assert indexes({"mode": "all", "start": 0.4, "end": 1.2}, SLOW) == [1, 2]
    assert indexes({"mode": "every", "seconds": 0.4, "start": 0.4, "end": 1.2}, SLOW) == [1, 2]
    assert indexes({"mode": "at", "seconds": [0.3, 0.4, 1.2], "start": 0.4, "end": 1.2}, SLOW) == [1]


def test_every_counts_its_targets_from_the_start() -> None:
    assert indexes({"mode": "every", "seconds": 1, "start": 0.5}, SLOW) == [1, 3, 6, 8]


def test_limit_takes_the_first() -> None:
    assert indexes({"mode": "all", "limit": 2, "start": 1}, SLOW) == [3, 4]
    assert indexes({"mode": "every", "seconds": 1, "limit": 3}, SLOW) == [0, 2, 5]


def test_snap_takes_the_nearest_key_frame() -> None:
    snap = {"mode": "at", "snap": "keyframe"}

    assert indexes(snap | {"seconds": [1.5]}, SLOW, keys=(0, 3, 6)) == [3]
    assert indexes(snap | {"seconds": [3.9]}, SLOW, keys=(0, 3, 6), end_ticks=4000) == [6]
    assert indexes(snap | {"seconds": [0]}, SLOW, keys=(3, 6)) == [3]
    assert indexes(snap | {"seconds": [1]}, SLOW, keys=()) == []


def test_half_way_between_two_key_frames_snap_takes_the_earlier() -> None:
    assert indexes({"mode": "at", "seconds": [0.6], "snap": "keyframe"}, SLOW, keys=(0, 3)) == [0]


time_bases = st.sampled_from([TICK, NTSC, Fraction(1, 25), Fraction(1, 90_000), Fraction(1, 12_800), Fraction(7, 3)])
decimals = st.fractions(min_value=0, max_value=12, max_denominator=1000)


@st.composite
def videos(draw: st.DrawFn) -> tuple[list[int], list[bool], Fraction, int]:
    """Ticks, key frames, time base and end of a short video of about ten seconds."""
    time_base = draw(time_bases)
    longest = max(1, int(2 / time_base))
    steps = draw(st.lists(st.one_of(st.just(0), st.integers(0, longest), st.just(1)), max_size=25))
    ticks = [0]
    for step in steps:
        ticks.append(ticks[-1] + step)
    key_frames = draw(st.lists(st.booleans(), min_size=len(ticks), max_size=len(ticks)))
    return ticks, key_frames, time_base, ticks[-1] + draw(st.integers(1, longest))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A plan whose choice is by time, small enough for a naive judge."""
    mode = draw(
        st.one_of(
            st.fractions(min_value=Fraction(1, 20), max_value=20, max_denominator=1001).map(
                lambda seconds: {"mode": "every", "seconds": str(seconds)}
            ),
            st.integers(1, 7).map(lambda n: {"mode": "every_nth", "n": n}),
            st.integers(1, 60).map(lambda n: {"mode": "count", "n": n}),
            st.lists(decimals.map(str), min_size=1, max_size=20).map(lambda times: {"mode": "at", "seconds": times}),
            st.sampled_from([{"mode": "keyframes"}, {"mode": "all"}]),
        )
    )
    rest: dict[str, Any] = {"start": str(draw(st.one_of(st.just(Fraction(0)), decimals)))}
    if draw(st.booleans()):
        rest["end"] = str(Fraction(rest["start"]) + draw(decimals.filter(bool)))
    if draw(st.booleans()):
        rest["limit"] = draw(st.integers(1, 10))
    if draw(st.booleans()):
        rest["snap"] = "keyframe"
    return Plan.from_json(mode | rest)


@given(videos(), plans())
def test_the_choice_is_that_of_the_rule(video: tuple[list[int], list[bool], Fraction, int], plan: Plan) -> None:
    ticks, key_frames, time_base, end_ticks = video
    expected = wanted(plan, [tick * time_base for tick in ticks], key_frames, end=end_ticks * time_base)

    choices = choose(plan, ticks, key_frames, time_base=time_base, end_ticks=end_ticks)

    assert [(choice.index, choice.targets) for choice in choices] == expected


@pytest.mark.parametrize("plan", [{"mode": "scenes"}, {"mode": "best", "seconds": 1}])
def test_where_pictures_choose_each_frame_of_the_range_is_looked_at(plan: dict[str, Any]) -> None:
    assert indexes(plan | {"start": 1, "end": 2, "limit": 1}, SLOW) == [3, 4]
