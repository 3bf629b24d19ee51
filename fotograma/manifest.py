"""The manifest: which frames are in the archive, when they are, and where they come from."""

import csv
import hashlib
import io
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from fotograma.archive import Entry, EntryWriter
from fotograma.plan import ImageFormat, Plan
from fotograma.records import Picture
from fotograma.seconds import plain_seconds

VERSION = 1


@dataclass(frozen=True)
class Row:
    """A frame of the manifest, and where its picture lies in the archive."""

    name: str
    sequence: int
    index: int | None
    pts: int
    time_base: str
    time_seconds: float
    key_frame: bool
    width: int
    height: int
    bytes: int
    sha256: str
    targets: list[float | int | str]
    scores: dict[str, float] | None
    md5: str | None
    crc: int
    offset: int

    def to_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        shown = dict(vars(self))
        del shown["crc"], shown["offset"]
        for optional in ("scores", "md5"):
            if shown[optional] is None:
                del shown[optional]
        return shown

    @property
    def entry(self) -> Entry:
        """Its place in the archive."""
        return Entry(self.name, self.bytes, self.crc, self.offset)

    def moved(self, *, sequence: int, offset: int) -> "Row":
        """The row of a segment, whose first frame comes as number `sequence` and lies at `offset` in the whole."""
        return replace(self, sequence=sequence + self.sequence, offset=offset + self.offset)


class Namer:
    """Names files by their frame's time; a second frame of the same millisecond gets `_2`."""

    def __init__(self, suffix: ImageFormat) -> None:
        self._suffix = suffix
        self._stem = ""
        self._same = 0

    def name(self, time_seconds: Fraction) -> str:
        """The name of the next frame."""
        milliseconds = int(time_seconds * 1000 + Fraction(1, 2))
        seconds, milliseconds = divmod(milliseconds, 1000)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        stem = f"frame_{hours:02d}h{minutes:02d}m{seconds:02d}.{milliseconds:03d}s"
        self._same = self._same + 1 if stem == self._stem else 1
        self._stem = stem
        return f"{stem}{f'_{self._same}' if self._same > 1 else ''}.{self._suffix}"


def row(picture: Picture, entry: Entry, *, sequence: int, time_base: Fraction, first_pts: int) -> Row:
    """The row of a picture that was stored as `entry`."""
    return Row(
        name=entry.name,
        sequence=sequence,
        index=picture.index,
        pts=picture.pts,
        # The same text for all.
        time_base=sys.intern(str(time_base)),
        time_seconds=float(round((picture.pts - first_pts) * time_base, 9)),
        key_frame=picture.key_frame,
        width=picture.width,
        height=picture.height,
        bytes=entry.size,
        sha256=hashlib.sha256(picture.data).hexdigest(),
        targets=[plain_seconds(target) for target in picture.targets],
        scores=picture.scores,
        md5=picture.md5,
        crc=entry.crc,
        offset=entry.offset,
    )


def close(
    sink: EntryWriter,
    rows: Sequence[Row],
    *,
    source: dict[str, Any],
    plan: Plan,
    engine: dict[str, str],
    warnings: Iterable[dict[str, str]],
) -> None:
    """Write both manifests behind the pictures, and the directory."""
    sink.add("manifest.json", as_json(rows, source=source, plan=plan, engine=engine, warnings=warnings))
    sink.add("manifest.csv", as_csv(rows))
    sink.finish()


def as_json(
    rows: Sequence[Row],
    *,
    source: dict[str, Any],
    plan: Plan,
    engine: dict[str, str],
    warnings: Iterable[dict[str, str]],
) -> bytes:
    """`manifest.json`: a line a frame, so that it can be read by eye and by line."""
    head = {"version": VERSION, "source": source, "plan": plan.to_json(), "engine": engine}
    # Sorted, so that a source that went through a database is the same bytes.
    opening = json.dumps(head, ensure_ascii=False, indent=1, sort_keys=True)[:-2]
    closing = json.dumps(list(warnings), ensure_ascii=False)
    # Not joined at the end: of an hour of frames, each copy is 35 MB.
    out = io.BytesIO()
    out.write(f'{opening},\n "frames": [\n'.encode())
    for number, item in enumerate(rows):
        out.write((",\n" if number else "").encode() + json.dumps(item.to_json(), ensure_ascii=False).encode())
    out.write(f'\n],\n "warnings": {closing}\n}}\n'.encode())
    return out.getvalue()


def as_csv(rows: Sequence[Row]) -> bytes:
    """`manifest.csv`: the frame rows; lists within a cell are separated by spaces."""
    out = io.BytesIO()
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    columns = list(Row.__dataclass_fields__)[:-2]
    scores = sorted({name for item in rows for name in item.scores or ()})
    columns.remove("scores")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, *scores])
    for item in rows:
        values = item.to_json()
        values["targets"] = " ".join(str(target) for target in item.targets)
        values["key_frame"] = str(item.key_frame).lower()
        writer.writerow(
            [*(values.get(column) for column in columns), *((item.scores or {}).get(name) for name in scores)]
        )
    text.flush()
    return out.getvalue()
