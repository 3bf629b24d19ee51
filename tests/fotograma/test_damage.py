"""What is wrong with a file is told: beside the frames where there are any, by its code where there are none."""

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.stream import Disposition
from av.video.stream import VideoStream

from fotograma.errors import FotogramaError
from fotograma.limits import Limits
from tests import broken_clips
from tests.attacks import bombs, encryption
from tests.clips import AUDIO_RATE, add_silence, draw_clip, paint
from tests.fotograma.conftest import Draw, Take

ALL = {"mode": "all"}
INDEX_FIRST = {"movflags": "faststart"}


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", {"container_options": INDEX_FIRST}),
        ("a.mkv", {}),
        ("a.webm", {"codec": "libvpx-vp9"}),
        ("a.ts", {}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.flv", {}),
    ],
)
def test_a_file_cut_short_gives_its_frames_and_says_so(
    name: str, how: dict[str, Any], draw: Draw, take: Take, tmp_path: Path
) -> None:
    clip = draw(name, **how)
    cut = broken_clips.truncate(clip.path, tmp_path / name, keep=0.6)

    archive = take(cut, ALL)

    assert "TRUNCATED" in archive.warnings
    assert archive.numbers[:10] == list(range(10))
    assert len(archive.numbers) < clip.frames


def test_a_file_whose_index_was_cut_off_is_no_video(draw: Draw, tmp_path: Path, code_of: "CodeOf") -> None:
    cut = broken_clips.truncate(draw("a.mp4").path, tmp_path / "cut.mp4", keep=0.6)

    assert code_of(cut) == "NOT_A_VIDEO"


def test_flipped_bits_are_told_and_the_good_frames_kept(draw: Draw, take: Take, tmp_path: Path) -> None:
    whole = draw("a.mp4", container_options=INDEX_FIRST)
    flipped = broken_clips.flip_bits(whole.path, tmp_path / "flipped.mp4", flips=20, first=0.6, last=1)

    archive = take(flipped, ALL | {"checksums": True})
    good = take(whole, ALL | {"checksums": True})

    assert "DAMAGED" in archive.warnings
    assert [row["md5"] for row in archive.frames[:10]] == [row["md5"] for row in good.frames[:10]]
    assert archive.times == sorted(archive.times)


@pytest.mark.parametrize("seed", range(4))
def test_a_decoder_that_is_closed_amid_damage_lets_go(draw: Draw, take: Take, tmp_path: Path, seed: int) -> None:
    whole = draw("long.mp4", frames=150, gop=75, size=(1280, 720), container_options=INDEX_FIRST)
    flipped = broken_clips.flip_bits(whole.path, tmp_path / "flipped.mp4", flips=300, first=0.3, last=1, seed=seed)

    archive = take(flipped, {"mode": "every", "seconds": 1}, limits=Limits(wall_seconds=20))

    assert archive.frames


def test_a_stream_that_begins_without_its_key_frame_tells_what_is_missing(
    draw: Draw, take: Take, tmp_path: Path
) -> None:
    headless = broken_clips.drop_packets(draw("a.ts").path, tmp_path / "headless.ts", drop={0})

    archive = take(headless, ALL)

    assert archive.numbers == list(range(12, 50))
    assert archive.times[0] == 0
    assert archive.warnings == ["PACKETS_WITHOUT_FRAMES"]


def test_a_stream_without_times_counts_by_its_rate(draw: Draw, take: Take) -> None:
    archive = take(draw("raw.h264"), {"mode": "every", "seconds": 0.5})

    assert archive.numbers == [0, 12, 25, 37]
    assert archive.warnings == ["MISSING_TIMES"]


