"""The table of an MP4 says what its packets say, or nothing."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fotograma import sample_table
from fotograma.limits import Limits
from fotograma.packets import DISCARD, PacketIndex
from fotograma.readers import DescriptorReader
from fotograma.video import open_video
from tests.broken_clips import edit_start
from tests.clips import draw_clip
from tests.fotograma.conftest import Draw


def both(path: Path) -> tuple[PacketIndex | None, PacketIndex]:
    """The index out of the table, and the one that reading all packets gives."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        reader = DescriptorReader(descriptor)
        with (
            open_video(reader.clone(), limits=Limits()) as video,
            open_video(reader.clone(), limits=Limits()) as again,
        ):
            return sample_table.index(reader, video), again.index()
    finally:
        os.close(descriptor)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    how=st.fixed_dictionaries(
        {
            "codec": st.sampled_from(["libx264", "libx265", "mpeg4", "mjpeg", "prores_ks", "libsvtav1"]),
            "frames": st.integers(1, 40),
            "gop": st.integers(1, 20),
            "b_frames": st.integers(0, 3),
            "start": st.sampled_from([0, Fraction(1, 2), 3]),
            "audio": st.booleans(),
        }
    ),
    suffix=st.sampled_from(["mp4", "mov"]),
    gaps=st.none() | st.lists(st.integers(1, 9), min_size=39, max_size=39),
)
def test_the_table_says_what_the_packets_say(
    how: dict[str, Any], suffix: str, gaps: list[int] | None, tmp_path: Path
) -> None:
    if how["codec"] in ("libsvtav1", "prores_ks"):
        suffix = {"libsvtav1": "mp4", "prores_ks": "mov"}[how["codec"]]
    times = None if gaps is None else [Fraction(sum(gaps[:number]), 50) for number in range(how["frames"])]
    path = draw_clip(tmp_path / f"clip.{suffix}", times=times, **how).path

    table, read = both(path)

    assert table == read


def test_packets_before_an_edit_are_marked(draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "edited.mp4"
    path.write_bytes(draw("plain.mp4", gop=12, b_frames=2).path.read_bytes())
    edit_start(path, media_time=8 * 512)

    table, read = both(path)

    assert table == read
    assert any(flags & DISCARD for flags in read.flags)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("fragments.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("clip.mkv", {}),
        ("clip.ts", {}),
        ("clip.mp4", {"codec": "libvpx-vp9"}),
    ],
)
def test_where_only_packets_tell_there_is_no_table(name: str, how: dict[str, Any], draw: Draw) -> None:
    table, read = both(draw(name, **how).path)

    assert table is None
    assert len(read) == 50


def test_a_table_of_other_length_is_not_believed(draw: Draw, tmp_path: Path) -> None:
    data = bytearray(draw("plain.mp4", gop=12, b_frames=2).path.read_bytes())
    place = data.index(b"ctts")
    # The first run of display delays is one picture longer than it was.
    data[place + 15] += 1
    path = tmp_path / "lies.mp4"
    path.write_bytes(data)

    assert both(path)[0] is None
