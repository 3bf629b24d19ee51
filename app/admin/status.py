"""`status`: how much waits, who works, what was given up, and where to look further."""

import typer

from app import fleet
from app.database import open_session
from app.extractions import backlog, dead_letters
from app.notifications import queries as notifications
from app.settings import get_settings
from app.webhooks import queries as webhooks
from fotograma.counted import counted


def status() -> None:
    """Tell depth and age of the queue, the workers with the layers of their jails, dead letters, and links."""
    with open_session() as session:
        work = backlog.read_backlog(session)
        mails, calls = notifications.due(session), webhooks.due(session)
        workers = fleet.present(session)
        letters = len(dead_letters.list_dead_letters(session))
    typer.echo(
        f"queue         {counted(work.waiting, 'segment')} waiting, the oldest for {work.oldest_seconds:.0f} s; "
        f"{work.paused} pausing after a failure; {work.running} worked on"
    )
    typer.echo(f"outbox        {counted(mails, 'mail')} and {counted(calls, 'webhook call')} due")
    for worker in workers:
        layers = ", ".join(
            name if state == "on" else f"{name} OFF ({state})" for name, state in sorted(worker.layers.items())
        )
        typer.echo(f"worker        {worker.name}, since {worker.started_at:%Y-%m-%d %H:%M:%S}Z; jail: {layers}")
    if not workers:
        typer.echo("worker        none is there: what waits goes on when one is started")
    typer.echo(f"dead letters  {letters}" + (", see `dead-letters list`" if letters else ""))
    settings = get_settings()
    typer.echo(f"metrics       {settings.public_url.rstrip('/')}/metrics")
    typer.echo(f"flower        {settings.flower_url or 'not told: set FLOWER_URL'}")