def test_times_that_run_backwards_are_held(draw: Draw, take: Take, tmp_path: Path) -> None:
    plain = draw("intra.mkv", codec="mjpeg", frames=8)
    times = [0, 40, 80, 120, 400, 200, 240, 280]
    backward = broken_clips.shuffle_times(plain.path, tmp_path / "backward.mkv", pts=times)

    archive = take(backward, ALL)

    assert archive.numbers == list(range(8))
    assert archive.times == [0, 0.04, 0.08, 0.12, 0.4, 0.4, 0.4, 0.4]
    assert archive.warnings == ["BACKWARD_TIMES"]
    assert [row["name"] for row in archive.frames[-2:]] == ["frame_00h00m00.400s_3.jpg", "frame_00h00m00.400s_4.jpg"]


def test_of_frames_held_at_one_time_the_last_is_on_screen(draw: Draw, take: Take, tmp_path: Path) -> None:
    plain = draw("intra.mkv", codec="mjpeg", frames=8)
    times = [0, 40, 80, 120, 400, 200, 240, 280]
    backward = broken_clips.shuffle_times(plain.path, tmp_path / "backward.mkv", pts=times)

    assert take(backward, {"mode": "at", "seconds": [0.4]}).numbers == [7]


def test_each_frame_keeps_its_own_size(draw: Draw, take: Take, tmp_path: Path) -> None:
    small = draw("small.ts", frames=10, b_frames=0)
    large = draw("large.ts", frames=10, b_frames=0, size=(320, 192), first_number=10, start=Fraction(10, 25))
    joined = broken_clips.concatenate([small.path, large.path], tmp_path / "joined.ts")

    archive = take(joined, ALL)

    assert archive.numbers == list(range(20))
    assert [(row["width"], row["height"]) for row in archive.frames] == [(160, 96)] * 10 + [(320, 192)] * 10
    assert [pixels.shape[1] for pixels in archive.pictures] == [160] * 10 + [320] * 10
    assert archive.times == pytest.approx([number / 25 for number in range(20)])
    assert archive.warnings == ["SIZE_CHANGES"]
    assert take(joined, {"mode": "at", "seconds": [0.6]}).warnings == ["SIZE_CHANGES"]


@pytest.mark.parametrize("name", ["wrap.ts", "wrap.mpg"])
def test_a_clock_that_wraps_goes_on(name: str, draw: Draw, take: Take) -> None:
    how = {"codec": "mpeg2video", "b_frames": 0} if name.endswith("mpg") else {}
    # A second before the 33 bits of the container's clock are full.
    clip = draw(name, start=Fraction(2**33, 90_000) - 1, **how)

    archive = take(clip, ALL)

    assert archive.times == pytest.approx([number / 25 for number in range(50)])
    assert archive.warnings == []


@pytest.mark.parametrize(
    ("lie", "b_frames"), [("durations-of-nothing", 0), ("durations-of-nothing", 2), ("durations-of-136-years", 2)]
)
def test_times_that_make_no_sense_are_told(lie: str, b_frames: int, draw: Draw, take: Take, tmp_path: Path) -> None:
    (tmp_path / "lie.mp4").write_bytes(bombs.lie(draw("a.mp4", b_frames=b_frames), lie))

    assert "BACKWARD_TIMES" in take(tmp_path / "lie.mp4", ALL).warnings


def test_a_clock_without_ticks_is_told(draw: Draw, take: Take, tmp_path: Path) -> None:
    (tmp_path / "lie.mp4").write_bytes(bombs.lie(draw("a.mp4"), "timescale-0"))

    archive = take(tmp_path / "lie.mp4", ALL)

    assert archive.warnings != [] or len(archive.frames) == 50


def test_a_gap_of_years_is_not_filled(draw: Draw, take: Take) -> None:
    clip = draw("years.mkv", times=[0, 0.04, 10**9], frames=3)
    began = time.monotonic()

    archive = take(clip, {"mode": "every", "seconds": 1})

    assert time.monotonic() - began < 10
    assert archive.numbers == [0, 1, 2]
    assert archive.warnings == ["TARGETS_CUT"]
    assert archive.frames[-1]["name"] == "frame_277777h46m40.000s.jpg"


