"""The `fotograma` command."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from fotograma import __version__
from fotograma.errors import CODES, FotogramaError, PlanError
from fotograma.extraction import Progress, expected_frames, extract, probe
from fotograma.plan import MODES, Plan, parse_seconds

app = typer.Typer(
    name="fotograma",
    help="Exact frames out of video.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """Picture files."""

    jpg = "jpg"


Video = Annotated[Path, typer.Argument(help="The video file.", show_default=False)]
Every = Annotated[
    str | None, typer.Option(help="The frame on screen each so often: 2s, 500ms, 1m.", rich_help_panel="Which frames")
]
Fps = Annotated[
    str | None, typer.Option(help="So many frames for each second: 0.5, 30000/1001.", rich_help_panel="Which frames")
]
EveryNth = Annotated[int | None, typer.Option(help="Each n-th frame.", rich_help_panel="Which frames")]
Count = Annotated[int | None, typer.Option(help="So many, spread evenly.", rich_help_panel="Which frames")]
At = Annotated[
    str | None, typer.Option(help="The frames on screen at these times: 1,2.5,00:01:07.2.", rich_help_panel="Which frames")
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
    output: Annotated[Path, typer.Option("-o", "--output", help="frames.zip, or a folder (FOLDER/) for files.")],
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
        bool, typer.Option("--checksums", help="Tell the MD5 of each decoded picture.", rich_help_panel="How they are written")
    ] = False,
    stream: Stream = None,
    as_json: AsJson = False,
    no_jail: NoJail = False,
) -> None:
    """Take frames out of a video.

    fotograma extract holiday.mp4 --every 2s -o frames.zip
    """
    with _Told():
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
        if str(output).endswith("/") or output.is_dir():
            output.mkdir(parents=True, exist_ok=True)
        with _progress() as told:
            summary = extract(_existing(video), plan, sink=output, progress=told, jail=not no_jail)
    for warning in summary.warnings:
        print(f"{warning['code']}: {CODES[warning['code']].sentence} ({warning['detail']})", file=sys.stderr)
    if as_json:
        print(
            json.dumps(
                {
                    "output": str(output),
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
