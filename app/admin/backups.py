"""`back-up` and `restore`: the database as one file, whatever version of PostgreSQL is at either end.

It is made by COPY in one snapshot, for neither the image nor the embedded PostgreSQL has `pg_dump`. Objects are not in
it: videos and archives are backed up where they lie.
"""

import datetime
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import psycopg
import typer
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg import sql
from sqlalchemy import MetaData, Table

from app.database import get_engine, open_session
from app.extractions import mending
from app.settings import get_settings
from fotograma.counted import counted

PROJECT = Path(__file__).parents[2]
HEAD = "backup.json"
FORMAT = 1
STANDARD = Path("-")


def back_up(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Must not exist yet; - is standard output.")],
) -> None:
    """Write all rows into FILE, as they are at this moment; the service may run meanwhile.

    It holds what the database holds, password hashes too, and only its owner may read it.
    """
    if file == STANDARD:
        _write(sys.stdout.buffer)
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as opened:
            _write(opened)
    except BaseException:
        # Half of a backup must not be taken for one.
        file.unlink()
        raise


def restore(file: Annotated[Path, typer.Argument(metavar="FILE", help="Of `back-up`; - is standard input.")]) -> None:
    """Fill an empty database from FILE, bring it up to date, and begin anew what was being worked on.

    Stop APIs and workers first. Then `verify` says what is not in storage or not in the backup, and `mend` mends it.
    """
    try:
        with _opened(file) as opened, zipfile.ZipFile(opened) as backup:
            head = json.loads(backup.read(HEAD))
            _make_tables(head["revision"])
            with _connected() as connection:
                rows = sum(_copy_in(connection, name, backup, head) for name in head["tables"])
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from None
    except (zipfile.BadZipFile, KeyError, CommandError):
        raise typer.BadParameter(f"{file} is no backup, or one of a newer release") from None
    command.upgrade(_alembic(), "head")
    with open_session() as session:
        begun = mending.begin_anew(session)
    typer.echo(f"{counted(rows, 'row')} of {head['made_at']}; begun anew: {counted(begun, 'extraction')}", err=True)


def _write(output: IO[bytes]) -> None:
    tables, rows = _tables(), 0
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as backup:
        with _connected() as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            for table in tables:
                rows += _copy_out(connection, table, backup)
        head = {
            "format": FORMAT,
            "made_at": datetime.datetime.now(datetime.UTC).isoformat(),
            "revision": _revision(),
            "tables": {table.name: _columns(table) for table in tables},
        }
        backup.writestr(HEAD, json.dumps(head, indent=1))
    typer.echo(f"{counted(rows, 'row')} of {counted(len(tables), 'table')}", err=True)


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    """What can be read from any place of, as a backup is: its table stands at its end."""
    if file == STANDARD:
        with tempfile.TemporaryFile() as spooled:
            shutil.copyfileobj(sys.stdin.buffer, spooled)
            yield spooled
    else:
        with file.open("rb") as opened:
            yield opened


def _make_tables(revision: str) -> None:
    """The tables as they were when the backup was made, without a row."""
    ScriptDirectory.from_config(_alembic()).get_revision(revision)
    here = _revision()
    if here not in (None, revision):
        raise typer.BadParameter(f"the database is migrated to {here}, the backup to {revision}: give it an empty one")
    command.upgrade(_alembic(), revision)
    with get_engine().connect() as connection:
        if any(connection.execute(table.select().limit(1)).first() for table in _tables()):
            raise typer.BadParameter("the database has rows already: let DB_NAME name an empty one")


def _tables() -> list[Table]:
    """What there is, and not what this release knows of; what others refer to comes first."""
    found = MetaData()
    found.reflect(get_engine())
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.computed is None]


def _copy_out(connection: psycopg.Connection[Any], table: Table, backup: zipfile.ZipFile) -> int:
    statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(
        _names(_columns(table)), sql.Identifier(table.name)
    )
    # Its size is not known in advance.
    with backup.open(f"{table.name}.copy", "w", force_zip64=True) as entry, connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for chunk in copy:
                entry.write(chunk)
        return cursor.rowcount


def _copy_in(connection: psycopg.Connection[Any], name: str, backup: zipfile.ZipFile, head: dict[str, Any]) -> int:
    columns = _names(head["tables"][name])
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(name), columns)
    with backup.open(f"{name}.copy") as entry, connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            while chunk := entry.read(2**20):
                copy.write(chunk)
        return cursor.rowcount


def _names(columns: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


@contextmanager
def _connected() -> Iterator[psycopg.Connection[Any]]:
    """One transaction that may last; the pool's connections give up after seconds."""
    settings = get_settings()
    with psycopg.connect(
        host=settings.db_host,
        port=settings.db_port,
        user=settings.db_user,
        password=settings.db_password.get_secret_value() or None,
        dbname=settings.db_name,
        options="-c statement_timeout=0 -c timezone=UTC",
    ) as connection:
        yield connection


def _revision() -> str | None:
    with get_engine().connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _alembic() -> Config:
    config = Config(str(PROJECT / "alembic.ini"))
    config.set_main_option("script_location", str(PROJECT / "migrations"))
    return config