def test_a_picture_of_one_pixel_is_a_picture(draw: Draw, take: Take) -> None:
    clip = draw("dot.mkv", codec="ffv1", size=(1, 1), frames=3, pixel_format="yuv444p")

    archive = take(clip, ALL)

    assert [pixels.shape[:2] for pixels in archive.pictures] == [(1, 1)] * 3


CodeOf = Callable[..., str]


@pytest.fixture
def code_of(take: Take) -> CodeOf:
    """`code_of(path)`: the code that it fails with."""

    def code_of(path: Path, plan: dict[str, Any] = ALL, **more: Any) -> str:
        with pytest.raises(FotogramaError) as failed:
            take(path, plan, **more)
        return failed.value.code.name

    return code_of


NO_VIDEOS: dict[str, Callable[[], bytes]] = {
    "empty.mp4": lambda: b"",
    "zeros.mp4": lambda: bytes(100_000),
    "text.mp4": lambda: b"Once upon a time there was no video.\n" * 100,
    "page.webm": lambda: b"<!doctype html><title>404</title><p>Not found",
    "archive.mp4": lambda: b"PK\x05\x06" + bytes(18),
    "photo.mp4": lambda: broken_clips.picture_file(".jpg"),
    "photo.mov": lambda: broken_clips.picture_file(".png"),
    "photo.mkv": lambda: broken_clips.picture_file(".webp"),
    "list.mp4": lambda: b"ffconcat version 1.0\nfile other.mp4\n",
    "list.m3u8": lambda: b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n",
    "session.sdp": lambda: b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("name", NO_VIDEOS)
def test_what_is_no_video_is_refused_whatever_its_name(name: str, tmp_path: Path, code_of: CodeOf) -> None:
    (tmp_path / name).write_bytes(NO_VIDEOS[name]())
    # What a playlist would find beside it, if it were believed.
    draw_clip(tmp_path / "other.mp4", frames=2)
    draw_clip(tmp_path / "other.ts", frames=2)

    assert code_of(tmp_path / name) == "NOT_A_VIDEO"


@pytest.mark.parametrize("cover", [False, True])
def test_sound_is_no_video_not_even_with_a_cover(cover: bool, tmp_path: Path, code_of: CodeOf) -> None:
    assert code_of(broken_clips.draw_sound(tmp_path / "sound.mkv", cover=cover)) == "NO_VIDEO_STREAM"


def test_sound_with_a_cover_in_an_mp4_is_no_video(tmp_path: Path, code_of: CodeOf) -> None:
    with av.open(str(tmp_path / "song.mp4"), "w") as output:
        sound = output.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        cover = output.add_stream("mjpeg", rate=25)
        assert isinstance(cover, VideoStream)
        cover.width, cover.height, cover.pix_fmt = 160, 96, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(paint(7, width=160, height=96), format="rgb24")
        output.mux([*cover.encode(picture.reformat(format="yuvj420p")), *cover.encode(None)])
        add_silence(output, sound, seconds=1)

    assert code_of(tmp_path / "song.mp4") == "NO_VIDEO_STREAM"


def test_a_stream_that_is_no_video_stream_is_refused(draw: Draw, code_of: CodeOf) -> None:
    clip = draw("sound.mp4", audio=True)

    assert code_of(clip.path, ALL | {"stream": 1}) == "NO_VIDEO_STREAM"
    assert code_of(clip.path, ALL | {"stream": 7}) == "NO_VIDEO_STREAM"


def test_an_encrypted_video_is_refused(draw: Draw, tmp_path: Path, code_of: CodeOf) -> None:
    assert code_of(broken_clips.encrypt(draw("a.mp4").path, tmp_path / "secret.mp4")) == "ENCRYPTED"


CODECS = ["libx264", "libx265", "libsvtav1"]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("layout", [{}, encryption.FRAGMENTS], ids=["whole", "fragments"])
def test_a_video_whose_samples_are_encrypted_is_refused(
    codec: str, layout: dict[str, str], tmp_path: Path, code_of: CodeOf
) -> None:
    secret = encryption.draw_encrypted(tmp_path / "secret.mp4", codec=codec, container_options=layout)

    assert code_of(secret) == "ENCRYPTED"


@pytest.mark.parametrize("plan", [ALL, {"mode": "at", "seconds": [0]}], ids=["all", "first"])
@pytest.mark.parametrize(
    "descriptions",
    [1, 2],
)
@pytest.mark.parametrize("codec", CODECS)
def test_a_video_that_begins_clear_and_goes_on_encrypted_is_refused(
    codec: str, descriptions: int, plan: dict[str, Any], tmp_path: Path, code_of: CodeOf
) -> None:
    secret = encryption.draw_clear_lead(
        tmp_path / "secret.mp4", clear_fragments=2, descriptions=descriptions, codec=codec
    )

    assert code_of(secret, plan) == "ENCRYPTED"


@pytest.mark.parametrize("extended", [False, True])
def test_windows_media_with_protection_is_refused(extended: bool, draw: Draw, tmp_path: Path, code_of: CodeOf) -> None:
    secret = encryption.protect_asf(draw("a.wmv", codec="wmv2").path, tmp_path / "secret.wmv", extended=extended)

    assert code_of(secret) == "ENCRYPTED"


def test_a_head_without_pictures_has_no_frames(draw: Draw, tmp_path: Path, code_of: CodeOf) -> None:
    data = draw("a.mp4", container_options=encryption.FRAGMENTS).path.read_bytes()
    (tmp_path / "head.mp4").write_bytes(data[: data.index(b"moof") - 4])

    assert code_of(tmp_path / "head.mp4") == "NO_FRAMES"


def test_pictures_that_are_all_damaged_are_no_frames(draw: Draw, tmp_path: Path, code_of: CodeOf) -> None:
    clip = draw("ten.mp4", frames=10, container_options=INDEX_FIRST)
    data = bytearray(clip.path.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin:] = bytes(len(data) - begin)
    (tmp_path / "blank.mp4").write_bytes(data)

    assert code_of(tmp_path / "blank.mp4") == "NO_FRAMES"


def test_a_codec_that_is_not_listed_is_refused(tmp_path: Path, code_of: CodeOf) -> None:
    draw_clip(tmp_path / "rare.avi", codec="snow", frames=2, options={"strict": "experimental"})

    assert code_of(tmp_path / "rare.avi") == "CODEC_NOT_ALLOWED"


@pytest.mark.parametrize("plan", [{"mode": "all", "start": 60}, {"mode": "at", "seconds": [60]}])
def test_a_range_without_frames_selects_nothing(plan: dict[str, Any], draw: Draw, code_of: CodeOf) -> None:
    assert code_of(draw("a.mp4").path, plan) == "NOTHING_SELECTED"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(max_pixels=160 * 96 - 1), "LIMIT_PIXELS"),
        (Limits(max_streams=1), "LIMIT_STREAMS"),
        (Limits(max_frames=10), "LIMIT_FRAMES"),
        (Limits(max_bytes=5000), "LIMIT_BYTES"),
    ],
)
@pytest.mark.parametrize("jail", [True, False])
def test_what_passes_a_limit_fails_with_its_code(
    limits: Limits, code: str, jail: bool, draw: Draw, code_of: CodeOf
) -> None:
    assert code_of(draw("sound.mp4", audio=True).path, ALL, limits=limits, jail=jail) == code


def test_as_many_frames_as_the_limit_allows_are_no_failure(draw: Draw, take: Take) -> None:
    assert len(take(draw("a.mp4"), ALL, limits=Limits(max_frames=50)).frames) == 50


def test_times_past_the_end_are_told(draw: Draw, take: Take) -> None:
    archive = take(draw("a.mp4"), {"mode": "at", "seconds": [0, 60, 70]})

    assert archive.numbers == [0]
    assert archive.warnings == ["PAST_THE_END"]
    assert "2 times" in archive.manifest["warnings"][0]["detail"]
