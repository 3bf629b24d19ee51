"""The `fotograma` command."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from fotograma import __version__
from fotograma.errors import CODES, FotogramaError, PlanError
from fotograma.extraction import Progress, extract, probe
from fotograma.plan import Plan

app = typer.Typer(
    name="fotograma",
    help="Exact frames out of video.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


Video = Annotated[Path, typer.Argument(help="The video file.", exists=True, dir_okay=False)]
Every = Annotated[
    str | None, typer.Option(help="The frame on screen each so often: 2s, 500ms, 1m.", rich_help_panel="Which frames")
]
Fps = Annotated[
    str | None, typer.Option(help="So many frames for each second: 0.5, 30000/1001.", rich_help_panel="Which frames")
]
EveryNth = Annotated[int | None, typer.Option(help="Each n-th frame.", rich_help_panel="Which frames")]
Count = Annotated[int | None, typer.Option(help="So many, spread evenly.", rich_help_panel="Which frames")]
At = Annotated[
    str | None,
    typer.Option(help="The frames on screen at these times: 1,2.5,00:01:07.2.", rich_help_panel="Which frames"),
]
Keyframes = Annotated[bool, typer.Option("--keyframes", help="Each key frame.", rich_help_panel="Which frames")]
All = Annotated[bool, typer.Option("--all", help="Each frame.", rich_help_panel="Which frames")]
Start = Annotated[str | None, typer.Option(help="Nothing before this time.", rich_help_panel="Of what range")]
End = Annotated[str | None, typer.Option(help="Nothing from this time on.", rich_help_panel="Of what range")]
Limit = Annotated[int | None, typer.Option(help="At most so many frames.", rich_help_panel="Of what range")]
Stream = Annotated[int | None, typer.Option(help="Another than the first video stream, by index.")]
NoJail = Annotated[bool, typer.Option("--no-jail", help="Decode in this process: only for videos you trust.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@app.command("extract")
def extract_command(
    video: Video,
    output: Annotated[str, typer.Option("-o", "--output", help="frames.zip, or a folder (FOLDER/) for files.")],
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
    quality: Annotated[int, typer.Option(help="1 to 100.", rich_help_panel="How they are written")] = 90,
    checksums: Annotated[
        bool,
        typer.Option(
            "--checksums", help="Tell the MD5 of each decoded picture.", rich_help_panel="How they are written"
        ),
    ] = False,
    stream: Stream = None,
    as_json: AsJson = False,
    no_jail: NoJail = False,
) -> None:
    """Take frames out of a video.

    fotograma extract holiday.mp4 --every 2s -o frames.zip
    """
    with _told():
        plan = _plan(
            {
                "every": every,
                "fps": fps,
                "every_nth": every_nth,
                "count": count,
                "at": at,
                "keyframes": keyframes,
                "all": all_frames,
            },
            start=start,
            end=end,
            limit=limit,
            quality=quality,
            checksums=checksums,
            stream=stream,
        )
        if output.endswith("/"):
            Path(output).mkdir(parents=True, exist_ok=True)
        with _progress() as told:
            summary = extract(video, plan, sink=Path(output), progress=told, jail=not no_jail)
    for warning in summary.warnings:
        print(f"{warning['code']}: {CODES[warning['code']].sentence} ({warning['detail']})", file=sys.stderr)
    if as_json:
        print(
            json.dumps(
                {
                    "output": output,
                    "frames": summary.frames,
                    "bytes": summary.bytes,
                    "plan": plan.to_json(),
                    "source": summary.source,
                    "engine": summary.engine,
                    "warnings": summary.warnings,
                }
            )
        )
    else:
        print(f"{summary.frames} frames, {summary.bytes} bytes: {output}")


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


@app.command("doctor")
def doctor_command(as_json: AsJson = False) -> None:
    """Say whether this machine can decode, and with what."""
    from fotograma import doctor

    findings = doctor.examine()
    if as_json:
        print(json.dumps([{"name": f.name, "ok": f.ok, "detail": f.detail} for f in findings]))
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.ok else 'FAIL'} {finding.name:20} {finding.detail}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command("version")
def version_command() -> None:
    """Say which version this is."""
    print(__version__)


@contextmanager
def _told() -> Iterator[None]:
    """Errors become one line and the exit status of their code."""
    try:
        yield
    except FotogramaError as error:
        print(f"{error.code.name}: {error.sentence}", file=sys.stderr)
        raise typer.Exit(error.code.exit_status) from None
    except OSError as error:
        print(f"STORAGE_UNAVAILABLE: {error.filename or 'the file'}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("CANCELLED: nothing was written.", file=sys.stderr)
        raise typer.Exit(130) from None


def _plan(modes: dict[str, Any], **rest: Any) -> Plan:
    """The plan that the options say; exactly one mode must be given."""
    given = {name: value for name, value in modes.items() if value not in (None, False)}
    if len(given) != 1:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in modes)
        raise PlanError(f"say which frames by exactly one of {names}")
    [(name, value)] = given.items()
    fields = {"mode": "every" if name == "fps" else name}
    if name == "at":
        fields["seconds"] = value.split(",")
    elif field := {"every": "seconds", "fps": "fps", "every_nth": "n", "count": "n"}.get(name):
        fields[field] = value
    return Plan.from_json(fields | {name: value for name, value in rest.items() if value is not None})


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None] | None]:
    """A bar on a terminal's standard error, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("frames", total=None)
        yield lambda progress: bar.update(task, completed=progress.frames_done, total=progress.frames_total)


def main() -> None:
    """Run the command."""
    app()
