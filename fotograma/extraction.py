"""extract(): a video in, an archive or a folder of frames out."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fotograma import manifest
from fotograma.archive import EntryWriter
from fotograma.errors import FotogramaError, InputError
from fotograma.jail import Jail
from fotograma.limits import Limits
from fotograma.manifest import Namer, Row
from fotograma.packets import PacketIndex
from fotograma.plan import Plan
from fotograma.readers import Source
from fotograma.records import Facts, Finished, Picture, Warned
from fotograma.selection import choose
from fotograma.sinks import keep_source, open_sink

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Decoder(Protocol):
    """Whoever decodes: a jail, or this process."""

    def probe(self, *, stream: int | None = None) -> Facts: ...

    def pictures(
        self,
        plan: Plan,
        *,
        start_pts: int | None = None,
        end_pts: int | None = None,
        thumbnails: bool = False,
        raw: bool = False,
    ) -> Generator[Picture | Warned | Finished, None, None]: ...


@dataclass(frozen=True)
class Progress:
    """How far an extraction is."""

    frames_done: int
    frames_total: int | None
    """What the packet index lets expect; none where that can't be known."""


@dataclass(frozen=True)
class ArrayFrame:
    """A chosen frame as an array."""

    array: "npt.NDArray[np.uint8]"
    """Shape (height, width, 3), red, green, blue, upright, 0 to 255; read-only."""
    index: int | None
    """Place among the decoded frames in presentation order."""
    pts: int
    """Ticks of the stream's time base."""
    time_seconds: Fraction
    """From the first frame, exact."""
    key_frame: bool


@dataclass(frozen=True)
class Summary:
    """What came of an extraction."""

    frames: int
    bytes: int
    """Of the pictures."""
    warnings: list[dict[str, str]]
    source: dict[str, Any]
    """The manifest's word on the video."""
    engine: dict[str, str]
    """Versions of what decoded and encoded."""


@dataclass
class Collected:
    """What came out of the decoder for a range, beside the pictures themselves."""

    rows: list[Row] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)
    path: str = ""
    """How it was decoded: `sparse` or `linear`."""
    thumbnail_bytes: list[int] = field(default_factory=list)
    """The size of each row's thumbnail, where such are wanted."""


def extract(
    source: Source,
    plan: Plan,
    *,
    sink: Path | Callable[[bytes], object],
    progress: Callable[[Progress], None] | None = None,
    name: str | None = None,
    limits: Limits | None = None,
    jail: bool = True,
) -> Summary:
    """Take the frames that `plan` wants out of a video.

    Args:
        source: the video: a path, an open descriptor, or a reader with `size` and `read_at`.
        plan: which frames, and how to write them.
        sink: a path of a folder gets files, any other path a ZIP (which appears when it is whole), and a callable the
            ZIP's bytes.
        progress: called after each frame.
        name: what the manifest calls the video; a path's own name where none is given.
        limits: what the video may ask for.
        jail: decode in a locked child process. Without it, decode only what you trust.

    Returns:
        What came of it.

    Raises:
        FotogramaError: with its row of the table of codes; nothing half-written is left in a ZIP's place.
    """
    limits = limits or Limits()
    if isinstance(source, Path) and isinstance(sink, Path):
        keep_source(source, sink=sink)
    with open_sink(sink) as files, _open_decoder(source, limits=limits, jail=jail) as decoder:
        facts = decoder.probe(stream=plan.stream)
        described = describe(facts, name=name or (source.name if isinstance(source, Path) else ""), size=_size(source))
        total = None if progress is None else expected_frames(plan, facts)
        collected = Collected()
        with closing(collect(decoder, plan, facts=facts, sink=files, into=collected)) as rows:
            for _ in rows:
                if progress is not None:
                    progress(Progress(len(collected.rows), total))
        engine = {**facts.engine, "path": collected.path}
        return close(files, collected.rows, collected.warnings, source=described, plan=plan, engine=engine)


