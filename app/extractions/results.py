"""What a segment leaves in storage: its run of ZIP entries as one object, its manifest rows as another.

Keys carry segment and token, so that nothing is ever overwritten and what a dead worker left is told by its token.
"""

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from app.storage import ObjectSink, ObjectSource
from fotograma.manifest import Row


@dataclass(frozen=True)
class Place:
    """Where one holder of a segment writes."""

    extraction_id: uuid.UUID
    segment_id: uuid.UUID
    token: int

    @property
    def prefix(self) -> str:
        """The folder of this holder."""
        return f"{self.segment_prefix}{self.token}/"

    @property
    def segment_prefix(self) -> str:
        """The folder of all holders of the segment."""
        return f"results/{self.extraction_id}/{self.segment_id}/"

    @property
    def entries(self) -> str:
        """Key of the run of entries."""
        return f"{self.prefix}entries"

    @property
    def rows(self) -> str:
        """Key of the manifest rows."""
        return f"{self.prefix}rows"

    @property
    def archive(self) -> str:
        """Key of the archive, where the segment is the join."""
        return f"{self.prefix}frames.zip"


KEY = re.compile(r"results/([0-9a-f-]{36})/([0-9a-f-]{36})/([0-9]{1,9})/.+")


def place_of(key: str) -> Place | None:
    """Whose object it is; None where it is none of ours."""
    found = KEY.fullmatch(key)
    if found is None:
        return None
    try:
        return Place(uuid.UUID(found[1]), uuid.UUID(found[2]), int(found[3]))
    except ValueError:
        return None


def write_rows(storage: ObjectSink, place: Place, *, engine: dict[str, str], rows: Sequence[Row]) -> None:
    """Leave the rows of a segment: a line that says what decoded them, then a line each."""
    with storage.open_writer(place.rows, content_type="application/jsonl") as writer:
        writer.write(json.dumps(engine).encode() + b"\n")
        for row in rows:
            writer.write(json.dumps(asdict(row)).encode() + b"\n")


def read_rows(storage: ObjectSource, place: Place) -> tuple[dict[str, str], list[Row]]:
    """What `write_rows` left."""
    engine, *rows = b"".join(storage.read(place.rows)).splitlines()
    return json.loads(engine), [Row(**json.loads(row)) for row in rows]
