"""`requeue`, `sweep` and `mend`: what goes on by itself, done now; and what a restored backup needs."""

import uuid
from typing import Annotated

import typer

from app.database import open_session
from app.extractions import mending
from app.notifications import lifecycle as notifications
from app.storage import get_storage
from app.workers import maintenance
from fotograma.counted import counted


def requeue(
    extraction_id: Annotated[
        uuid.UUID | None, typer.Argument(metavar="[ID]", help="Of this extraction, also what a worker holds.")
    ] = None,
) -> None:
    """Let segments and mails be tried now that wait for their next try, after what held them up is mended."""
    with open_session() as session:
        segments = mending.requeue(session, extraction_id)
        mails = 0 if extraction_id else notifications.hasten(session)
    typer.echo(f"tried now: {counted(segments, 'segment')} and {counted(mails, 'mail')}")


def sweep(
    hourly: Annotated[
        bool, typer.Option("--hourly", help="Also go the hourly round: what expired, what was left.")
    ] = False,
) -> None:
    """Do what each worker does every few seconds: find lost work, ring for what waits, remove what is deleted."""
    maintenance.sweep()
    if hourly:
        maintenance.go_round()


def mend() -> None:
    """Take the frames of archives again whose object is gone, and withdraw videos whose object is gone.

    `verify` lists them before. Owners are mailed what comes of it; of a withdrawn video nothing is left to tell.
    """
    done = 0
    for mended in mending.mend(get_storage()):
        done += 1
        typer.echo(f"{mended.what}  {mended.key}")
    typer.echo(f"{done} mended", err=True)
