"""What the command can be told: its options, and the plan that they say."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fotograma.errors import PlanError
from fotograma.plan import ImageFormat, Plan

WHICH = "Which frames (exactly one of these)"
RANGE = "Of what part"
HOW = "How they are written"

Videos = Annotated[list[Path], typer.Argument(help="Video files.", exists=True, dir_okay=False)]
Video = Annotated[Path, typer.Argument(help="The video file.", exists=True, dir_okay=False)]
Every = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="The frame on screen each so often: 2s, 500ms, 1m.", rich_help_panel=WHICH),
]
Fps = Annotated[
    str | None, typer.Option(metavar="RATE", help="So many frames a second: 0.5, 30000/1001.", rich_help_panel=WHICH)
]
EveryNth = Annotated[int | None, typer.Option(metavar="N", help="Frames 0, N, 2N...", rich_help_panel=WHICH)]
Count = Annotated[int | None, typer.Option(metavar="N", help="N frames spread evenly.", rich_help_panel=WHICH)]
At = Annotated[
    str | None,
    typer.Option(metavar="TIMES", help="The frames on screen at 1,2.5,00:01:07.2.", rich_help_panel=WHICH),
]
Keyframes = Annotated[bool, typer.Option("--keyframes", help="Each key frame.", rich_help_panel=WHICH)]
Scenes = Annotated[bool, typer.Option("--scenes", help="The first frame of each scene.", rich_help_panel=WHICH)]
Threshold = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="With --scenes: how unlike (27).", rich_help_panel=WHICH)
]
Best = Annotated[
    str | None, typer.Option(metavar="TIME", help="The sharpest frame of each interval.", rich_help_panel=WHICH)
]
All = Annotated[bool, typer.Option("--all", help="Each frame.", rich_help_panel=WHICH)]
Start = Annotated[str | None, typer.Option(metavar="TIME", help="From this time on.", rich_help_panel=RANGE)]
End = Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.", rich_help_panel=RANGE)]
Limit = Annotated[int | None, typer.Option(metavar="N", help="At most N frames.", rich_help_panel=RANGE)]
Dedupe = Annotated[
    int | None,
    typer.Option(
        metavar="BITS", help="Drop frames too like the last kept one (of 64 bits: 1 to 64).", rich_help_panel=RANGE
    ),
]
Snap = Annotated[
    Literal["exact", "keyframe"],
    typer.Option(
        help="keyframe: the nearest key frame instead, much faster; its true time is told.", rich_help_panel=RANGE
    ),
]
Stream = Annotated[
    int | None, typer.Option(metavar="INDEX", help="Another stream than the first video.", rich_help_panel=RANGE)
]
Format = Annotated[ImageFormat, typer.Option("--format", help="Picture files.", rich_help_panel=HOW)]
Quality = Annotated[int, typer.Option(help="1 to 100; means nothing to PNG.", rich_help_panel=HOW)]
Width = Annotated[int | None, typer.Option(help="Scale to fit, the aspect kept.", rich_help_panel=HOW)]
Height = Annotated[int | None, typer.Option(help="Scale to fit, the aspect kept.", rich_help_panel=HOW)]
CropOption = Annotated[
    str | None, typer.Option(metavar="X,Y,W,H", help="This part of the upright picture.", rich_help_panel=HOW)
]
SquarePixels = Annotated[
    bool, typer.Option("--square-pixels", help="Stretch pictures whose pixels are not square.", rich_help_panel=HOW)
]
NoToneMap = Annotated[
    bool, typer.Option("--no-tone-map", help="Keep the values of HDR video as they are.", rich_help_panel=HOW)
]
Checksums = Annotated[bool, typer.Option("--checksums", help="Tell each decoded picture's MD5.", rich_help_panel=HOW)]
Scored = Annotated[
    bool, typer.Option("--scores", help="Tell sharpness, brightness and difference.", rich_help_panel=HOW)
]
NoJail = Annotated[bool, typer.Option("--no-jail", help="Decode in this process: only for videos you trust.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, a line for each video.")]


def read_plan(modes: dict[str, Any], **rest: Any) -> Plan:
    """The plan that the options say; exactly one mode must be given."""
    # None and False say that an option was not given; 0 was, and is told to be wrong.
    given = {name: value for name, value in modes.items() if value is not None and value is not False}
    if len(given) != 1:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in modes)
        raise PlanError(f"say which frames by exactly one of {names}")
    [(name, value)] = given.items()
    fields: dict[str, Any] = {"mode": "every" if name == "fps" else name}
    if name == "at":
        fields["seconds"] = value.split(",")
    elif field := {"every": "seconds", "fps": "fps", "best": "seconds", "every_nth": "n", "count": "n"}.get(name):
        fields[field] = value
    if rest.get("crop") is not None:
        try:
            rest["crop"] = [int(side) for side in rest["crop"].split(",")]
        except ValueError:
            raise PlanError("`crop` must be X,Y,WIDTH,HEIGHT") from None
    return Plan.from_json(fields | {name: value for name, value in rest.items() if value is not None})
