"""`dead-letters`: extractions that were given up though their video may be fine."""

import uuid
from typing import Annotated

import typer

from app.database import open_session
from app.extractions import dead_letters
from fotograma.counted import counted

app = typer.Typer(help="Extractions that were given up because machines failed, not videos.", no_args_is_help=True)


@app.command("list")
def show() -> None:
    """List them, oldest first: id, when, code, owner and file."""
    with open_session() as session:
        letters = dead_letters.list_dead_letters(session)
    for letter in letters:
        when = f"{letter.failed_at:%Y-%m-%d %H:%M:%S}Z"
        typer.echo(f"{letter.extraction_id}  {when}  {letter.code}  {letter.email}  {letter.filename!r}")
    typer.echo(counted(len(letters), "dead letter"), err=True)


@app.command("retry")
def retry(extraction_id: Annotated[uuid.UUID, typer.Argument(metavar="ID", help="As `list` shows it.")]) -> None:
    """Send one again, as a new extraction of the same plan."""
    with open_session() as session:
        again = dead_letters.retry(session, extraction_id)
    typer.echo(f"{extraction_id} goes on as {again.id}")


@app.command("retry-all")
def retry_all() -> None:
    """Send all of them again."""
    with open_session() as session:
        waiting = [letter.extraction_id for letter in dead_letters.list_dead_letters(session)]
    for extraction_id in waiting:
        retry(extraction_id)
