"""`fotograma remote`: the same from a service elsewhere."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fotograma import sinks
from fotograma.counted import counted
from fotograma.errors import FotogramaError, PlanError
from fotograma.options import (
    All,
    AsJson,
    At,
    Best,
    Count,
    Every,
    EveryNth,
    Format,
    Fps,
    Height,
    Keyframes,
    Quality,
    Scenes,
    Video,
    Width,
    read_plan,
)
from fotograma.plan import Plan

if TYPE_CHECKING:
    from fotograma.client import Client

app = typer.Typer(name="remote", help="Let a service elsewhere do it.", no_args_is_help=True)

Server = Annotated[
    str, typer.Option(envvar="FOTOGRAMA_SERVER", help="The service's address.", metavar="URL", show_default=False)
]
Email = Annotated[str, typer.Option(envvar="FOTOGRAMA_EMAIL", prompt=True, help="Who you are there.")]
Password = Annotated[
    str,
    # Not on the command line, where everybody on the machine could read it.
    typer.Option(
        "--password", envvar="FOTOGRAMA_PASSWORD", prompt=True, hide_input=True, hidden=True, show_default=False
    ),
]


@app.command("upload")
def upload_command(
    video: Video,
    server: Server,
    email: Email,
    password: Password,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", dir_okay=False, help="Wait for the frames, and write their ZIP here."
        ),
    ] = None,
    every: Every = None,
    fps: Fps = None,
    every_nth: EveryNth = None,
    count: Count = None,
    at: At = None,
    keyframes: Keyframes = False,
    scenes: Scenes = False,
    best: Best = None,
    all_frames: All = False,
    image_format: Format = "jpg",
    quality: Quality = 90,
    width: Width = None,
    height: Height = None,
    as_json: AsJson = False,
) -> None:
    """Send a video and ask for frames of it. What was cut off goes on where it was, also when you call this again.

    `fotograma remote upload holiday.mp4 --every 2s --server https://frames.example -o frames.zip`

    FOTOGRAMA_SERVER, FOTOGRAMA_EMAIL and FOTOGRAMA_PASSWORD say the same once and for all.
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
        plan = read_plan(modes, format=image_format, quality=quality, width=width, height=height)
        if output is not None:
            sinks.check(output)
        with _client(server, email=email, password=password) as client:
            memory = _memory(video, plan, server=server, email=email)
            with _progress(f"sending {video.name}", unit="bytes") as told:
                sent = _send(client, video, plan, memory=memory, told=told)
            if output is not None:
                with _progress("frames", unit="frames") as told:
                    sent = client.wait(sent, told=told)
                _refuse_failure(sent)
                with _progress(f"fetching {output.name}", unit="bytes") as told, sinks.writing(output):
                    client.download(sent, output, told=told)
    if as_json:
        print(json.dumps(sent))
    elif output is not None:
        print(f"{counted(sent['frames'], 'frame')}, {counted(sent['archive_bytes'], 'byte')}: {output}")
    else:
        print(f"{sent['id']} {sent['status']}")


def _client(server: str, *, email: str, password: str) -> "Client":
    if not server.startswith(("http://", "https://")):
        raise PlanError(f"--server must be an address such as https://frames.example, and is {server!r}")
    try:
        from fotograma.client import Client
    except ModuleNotFoundError:
        raise PlanError("`fotograma remote` needs more than the engine: pip install 'fotograma[client]'") from None
    return Client(server, email=email, password=password)


def _send(client: "Client", video: Path, plan: Plan, *, memory: Path, told: Callable[[int, int], None]) -> Any:
    """Go on with what an earlier call began of the same file and plan, else begin."""
    from fotograma.patience import Refused

    sent = None
    if memory.exists():
        try:
            sent = client.resume_upload(json.loads(memory.read_text()), video, told=told)
        except Refused as refused:
            # It has expired, or was given up: begin anew.
            if refused.status not in (404, 410):
                raise
    if sent is None:
        begun = client.begin_upload(video, plan)
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(begun))
        sent = client.resume_upload(begun, video, told=told)
    memory.unlink()
    return sent


def _memory(video: Path, plan: Plan, *, server: str, email: str) -> Path:
    """Where it is kept how an upload of this file, as it is now, goes on."""
    facts = video.stat()
    words = [server, email, str(video.resolve()), facts.st_size, facts.st_mtime_ns, plan.to_json()]
    name = hashlib.sha256(json.dumps(words).encode()).hexdigest()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches, "fotograma", "uploads", name)


def _refuse_failure(video: dict[str, Any]) -> None:
    if video["status"] != "COMPLETED":
        error = video["error"] or {"code": video["status"], "message": "There are no frames."}
        print(f"{error['code']}: {error['message']}", file=sys.stderr)
        raise typer.Exit(1)


@contextmanager
def _told() -> Iterator[None]:
    """Errors become one line."""
    try:
        yield
    except FotogramaError as error:
        print(f"{error.code.name}: {error.sentence}", file=sys.stderr)
        raise typer.Exit(error.code.exit_status) from None
    except OSError as error:
        print(f"STORAGE_UNAVAILABLE: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("CANCELLED: it was stopped; call it again to go on.", file=sys.stderr)
        raise typer.Exit(130) from None
    except Exception as error:
        from fotograma.patience import Refused, Unreachable

        if not isinstance(error, Refused | Unreachable):
            raise
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None


@contextmanager
def _progress(what: str, *, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's standard error, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _, __: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
