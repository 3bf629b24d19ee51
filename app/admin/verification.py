"""`verify`: what storage and database don't share."""

from typing import Annotated

import typer

from app.errors import Invalid
from app.extractions import verification
from app.settings import get_settings
from app.storage import StorageUnavailable, get_storage, rules
from fotograma.counted import counted


def verify(
    deep: Annotated[bool, typer.Option("--deep", help="Read every object and compare its SHA-256, too.")] = False,
) -> None:
    """List objects that no row names, and rows whose object is missing or another; exit status 1 where there is one.

    Nothing is changed. What dead workers left behind is listed until the hourly round has removed it; parts of their
    unfinished uploads are no objects, and where the bucket has no rule that removes them, that is listed, too.
    """
    findings = 0
    for finding in verification.verify(get_storage(), deep=deep):
        findings += 1
        typer.echo(f"{finding.kind}  {finding.key}")
    try:
        if rules.unfinished_stay(get_settings()):
            findings += 1
            typer.echo("no rule  unfinished uploads stay for good: storage-rules apply")
    except (Invalid, StorageUnavailable) as error:
        typer.echo(f"Not known: whether the bucket removes unfinished uploads. {error.message}", err=True)
    typer.echo(counted(findings, "finding"), err=True)
    if findings:
        raise typer.Exit(1)
