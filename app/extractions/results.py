"""What a segment leaves in storage: its run of ZIP entries as one object, its manifest rows as another.

Keys carry segment and token, so that nothing is ever overwritten and what a dead worker left is told by its token.
"""

import json
import re
import uuid
from dataclasses import asdict, dataclass
from typing import Any

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


@dataclass(frozen=True)
class Rows:
    """What is known of a segment's frames."""

    source: dict[str, Any]
    """The manifest's word on the video, by who decoded it: another stream of it has another."""
    engine: dict[str, str]
    """What decoded and encoded."""
    rows: list[Row]


def write_rows(storage: ObjectSink, place: Place, segment: Rows) -> None:
    """Leave the rows of a segment: a line that says where they come from, then a line each."""
    with storage.open_writer(place.rows, content_type="application/jsonl") as writer:
        writer.write(json.dumps({"source": segment.source, "engine": segment.engine}).encode() + b"\n")
        for row in segment.rows:
            writer.write(json.dumps(asdict(row)).encode() + b"\n")


def read_rows(storage: ObjectSource, place: Place) -> Rows:
    """What `write_rows` left."""
    head, *rows = b"".join(storage.read(place.rows)).splitlines()
    return Rows(**json.loads(head), rows=[Row(**json.loads(row)) for row in rows])
