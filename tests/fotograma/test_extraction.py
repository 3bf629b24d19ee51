import hashlib
import io
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fotograma
from fotograma.errors import FotogramaError
from fotograma.extraction import Progress, extract, probe
from fotograma.plan import Plan
from tests.clips import draw_clip, paint, read_number, set_matrix
from tests.fotograma.conftest import Archive, Draw, Take, decode_picture

HALF_SECONDS = {"mode": "every", "seconds": 0.5}


def test_frames_are_named_by_their_time(draw: Draw, take: Take) -> None:
    archive = take(draw("a.mp4"), HALF_SECONDS)

    with zipfile.ZipFile(io.BytesIO(archive.data)) as zipped:
        assert zipped.namelist() == [
            "frame_00h00m00.000s.jpg",
            "frame_00h00m00.480s.jpg",
            "frame_00h00m01.000s.jpg",
            "frame_00h00m01.480s.jpg",
            "manifest.json",
            "manifest.csv",
        ]


def test_the_manifest_says_which_frames_there_are(draw: Draw, take: Take) -> None:
    archive = take(draw("a.mp4"), HALF_SECONDS)
    row = archive.frames[1]
    picture = archive.read(row["name"])

    assert row == {
        "name": "frame_00h00m00.480s.jpg",
        "sequence": 1,
        "index": 12,
        "pts": row["pts"],
        "time_base": "1/12800",
        "time_seconds": 0.48,
        "key_frame": True,
        "width": 160,
        "height": 96,
        "bytes": len(picture),
        "sha256": hashlib.sha256(picture).hexdigest(),
        "targets": [0.5],
    }


def test_the_manifest_says_what_was_asked_and_of_what(draw: Draw, take: Take) -> None:
    clip = draw("sound.mp4", audio=True)
    manifest = take(clip, HALF_SECONDS).manifest

    assert manifest["version"] == 1
    assert manifest["plan"] == HALF_SECONDS
    assert manifest["warnings"] == []
    assert set(manifest["engine"]) >= {"fotograma", "av", "ffmpeg", "opencv"}
    assert manifest["engine"]["fotograma"] == fotograma.__version__
    source = manifest["source"]
    assert source["name"] == "sound.mp4"
    assert source["bytes"] == clip.path.stat().st_size
    assert source["container"].startswith("mov,mp4")
    assert (source["codec"], source["pixel_format"], source["bit_depth"]) == ("h264", "yuv420p", 8)
    assert (source["width"], source["height"], source["rotation"]) == (160, 96, 0)
    assert (source["frame_rate"], source["variable_frame_rate"]) == ("25", False)
    assert (source["duration_seconds"], source["frames"]) == (2, 50)
    assert source["sample_aspect_ratio"] in ("1", "1:1", "1/1")
    assert set(source["color"]) == {"primaries", "transfer", "matrix", "range"}
    assert [(stream["index"], stream["type"]) for stream in source["streams"]] == [(0, "video"), (1, "audio")]


def test_a_video_of_uneven_frames_says_so(draw: Draw) -> None:
    facts = probe(draw("uneven.mp4", times=[0, 0.04, 0.5, 0.54, 2]).path)

    assert facts.media["variable_frame_rate"] is True
    assert facts.media["frames"] == 5


def test_the_table_has_the_rows_of_the_manifest(draw: Draw, take: Take) -> None:
    archive = take(draw("a.mp4"), {"mode": "every", "seconds": 0.02, "end": 0.1, "checksums": True})

    assert [row["targets"] for row in archive.csv_rows] == ["0 0.02", "0.04 0.06", "0.08"]
    for told, row in zip(archive.csv_rows, archive.frames, strict=True):
        for column in ("name", "sequence", "index", "pts", "time_base", "time_seconds", "sha256", "bytes", "md5"):
            assert told[column] == str(row[column])
        assert told["key_frame"] == str(row["key_frame"]).lower()


def test_checksums_are_told_only_when_asked_for(draw: Draw, take: Take) -> None:
    assert "md5" not in take(draw("a.mp4"), HALF_SECONDS).frames[0]


def test_scores_are_told_when_asked_for(draw: Draw, take: Take) -> None:
    [first, second] = take(draw("a.mp4"), HALF_SECONDS | {"limit": 2, "scores": True}).frames

    assert "scores" in first
    assert all(isinstance(value, float) for value in second["scores"].values())
    assert "scores" not in take(draw("a.mp4"), HALF_SECONDS).frames[0]


