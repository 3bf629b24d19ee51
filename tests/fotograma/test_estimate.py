"""What an extraction would give, told before anything is decoded."""

from fractions import Fraction

import pytest

from fotograma.estimate import START_SECONDS, Estimate, estimate
from fotograma.packets import KEY, PacketIndex
from fotograma.plan import All, At, Best, Crop, Every, Keyframes, Mode, Plan

MEDIA = {"first_pts": 0, "width": 1920, "height": 1080, "rotation": 0, "codec": "h264"}
KEY_BYTES, OTHER_BYTES = 250_000, 20_000


def packets(count: int, *, gop: int = 10, key_bytes: int = KEY_BYTES) -> PacketIndex:
    """Ten a second."""
    index = PacketIndex(Fraction(1, 10))
    for number in range(count):
        is_key = number % gop == 0
        size = key_bytes if is_key else OTHER_BYTES
        index.add(pts=number, dts=number, duration=1, size=size, position=-1, flags=KEY if is_key else 0)
    return index


def of(mode: Mode, *, count: int = 100, media: dict = MEDIA, **more) -> Estimate:
    return estimate(Plan(mode, **more), packets(count), media)


def working_seconds(told: Estimate) -> float:
    return told.seconds - START_SECONDS


def test_frames_and_times_are_those_of_the_selection():
    told = of(Every(Fraction(5, 2)))

    assert (told.frames, told.times) == (4, [0, 2.5, 5, 7.5])


def test_the_limit_counts():
    assert of(All(), limit=7).frames == 7


def test_times_are_listed_up_to_a_thousand():
    told = of(All(), count=3000)

    assert (told.frames, len(told.times)) == (3000, 1000)


def test_a_plan_that_chooses_nothing_costs_next_to_nothing():
    told = of(At((Fraction(500),)))

    assert told == Estimate(frames=0, bytes=0, seconds=START_SECONDS, times=[])


@pytest.mark.parametrize("plan", [Plan(Best(Fraction(1))), Plan(All(), dedupe=4)])
def test_where_pictures_choose_only_the_time_is_told(plan: Plan):
    told = estimate(plan, packets(100), MEDIA)

    assert (told.frames, told.bytes, told.times) == (None, None, [])
    assert working_seconds(told) > 0


def test_a_range_costs_its_share():
    whole, tenth = of(Best(Fraction(1))), of(Best(Fraction(1)), end=Fraction(1))

    assert working_seconds(tenth) == pytest.approx(working_seconds(whole) / 10, rel=0.05)


def test_key_frames_cost_less_than_the_frames_before_the_next():
    on_key_frames, before_the_next = of(Keyframes()), of(At(tuple(Fraction(9, 10) + k for k in range(10))))

    assert on_key_frames.frames == before_the_next.frames == 10
    assert working_seconds(before_the_next) > 3 * working_seconds(on_key_frames)


def test_better_pictures_are_larger_and_smaller_ones_smaller():
    sizes = [of(All(), quality=quality).bytes for quality in (1, 30, 50, 75, 90, 95, 100)]

    assert sizes == sorted(sizes)
    assert of(All(), width=960).bytes == pytest.approx(of(All()).bytes / 4, rel=0.05)
    assert of(All(), crop=Crop(960, 540, 2000, 2000)).bytes == pytest.approx(of(All()).bytes / 4, rel=0.05)
    assert of(All(), format="webp").bytes < of(All(), format="avif").bytes < of(All()).bytes
    assert of(All()).bytes < of(All(), format="png").bytes


def test_larger_key_frames_tell_of_larger_pictures_unless_nothing_is_lost_in_them():
    def jpegs(codec: str, key_bytes: int) -> int | None:
        return estimate(Plan(All()), packets(100, key_bytes=key_bytes), {**MEDIA, "codec": codec}).bytes

    assert jpegs("h264", 20_000) < jpegs("h264", 200_000) < jpegs("h264", 500_000)
    assert jpegs("hevc", 400_000) > jpegs("h264", 400_000)
    assert jpegs("ffv1", 200_000) == jpegs("ffv1", 2_000_000)


def test_a_turned_video_fits_by_its_upright_sides():
    upright = of(All(), width=1080, media={**MEDIA, "rotation": 90})

    assert upright.bytes == of(All()).bytes
