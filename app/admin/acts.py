"""`audit`: what was done with accounts and their things."""

import json
import uuid
from typing import Annotated

import typer

from app import audit as log
from app.accounts import queries
from app.accounts.errors import UserNotFound
from app.database import open_session
from fotograma.counted import counted

PAGE = 200


def audit(
    user: Annotated[
        str | None, typer.Option(metavar="EMAIL", help="Of one account; of one that is gone by its id.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="The newest so many.")] = 50,
) -> None:
    """Tell what was done, newest first: when, what, whose account it was, from where, by which admin, and details.

    An account that is gone is told by its id; what was done here on the command line comes from `here`.
    """
    user_id = None if user is None else _id_of(user)
    told, before = 0, None
    while told < limit:
        with open_session() as session:
            page = log.read(session, user_id=user_id, before=before, limit=min(PAGE, limit - told))
            named = {user_id for entry in page.items for user_id in (entry.user_id, entry.by) if user_id}
            emails = queries.emails_of(session, named)
        for entry in page.items:
            whose = emails.get(entry.user_id, str(entry.user_id)) if entry.user_id else "nobody"
            by = f"  by {emails.get(entry.by, str(entry.by))}" if entry.by else ""
            detail = f"  {json.dumps(entry.detail, ensure_ascii=False)}" if entry.detail else ""
            typer.echo(
                f"{entry.at:%Y-%m-%d %H:%M:%S}Z  {entry.action:20}  {whose}  {entry.address or 'here'}{by}{detail}"
            )
        told += len(page.items)
        before = page.next_cursor
        if before is None:
            break
    typer.echo(counted(told, "act"), err=True)


def _id_of(user: str) -> uuid.UUID:
    with open_session() as session:
        found = queries.user_by_email(session, user)
    if found is not None:
        return found.id
    try:
        return uuid.UUID(user)
    except ValueError:
        raise UserNotFound from None
