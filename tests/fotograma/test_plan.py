import contextlib
import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fotograma.errors import PlanError
from fotograma.plan import Every, Plan
from fotograma.seconds import parse_seconds

EVERY = {"mode": "every", "seconds": 2}


@pytest.mark.parametrize(
    "values",
    [
        {"mode": "every", "seconds": 2},
        {"mode": "every", "seconds": 0.7},
        {"mode": "every", "fps": "30000/1001"},
        {"mode": "every_nth", "n": 30},
        {"mode": "count", "n": 12},
        {"mode": "at", "seconds": [1, 2.5, 67.2]},
        {"mode": "keyframes"},
        {"mode": "scenes", "threshold": 27},
        {"mode": "best", "seconds": 2},
        {"mode": "all"},
        {"mode": "all", "start": 1.5, "end": 9, "limit": 3, "dedupe": 6, "snap": "keyframe", "stream": 1},
        {"mode": "all", "format": "png", "quality": 50, "width": 640, "height": 360, "crop": [0, 8, 320, 200]},
        {"mode": "all", "square_pixels": True, "tone_map": False, "checksums": True, "scores": True},
    ],
)
def test_a_plan_becomes_its_json_again(values: dict[str, Any]) -> None:
    plan = Plan.from_json(values)

    assert plan.to_json() == values
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_defaults_are_left_out_and_null_means_default() -> None:
    assert Plan.from_json(EVERY | {"start": 0, "end": None, "quality": 90, "limit": None}).to_json() == EVERY


@given(
    st.one_of(
        st.from_regex(r"[0-9]{1,9}\.[0-9]{1,20}s?", fullmatch=True),
        st.from_regex(r"[1-9][0-9]{0,11}/[1-9][0-9]{0,11}", fullmatch=True),
        st.floats(0.001, 1e9),
        st.integers(1, 10**9),
    ),
    st.sampled_from(["seconds", "fps"]),
)
def test_a_step_that_is_accepted_survives_the_way_through_json(value: Any, field: str) -> None:
    try:
        plan = Plan.from_json({"mode": "every", field: value})
    except PlanError:
        return

    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize("seconds", [0.7, "0.7", "700ms", "7/10"])
def test_seven_tenths_are_exact(seconds: Any) -> None:
    assert Plan.from_json({"mode": "every", "seconds": seconds}).mode == Every(Fraction(7, 10))


def test_fps_is_the_inverse_of_seconds() -> None:
    assert Plan.from_json({"mode": "every", "fps": 0.5}) == Plan.from_json(EVERY)


def test_times_asked_for_are_put_in_order_once() -> None:
    plan = Plan.from_json({"mode": "at", "seconds": [3, "1", 1.0, 2]})

    assert plan.to_json()["seconds"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2),
        ("2.5", Fraction(5, 2)),
        (".5", Fraction(1, 2)),
        ("2s", 2),
        (" 2 s ", 2),
        ("500ms", Fraction(1, 2)),
        ("1m", 60),
        ("1min", 60),
        ("1.5h", 5400),
        ("00:01:07.2", Fraction(672, 10)),
        ("1:07", 67),
        ("100:00:00", 360_000),
        ("1001/30000", Fraction(1001, 30000)),
    ],
)
def test_times_are_read_as_people_write_them(text: str, seconds: Fraction) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "1e3", "nan", "inf", "2 2", "1/0", "1:2:3:4", "two", "1_000"])
def test_what_is_no_time_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(PlanError, match=r"is no time; write 2, 2\.5s, 500ms, 1m or 00:01:07\.2"):
        parse_seconds(text)


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with contextlib.suppress(PlanError):
        assert parse_seconds(text) >= 0


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1], "a plan is a JSON object such as"),
        ({}, "`mode` must be one of every, every_nth, count, at, keyframes, scenes, best, all"),
        ({"mode": "some"}, "`mode` must be one of every"),
        ({"mode": ["every"]}, "`mode` must be one of every"),
        ({"mode": "every"}, "`seconds` is missing"),
        ({"mode": "every", "seconds": 0}, "`seconds` must be from 0.001 to 1000000000"),
        ({"mode": "every", "seconds": -1}, "`seconds` must be from 0.001 to 1000000000"),
        ({"mode": "every", "seconds": 1e10}, "`seconds` must be from 0.001 to 1000000000"),
        ({"mode": "every", "seconds": True}, "`seconds` must be a number of seconds"),
        ({"mode": "every", "seconds": float("nan")}, "`seconds` must be a number of seconds"),
        ({"mode": "every", "seconds": float("inf")}, "`seconds` must be a number of seconds"),
        ({"mode": "every", "seconds": [2]}, "`seconds` must be a number of seconds"),
        ({"mode": "every", "seconds": 2, "fps": 1}, "give `seconds` or `fps`, not both"),
        ({"mode": "every", "fps": 0}, "`fps` must be larger than 0"),
        ({"mode": "every_nth"}, "`n` is missing"),
        ({"mode": "every_nth", "n": 0}, "`n` must be at least 1"),
        ({"mode": "every_nth", "n": 1.5}, "`n` must be a whole number"),
        ({"mode": "every_nth", "n": "2"}, "`n` must be a whole number"),
        ({"mode": "count", "n": 0}, "`n` must be from 1 to"),
        ({"mode": "count", "n": 10**9}, "`n` must be from 1 to"),
        ({"mode": "at", "seconds": []}, "`seconds` must list 1 to"),
        ({"mode": "at", "seconds": 2}, "`seconds` must be a list of times"),
        ({"mode": "at", "seconds": [-1]}, "`seconds` must not be negative"),
        ({"mode": "scenes", "threshold": 0}, "`threshold` must be above 0 and at most 255"),
        ({"mode": "best", "seconds": 0}, "`seconds` must be from 0.001 to 1000000000"),
        ({"mode": "all", "seconds": 2}, "a plan of mode all has no field `seconds`"),
        (EVERY | {"frame": 2}, "a plan of mode every has no field `frame`"),
        (EVERY | {"start": -1}, "`start` must not be negative"),
        (EVERY | {"start": 2, "end": 2}, "`end` must lie after `start`"),
        (EVERY | {"limit": 0}, "`limit` must be at least 1"),
        (EVERY | {"limit": True}, "`limit` must be a whole number"),
        (EVERY | {"dedupe": 65}, "`dedupe` must be from 1 to 64"),
        (EVERY | {"snap": "near"}, "`snap` must be exact or keyframe"),
        (EVERY | {"snap": 1}, "`snap` must be a text"),
        (EVERY | {"stream": -1}, "`stream` must be the index of a stream"),
        (EVERY | {"format": "bmp"}, "`format` must be one of jpg, png, webp, avif"),
        (EVERY | {"quality": 101}, "`quality` must be from 1 to 100"),
        (EVERY | {"width": 0}, "`width` must be from 1 to 16384"),
        (EVERY | {"height": 20_000}, "`height` must be from 1 to 16384"),
        (EVERY | {"crop": [0, 0, 5]}, "`crop` must be"),
        (EVERY | {"crop": [0, 0, 0, 5]}, "`crop` must be"),
        (EVERY | {"checksums": 1}, "`checksums` must be true or false"),
    ],
)
def test_each_refusal_says_what_is_wrong(values: Any, sentence: str) -> None:
    with pytest.raises(PlanError) as refused:
        Plan.from_json(values)

    assert refused.value.sentence.startswith(sentence)
    assert refused.value.code.exit_status == 2


def test_a_refused_plan_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="`limit` must be at least 1"):
        Plan(Every(Fraction(1)), limit=0)
