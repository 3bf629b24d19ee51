"""What a segment leaves in storage is found again by its place, and only by its place."""

import uuid

import pytest

from app.database import new_id
from app.extractions.results import Place, Rows, place_of, read_rows, write_rows
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


@pytest.fixture
def place(storage: Storage):
    place = Place(new_id(), new_id(), 3)
    yield place
    storage.delete_prefix(f"results/{place.extraction_id}")


@pytest.mark.parametrize("rows", [[], [ROW, ROW]])
def test_rows_come_back_as_they_were(storage: Storage, place: Place, rows: list[Row]):
    segment = Rows(source={"name": "a.mp4"}, engine={"av": "18"}, rows=rows)
    write_rows(storage, place, segment)

    assert read_rows(storage, place) == segment


def test_a_key_tells_whose_it_is(place: Place):
    for key in (place.entries, place.rows, place.archive):
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
