"""`users`, `quotas`, `make-admin`, `unmake-admin`, `disable`, `enable` and `invite`: accounts, by their address."""

from dataclasses import asdict
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from app.accounts import admin_lifecycle, mail_lifecycle, queries
from app.accounts.errors import UserNotFound
from app.accounts.models import User
from app.accounts.quotas import MOST, NAMES
from app.database import open_session
from app.extractions.usage import read_usage
from fotograma.counted import counted

EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL")]


def users(search: Annotated[str, typer.Argument(help="Part of the address.")] = "") -> None:
    """List accounts, newest first: id, when, role, state and address."""
    count, before = 0, None
    while True:
        with open_session() as session:
            found, before = queries.list_users(session, search=search, before=before, limit=200)
        for user in found:
            state = "disabled" if user.disabled_at else "confirmed" if user.email_confirmed else "unconfirmed"
            typer.echo(f"{user.id}  {user.created_at:%Y-%m-%d}  {user.role:5}  {state:11}  {user.email}")
        count += len(found)
        if before is None:
            break
    typer.echo(counted(count, "account"), err=True)


def make_admin(email: EmailArgument) -> None:
    """Make an account an admin's."""
    with open_session() as session:
        admin_lifecycle.change_user(session, _user(session, email).id, by=None, role="admin")
    typer.echo(f"{email} is an admin")


def unmake_admin(email: EmailArgument) -> None:
    """Make an admin's account an ordinary one."""
    with open_session() as session:
        admin_lifecycle.change_user(session, _user(session, email).id, by=None, role="user")
    typer.echo(f"{email} is no admin")


def disable(email: EmailArgument) -> None:
    """Shut an account out at once; what it has stays."""
    with open_session() as session:
        admin_lifecycle.change_user(session, _user(session, email).id, by=None, disabled=True)
    typer.echo(f"{email} is disabled")


def enable(email: EmailArgument) -> None:
    """Let an account in again."""
    with open_session() as session:
        admin_lifecycle.change_user(session, _user(session, email).id, by=None, disabled=False)
    typer.echo(f"{email} is enabled")


def invite(
    email: EmailArgument, locale: Annotated[str, typer.Option(help="Language of the mail: en or pt-BR.")] = "en"
) -> None:
    """Mail somebody a link by which an account can be made."""
    with open_session() as session:
        mail_lifecycle.invite(session, email=email, locale=locale, by=None)
    typer.echo(f"{email} is invited")


def quotas(
    email: EmailArgument,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=NUMBER]...", help="`videos=50`; `videos=usual` as for all.")
    ] = None,
) -> None:
    """Tell what an account may have and has of it, after changing what is named."""
    with open_session() as session:
        user = _user(session, email)
        if changes:
            wanted = dict(_quota(change) for change in changes)
            user = admin_lifecycle.change_user(session, user.id, by=None, quotas=wanted)
        usage = read_usage(session, user)
        own = user.quotas
    taken = {"uploads_a_day": usage.uploads_today} | {
        name: getattr(usage, name) for name in NAMES if name != "uploads_a_day"
    }
    for name, most in asdict(usage.quotas).items():
        typer.echo(f"{name:20}  {taken[name]:>16,} of {most:,}{'  (own)' if name in own else ''}")


def _quota(change: str) -> tuple[str, int | None]:
    name, _, number = change.partition("=")
    if name not in NAMES:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(NAMES)}.")
    if number == "usual":
        return name, None
    # One at least of what runs at once: with none, what waits would wait for ever.
    if not number.isdecimal() or not (name == "extractions_running") <= int(number) <= MOST[name]:
        raise typer.BadParameter(f"Write {name}=NUMBER, of at most {MOST[name]:,}, or {name}=usual.")
    return name, int(number)


def _user(session: Session, email: str) -> User:
    user = queries.user_by_email(session, email)
    if user is None:
        raise UserNotFound
    return user
