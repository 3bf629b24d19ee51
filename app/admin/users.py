"""`users`, `make-admin`, `unmake-admin`, `disable`, `enable` and `invite`: accounts, by their address."""

from typing import Annotated

import typer
from sqlalchemy.orm import Session

from app.accounts import admin_lifecycle, mail_lifecycle, queries
from app.accounts.errors import UserNotFound
from app.accounts.models import User
from app.database import open_session

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
    typer.echo(f"{count} accounts", err=True)


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


def _user(session: Session, email: str) -> User:
    user = queries.user_by_email(session, email)
    if user is None:
        raise UserNotFound
    return user
