"""What a segment leaves in storage is found again by its place, and only by its place."""

import uuid
from dataclasses import replace

import pytest

from app.database import new_id
from app.extractions.results import (
    Origin,
    Place,
    Rows,
    place_of,
    read_origin,
    read_rows,
    read_some_rows,
    read_thumbnail,
    write_rows,
)
from app.storage import Storage
from fotograma.manifest import Row

ROW = Row(
    name="frame_00h00m00.000s.jpg",
    sequence=0,
    index=None,
    pts=-512,
    time_base="1/12800",
    time_seconds=0.1,
    key_frame=True,
    width=160,
    height=96,
    bytes=1234,
    sha256="ab" * 32,
    targets=[0, 0.7, "1/3"],
    scores={"sharpness": 12.5},
    md5=None,
    crc=2**32 - 1,
    offset=2**33,
)
ORIGIN = Origin(source={"name": "férias.mp4"}, engine={"av": "18"})


@pytest.fixture
def place(storage: Storage):
    place = Place(new_id(), new_id(), 3)
    yield place
    storage.delete_prefix(f"results/{place.extraction_id}")


@pytest.mark.parametrize("rows", [[], [ROW, ROW]])
def test_rows_come_back_as_they_were(storage: Storage, place: Place, rows: list[Row]):
    segment = Rows(ORIGIN, rows, thumbnail_bytes=[5] * len(rows))
    write_rows(storage, place, segment)

    assert read_rows(storage, place) == segment
    assert read_origin(storage, place, rows=len(rows)) == ORIGIN


def test_any_frame_is_found_without_the_others(storage: Storage, place: Place):
    rows = [replace(ROW, sequence=number, name="é" * number) for number in range(9)]
    thumbnails = [b"%d" % number * number for number in range(9)]
    with storage.open_writer(place.thumbnails, content_type="application/octet-stream") as writer:
        writer.write(b"".join(thumbnails))
    write_rows(storage, place, Rows(ORIGIN, rows, [len(thumbnail) for thumbnail in thumbnails]))

    assert [read_some_rows(storage, place, range(number, 9)) for number in range(10)] == [rows[n:] for n in range(10)]
    assert [read_some_rows(storage, place, range(number)) for number in range(10)] == [rows[:n] for n in range(10)]
    assert [read_thumbnail(storage, place, number) for number in range(9)] == thumbnails


def test_a_key_tells_whose_it_is(place: Place):
    for key in (place.entries, place.rows, place.thumbnails, place.archive):
        assert place_of(key) == place


@pytest.mark.parametrize(
    "key",
    [
        "results/readme",
        f"results/{uuid.uuid4()}/{uuid.uuid4()}/x/entries",
        f"results/{uuid.uuid4()}/{uuid.uuid4()}/1",
        f"results/{'-' * 36}/{uuid.uuid4()}/1/entries",
        f"videos/{uuid.uuid4()}/{uuid.uuid4()}/1/entries",
    ],
)
def test_other_keys_are_nobodys(key: str):
    assert place_of(key) is None
