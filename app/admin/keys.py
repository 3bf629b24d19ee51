"""`first-secrets` and `rotate-key`: the files that `SECRET_KEY_FILE` and the others name."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

KEY, PREVIOUS, LOGIN = "secret_key", "secret_key_previous", "flower_login"

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the secrets lie, each in a file.")]


def first_secrets(folder: Folder) -> None:
    """Make the key that signs tokens and links, and Flower's login, where they are not there yet."""
    for name, make in ((KEY, new_key), (LOGIN, lambda: f"fotograma:{secrets.token_urlsafe(18)}")):
        if not (folder / name).exists():
            _keep(folder / name, make())
            typer.echo(f"made {folder / name}")


def rotate_key(
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="Where SECRET_KEY_FILE lies.")] = None,
) -> None:
    """Let a new key sign, and the present one hold for what it has signed; without FOLDER, say what to set."""
    if folder is None:
        typer.echo(f"SECRET_KEY={new_key()}\nSECRET_KEY_PREVIOUS=<what SECRET_KEY is now>")
    else:
        # Kept before it is replaced: whatever ends this in between, no key is lost.
        _keep(folder / PREVIOUS, (folder / KEY).read_text())
        _keep(folder / KEY, new_key())
    typer.echo(
        "Then start APIs and workers anew, all of them. The second time removes what the first had kept.", err=True
    )


def new_key() -> str:
    """Nobody knows it."""
    return secrets.token_urlsafe(48)


def _keep(file: Path, secret: str) -> None:
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(secret)
    new.replace(file)
