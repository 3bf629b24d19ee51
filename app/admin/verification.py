"""`verify`: what storage and database don't share."""

from typing import Annotated

import typer

from app.extractions import verification
from app.storage import get_storage


def verify(
    deep: Annotated[bool, typer.Option("--deep", help="Read every object and compare its SHA-256, too.")] = False,
) -> None:
    """List objects that no row names, and rows whose object is missing or another; exit status 1 where there is one.

    Nothing is changed. What dead workers left behind is listed until the hourly round has removed it.
    """
    findings = 0
    for finding in verification.verify(get_storage(), deep=deep):
        findings += 1
        typer.echo(f"{finding.kind}  {finding.key}")
    typer.echo(f"{findings} findings", err=True)
    if findings:
        raise typer.Exit(1)
