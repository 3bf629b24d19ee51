"""`storage-rules`: what the bucket should do by itself."""

import typer

from app.settings import get_settings
from app.storage import rules

app = typer.Typer(help="What the bucket does by itself: CORS for the page, unfinished uploads.", no_args_is_help=True)


@app.command("show")
def show() -> None:
    """Print the rules as the cloud's own command takes them, and the command; nothing is asked of the store."""
    of_cloud, place = rules.rules_of(get_settings())
    typer.echo(of_cloud.show(place))


@app.command("apply")
def apply() -> None:
    """Add the rules to those that the bucket has; safe to run again.

    With the key in the environment, which must be allowed to do that; the service itself need not be.
    """
    of_cloud, place = rules.rules_of(get_settings())
    for done in of_cloud.apply(place):
        typer.echo(done)