@pytest.mark.parametrize("plan", [HALF_SECONDS, {"mode": "all", "checksums": True}])
def test_the_same_is_asked_the_same_bytes_come(plan: dict[str, Any], draw: Draw, take: Take) -> None:
    clip = draw("deep_b_frames.mkv", b_frames=7, gop=40, frames=120)
    jailed = take(clip, plan)

    assert take(clip, plan).data == jailed.data
    assert take(clip, plan, jail=False).data == jailed.data


def test_a_descriptor_and_a_reader_give_the_bytes_of_the_path(draw: Draw, take: Take) -> None:
    path = draw("a.mp4").path
    of_path = take(path, HALF_SECONDS)

    with path.open("rb") as file:
        assert take(file.fileno(), HALF_SECONDS, name=path.name).data == of_path.data
        assert not file.closed
    assert take(BytesReader(path.read_bytes()), HALF_SECONDS, name=path.name).data == of_path.data
    assert take(BytesReader(path.read_bytes()), HALF_SECONDS, name=path.name, jail=False).data == of_path.data


class BytesReader:
    """A video in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]


def test_a_name_that_reads_as_an_address_is_only_a_name(take: Take, tmp_path: Path, draw: Draw) -> None:
    path = tmp_path / "subfile,,start,0,end,9,,:frames%03d.mp4"
    path.write_bytes(draw("a.mp4").path.read_bytes())

    assert take(path, HALF_SECONDS).numbers == [0, 12, 25, 37]


def test_a_folder_gets_files(draw: Draw, take: Take, empty_folder: Path) -> None:
    clip = draw("a.mp4")
    extract(clip.path, Plan.from_json(HALF_SECONDS), sink=empty_folder)
    archive = take(clip, HALF_SECONDS)

    with zipfile.ZipFile(io.BytesIO(archive.data)) as zipped:
        assert {path.name: path.read_bytes() for path in empty_folder.iterdir()} == {
            name: zipped.read(name) for name in zipped.namelist()
        }


def test_a_path_gets_the_zip_that_a_callable_gets(draw: Draw, take: Take, empty_folder: Path) -> None:
    clip = draw("a.mp4")
    target = empty_folder / "frames.zip"
    target.write_bytes(b"an older one")

    extract(clip.path, Plan.from_json(HALF_SECONDS), sink=target)

    assert target.read_bytes() == take(clip, HALF_SECONDS).data
    assert list(empty_folder.iterdir()) == [target]


def test_after_an_error_nothing_is_left_and_the_older_zip_stays(empty_folder: Path, tmp_path: Path) -> None:
    target = empty_folder / "frames.zip"
    target.write_bytes(b"an older one")
    (tmp_path / "text.mp4").write_text("no video")

    with pytest.raises(FotogramaError):
        extract(tmp_path / "text.mp4", Plan.from_json(HALF_SECONDS), sink=target)

    assert target.read_bytes() == b"an older one"
    assert list(empty_folder.iterdir()) == [target]


def test_where_nothing_can_be_written_the_place_is_to_blame(draw: Draw, tmp_path: Path) -> None:
    with pytest.raises(FotogramaError) as failed:
        extract(draw("a.mp4").path, Plan.from_json(HALF_SECONDS), sink=tmp_path / "no folder" / "frames.zip")

    assert failed.value.code.name == "OUTPUT_REFUSED"
    assert failed.value.detail == f"there is no folder {tmp_path / 'no folder'}"


def test_an_error_of_the_sink_ends_it_and_leaves_no_process(draw: Draw) -> None:
    before = open_descriptors()

    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        extract(draw("a.mp4").path, Plan.from_json(HALF_SECONDS), sink=full)

    assert open_descriptors() == before


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_progress_is_told_after_each_frame(draw: Draw) -> None:
    told: list[Progress] = []

    summary = extract(draw("a.mp4").path, Plan.from_json(HALF_SECONDS), sink=lambda _: None, progress=told.append)

    assert told == [Progress(done, 4) for done in (1, 2, 3, 4)]
    assert summary.frames == 4


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_come_out_upright(rotation: int, draw: Draw, take: Take) -> None:
    clip = draw("phone.mp4", rotation=rotation, size=(96, 160))

    archive = take(clip, HALF_SECONDS)

    assert archive.numbers == [0, 12, 25, 37]
    assert [(row["width"], row["height"]) for row in archive.frames] == [(96, 160)] * 4
    assert archive.pictures[0].shape == (160, 96, 3)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_drawn_rotations_are_what_ffmpeg_takes_them_for(
    rotation: int, draw: Draw, second_opinion: Callable[[str], str]
) -> None:
    clip = draw("phone.mp4", rotation=rotation, size=(96, 160))
    command = [second_opinion("ffmpeg"), "-v", "error", "-i", str(clip.path), "-frames:v", "1"]
    told = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)

    assert read_number(np.frombuffer(told.stdout, np.uint8).reshape(160, 96, 3)) == 0


@pytest.mark.parametrize(
    "matrix", [[0.72, 0.69, 0, -0.69, 0.72, 0, 0, 0, 1], [0] * 9, [-32768, 3, 5, 7, 9, 11, 13, 15, 1]]
)
def test_a_garbage_matrix_counts_as_upright(matrix: list[float], take: Take, tmp_path: Path) -> None:
    clip = draw_clip(tmp_path / "garbage.mp4")
    set_matrix(clip.path, matrix)

    assert take(clip, HALF_SECONDS).numbers == [0, 12, 25, 37]


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "avif"])
def test_each_format_is_written_and_read(kind: str, draw: Draw, take: Take) -> None:
    archive = take(draw("a.mp4"), HALF_SECONDS | {"format": kind, "limit": 2})
    magic = {"jpg": b"\xff\xd8\xff", "png": b"\x89PNG", "webp": b"RIFF", "avif": b"\0\0\0"}[kind]

    assert [row["name"] for row in archive.frames] == [f"frame_00h00m00.{time}s.{kind}" for time in ("000", "480")]
    assert all(archive.read(row["name"]).startswith(magic) for row in archive.frames)
    assert archive.numbers == [0, 12]


def test_png_of_a_lossless_rgb_video_is_what_was_drawn(draw: Draw, take: Take) -> None:
    clip = draw("rgb.mkv", codec="ffv1", pixel_format="bgr0")

    archive = take(clip, {"mode": "at", "seconds": [0.2], "format": "png"})

    assert np.array_equal(archive.pictures[0], paint(5, width=160, height=96))


def test_quality_changes_the_size_of_files(draw: Draw, take: Take) -> None:
    sizes = [take(draw("a.mp4"), HALF_SECONDS | {"quality": quality}).frames[0]["bytes"] for quality in (10, 90)]

    assert sizes[0] < sizes[1]


@pytest.mark.parametrize(
    ("plan", "size"),
    [
        ({"width": 80}, (80, 48)),
        ({"height": 48}, (80, 48)),
        ({"width": 80, "height": 80}, (80, 48)),
        ({"width": 320}, (320, 192)),
        ({"crop": [40, 0, 80, 96]}, (80, 96)),
        ({"crop": [40, 0, 80, 96], "width": 40}, (40, 48)),
    ],
)
def test_pictures_are_scaled_and_cropped(plan: dict[str, Any], size: tuple[int, int], draw: Draw, take: Take) -> None:
    archive = take(draw("a.mp4"), {"mode": "at", "seconds": [0.2]} | plan)
    [row], [pixels] = archive.frames, archive.pictures

    assert (row["width"], row["height"]) == size
    assert pixels.shape == (size[1], size[0], 3)
    if "crop" not in plan:
        assert read_number(pixels) == 5


def test_a_crop_is_taken_of_the_upright_picture(draw: Draw, take: Take) -> None:
    clip = draw("phone.mp4", rotation=90, size=(96, 160))

    [pixels] = take(clip, {"mode": "at", "seconds": [0], "crop": [0, 0, 24, 40]}).pictures

    # The one white corner block.
    assert pixels.shape == (40, 24, 3)
    assert pixels[8:-8, 8:-8].min() > 200


def test_another_stream_is_taken_by_its_index(tmp_path: Path, take: Take, draw: Draw) -> None:
    import av

    first, second = draw("first.mkv"), draw("second.mkv", first_number=1000)
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as written:
        sources = [av.open(str(clip.path)) for clip in (first, second)]
        copies = [written.add_stream_from_template(source.streams.video[0]) for source in sources]
        for source, copy in zip(sources, copies, strict=True):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    written.mux_one(packet)
            source.close()

    assert take(path, HALF_SECONDS).numbers == [0, 12, 25, 37]
    other = take(path, HALF_SECONDS | {"stream": 1})
    assert other.numbers == [1000, 1012, 1025, 1037]
    assert [stream["index"] for stream in other.manifest["source"]["streams"]] == [0, 1]


def test_the_archive_is_read_back_whole(draw: Draw, take: Take) -> None:
    archive: Archive = take(draw("a.mp4"), {"mode": "all"})
    assert archive.summary is not None

    with zipfile.ZipFile(io.BytesIO(archive.data)) as zipped:
        assert zipped.testzip() is None
    assert archive.summary.frames == 50
    assert archive.summary.bytes == sum(row["bytes"] for row in archive.frames)
    assert all(decode_picture(archive.read(row["name"])).shape == (96, 160, 3) for row in archive.frames)