def collect(
    decoder: Decoder,
    plan: Plan,
    *,
    facts: Facts,
    sink: EntryWriter,
    into: Collected,
    start_pts: int | None = None,
    end_pts: int | None = None,
    thumbnails: Callable[[bytes], object] | None = None,
) -> Generator[Row, None, None]:
    """Write the pictures of a range to `sink` as they come (and small ones to `thumbnails`), and yield each row."""
    namer = Namer(plan.format)
    last_pts = facts.first_pts
    records = decoder.pictures(plan, start_pts=start_pts, end_pts=end_pts, thumbnails=thumbnails is not None)
    with closing(records):
        for record in records:
            if isinstance(record, Warned):
                into.warnings.append({"code": record.code, "detail": record.detail})
            elif isinstance(record, Picture):
                if record.pts < last_pts:
                    raise FotogramaError.of("DECODER_CRASHED", "frames came out of order")
                last_pts = record.pts
                file_name = namer.name((record.pts - facts.first_pts) * facts.time_base)
                row = manifest.row(
                    record,
                    sink.add(file_name, record.data),
                    sequence=len(into.rows),
                    time_base=facts.time_base,
                    first_pts=facts.first_pts,
                )
                into.rows.append(row)
                if thumbnails is not None:
                    thumbnails(record.thumbnail)
                    into.thumbnail_bytes.append(len(record.thumbnail))
                yield row
            else:
                into.path = record.path


def close(
    sink: EntryWriter,
    rows: list[Row],
    warnings: list[dict[str, str]],
    *,
    source: dict[str, Any],
    plan: Plan,
    engine: dict[str, str],
) -> Summary:
    """Write the manifests (and the directory of a ZIP) behind the frames.

    Raises:
        InputError: there is no frame at all.
    """
    if not rows:
        raise InputError("NOTHING_SELECTED")
    manifest.close(sink, rows, source=source, plan=plan, engine=engine, warnings=warnings)
    return Summary(len(rows), sum(row.bytes for row in rows), warnings, source, engine)


def describe(facts: Facts, *, name: str, size: int) -> dict[str, Any]:
    """The manifest's `source`."""
    return {"name": name, "bytes": size, **facts.media}


def expected_frames(plan: Plan, facts: Facts) -> int | None:
    """How many frames the packet index lets expect; none where only the pictures tell."""
    expected = expected_pts(plan, facts)
    return None if expected is None else len(expected)


def expected_pts(plan: Plan, facts: Facts) -> list[int] | None:
    """The times of these frames in ticks of the stream, in order."""
    if plan.chooses_by_picture:
        return None
    index = PacketIndex.from_bytes(facts.packet_index)
    timeline = index.timeline(first_pts=facts.first_pts)
    if not timeline.ticks or not index.has_times:
        return None
    choices = choose(
        plan, timeline.ticks, timeline.key_frames, time_base=timeline.time_base, end_ticks=timeline.end_ticks
    )
    return [facts.first_pts + timeline.ticks[choice.index] for choice in choices]


def frames(source: Source, plan: Plan, *, limits: Limits | None = None, jail: bool = True) -> Iterator["ArrayFrame"]:
    """The frames that `plan` wants, as arrays; its format and quality mean nothing here.

    Args:
        source: as `extract` takes it.
        plan: which frames, and their size, crop and tones.
        limits: what the video may ask for.
        jail: decode in a locked child process.

    Yields:
        Frames in presentation order.

    Raises:
        FotogramaError: with its row of the table of codes.
    """
    import numpy as np

    with _open_decoder(source, limits=limits or Limits(), jail=jail) as decoder:
        facts = decoder.probe(stream=plan.stream)
        with closing(decoder.pictures(plan, raw=True)) as records:
            for record in records:
                if isinstance(record, Picture):
                    rows = np.frombuffer(record.data, np.uint8)
                    yield ArrayFrame(
                        array=rows.reshape(record.height, record.width, -1),
                        index=record.index,
                        pts=record.pts,
                        time_seconds=(record.pts - facts.first_pts) * facts.time_base,
                        key_frame=record.key_frame,
                    )


def probe(source: Source, *, stream: int | None = None, limits: Limits | None = None, jail: bool = True) -> Facts:
    """What a video is, without taking frames out of it.

    Raises:
        FotogramaError: it is no usable video.
    """
    with _open_decoder(source, limits=limits or Limits(), jail=jail) as decoder:
        return decoder.probe(stream=stream)


@contextmanager
def _open_decoder(source: Source, *, limits: Limits, jail: bool) -> Iterator[Decoder]:
    if jail:
        with Jail(source, limits=limits) as locked:
            yield locked
    else:
        # Here, not above: the trusted side of a jail never loads a decoder.
        from fotograma.decoding import OpenDecoder

        with OpenDecoder(source, limits=limits) as trusted:
            yield trusted


def _size(source: Source) -> int:
    if isinstance(source, Path):
        return source.stat().st_size
    return os.fstat(source).st_size if isinstance(source, int) else source.size
