"""The `fotograma` command."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from fotograma import __version__, remote
from fotograma.counted import counted
from fotograma.errors import CODES, FotogramaError, PlanError
from fotograma.extraction import Progress, Summary, extract, probe
from fotograma.options import (
    All,
    AsJson,
    At,
    Best,
    Checksums,
    Count,
    CropOption,
    Dedupe,
    End,
    Every,
    EveryNth,
    Format,
    Fps,
    Height,
    Keyframes,
    Limit,
    NoJail,
    NoToneMap,
    Quality,
    Scenes,
    Scored,
    Snap,
    SquarePixels,
    Start,
    Stream,
    Threshold,
    Video,
    Videos,
    Width,
    read_plan,
)
from fotograma.plan import Plan
from fotograma.sinks import writing

app = typer.Typer(
    name="fotograma",
    help="Exact frames out of video.",
    epilog="Ends with 0: done, 2: wrong usage, 3: no usable video, 4: a limit was hit, 130: stopped, 1: else.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(remote.app)


@app.command("extract")
def extract_command(
    videos: Videos,
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="PATH", help="frames.zip, or FOLDER/ for files; a folder each if many."),
    ],
    every: Every = None,
    fps: Fps = None,
    every_nth: EveryNth = None,
    count: Count = None,
    at: At = None,
    keyframes: Keyframes = False,
    scenes: Scenes = False,
    threshold: Threshold = None,
    best: Best = None,
    all_frames: All = False,
    start: Start = None,
    end: End = None,
    limit: Limit = None,
    dedupe: Dedupe = None,
    snap: Snap = "exact",
    stream: Stream = None,
    image_format: Format = "jpg",
    quality: Quality = 90,
    width: Width = None,
    height: Height = None,
    crop: CropOption = None,
    square_pixels: SquarePixels = False,
    no_tone_map: NoToneMap = False,
    checksums: Checksums = False,
    scores: Scored = False,
    as_json: AsJson = False,
    no_jail: NoJail = False,
) -> None:
    """Take frames out of videos.

    One frame each 2 seconds: `fotograma extract holiday.mp4 --every 2s -o frames.zip`

    Twelve frames as files: `fotograma extract holiday.mp4 --count 12 --format png -o frames/`
    """
    with _told():
        modes = {
            "every": every,
            "fps": fps,
            "every_nth": every_nth,
            "count": count,
            "at": at,
            "keyframes": keyframes,
            "scenes": scenes,
            "best": best,
            "all": all_frames,
        }
        plan = read_plan(
            modes,
            threshold=threshold,
            start=start,
            end=end,
            limit=limit,
            dedupe=dedupe,
            snap=snap,
            stream=stream,
            format=image_format,
            quality=quality,
            width=width,
            height=height,
            crop=crop,
            square_pixels=square_pixels,
            tone_map=not no_tone_map,
            checksums=checksums,
            scores=scores,
        )
        if output in ("", "-"):
            raise FotogramaError.of("OUTPUT_REFUSED", "such as frames.zip, or FOLDER/ for files")
        with writing(Path(output)):
            is_folder = output.endswith("/") or Path(output).is_dir()
        if len(videos) > 1 and not is_folder:
            raise PlanError("for several videos, -o must be a folder: end it with /")
    statuses = []
    for video, sink in zip(videos, _sinks(videos, output), strict=True):
        is_new = False
        try:
            with _told(video.name if len(videos) > 1 else ""), _progress(video.name) as told:
                if is_folder:
                    is_new = not sink.exists()
                    with writing(sink):
                        sink.mkdir(parents=True, exist_ok=True)
                summary = extract(video, plan, sink=sink, progress=told, jail=not no_jail)
        except typer.Exit as ended:
            if is_new:
                with suppress(OSError):  # It holds something of this run.
                    sink.rmdir()
            if ended.exit_code == INTERRUPTED:
                raise
            statuses.append(ended.exit_code)
        else:
            _tell(summary, video=video, sink=sink, plan=plan, as_json=as_json)
    if statuses:
        raise typer.Exit(max(statuses))


@app.command("probe")
def probe_command(video: Video, stream: Stream = None, as_json: AsJson = False, no_jail: NoJail = False) -> None:
    """Say what a video is."""
    with _told():
        facts = probe(video, stream=stream, jail=not no_jail)
    shown = {"name": video.name, "bytes": video.stat().st_size, **facts.media}
    if as_json:
        print(json.dumps(shown))
        return
    for name, value in shown.items():
        print(f"{name:22} {json.dumps(value) if isinstance(value, dict | list) else value}")


@app.command("estimate")
def estimate_command(
    video: Video,
    every: Every = None,
    fps: Fps = None,
    every_nth: EveryNth = None,
    count: Count = None,
    at: At = None,
    keyframes: Keyframes = False,
    all_frames: All = False,
    start: Start = None,
    end: End = None,
    limit: Limit = None,
    snap: Snap = "exact",
    stream: Stream = None,
    image_format: Format = "jpg",
    quality: Quality = 90,
    width: Width = None,
    height: Height = None,
    as_json: AsJson = False,
    no_jail: NoJail = False,
) -> None:
    """Say what an extraction would give, without decoding: frames, bytes and seconds of one core."""
    from fotograma.estimate import estimate
    from fotograma.packets import PacketIndex

    with _told():
        modes = {
            "every": every,
            "fps": fps,
            "every_nth": every_nth,
            "count": count,
            "at": at,
            "keyframes": keyframes,
            "all": all_frames,
        }
        range_and_form = {"start": start, "end": end, "limit": limit, "snap": snap, "stream": stream}
        range_and_form |= {"format": image_format, "quality": quality, "width": width, "height": height}
        plan = read_plan(modes, **range_and_form)
        facts = probe(video, stream=stream, jail=not no_jail)
        found = estimate(plan, PacketIndex.from_bytes(facts.packet_index), facts.media)
    if as_json:
        print(
            json.dumps({"frames": found.frames, "bytes": found.bytes, "seconds": found.seconds, "times": found.times})
        )
    elif found.frames is None or found.bytes is None:
        print(f"the file has no times to tell frames by, only decoding does; about {found.seconds:.1f} s")
    else:
        print(f"{counted(found.frames, 'frame')}, about {counted(found.bytes, 'byte')}, about {found.seconds:.1f} s")


@app.command("doctor")
def doctor_command(as_json: AsJson = False) -> None:
    """Say whether this machine can decode, and with what."""
    from fotograma import doctor

    findings = doctor.examine()
    if as_json:
        print(json.dumps([{"name": found.name, "ok": found.ok, "detail": found.detail} for found in findings]))
    else:
        for found in findings:
            print(f"{'ok  ' if found.ok else 'FAIL'} {found.name:24} {found.detail}")
    if not all(found.ok for found in findings):
        raise typer.Exit(1)


@app.command("version")
def version_command() -> None:
    """Say which version this is."""
    print(__version__)


INTERRUPTED = 130


@contextmanager
def _told(name: str = "") -> Iterator[None]:
    """Errors become one line and the exit status of their code."""
    prefix = f"{name}: " if name else ""
    try:
        yield
    except FotogramaError as error:
        print(f"{prefix}{error.code.name}: {error.sentence}", file=sys.stderr)
        raise typer.Exit(error.code.exit_status) from None
    except OSError as error:
        print(f"{prefix}STORAGE_UNAVAILABLE: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print(f"{prefix}CANCELLED: it was stopped, and nothing half-written is left.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


def _sinks(videos: list[Path], output: str) -> list[Path]:
    """Where the frames of each video go: for several, a folder each, named after them."""
    if len(videos) == 1:
        return [Path(output)]
    names: list[str] = []
    for video in videos:
        same = sum(name == video.stem or name.startswith(f"{video.stem}_") for name in names)
        names.append(f"{video.stem}_{same + 1}" if same else video.stem)
    return [Path(output) / name for name in names]


def _tell(summary: Summary, *, video: Path, sink: Path, plan: Plan, as_json: bool) -> None:
    for warning in summary.warnings:
        sentence = CODES[warning["code"]].sentence
        print(f"{video.name}: {warning['code']}: {sentence} ({warning['detail']})", file=sys.stderr)
    if not as_json:
        print(f"{counted(summary.frames, 'frame')}, {counted(summary.bytes, 'byte')}: {sink}")
        return
    shown = {
        "video": str(video),
        "output": str(sink),
        "frames": summary.frames,
        "bytes": summary.bytes,
        "plan": plan.to_json(),
        "source": summary.source,
        "engine": summary.engine,
        "warnings": summary.warnings,
    }
    print(json.dumps(shown), flush=True)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on a terminal's standard error, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda progress: bar.update(task, completed=progress.frames_done, total=progress.frames_total)
