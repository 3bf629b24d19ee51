"""The way up to the newest tables, and back down, on an empty database."""

import os
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import scalar_row

from app.local_stack.processes import Process

PROJECT = Path(__file__).parents[1]
ALEMBIC = str(Path(sys.executable).parent / "alembic")


@pytest.fixture
def empty_database(postgres_process: tuple[Process, dict[str, str]]) -> dict[str, str]:
    """DB_* variables of a database that holds nothing."""
    _, variables = postgres_process
    with connect(variables) as connection:
        connection.execute("DROP DATABASE IF EXISTS migrations")
        connection.execute("CREATE DATABASE migrations")
    return {**variables, "DB_NAME": "migrations", "SECRET_KEY": secrets.token_urlsafe(48)}


def connect(variables: dict[str, str]) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(
        host=variables["DB_HOST"],
        port=int(variables["DB_PORT"]),
        user=variables["DB_USER"],
        password=variables["DB_PASSWORD"],
        dbname=variables["DB_NAME"],
        autocommit=True,
    )


def alembic(variables: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ALEMBIC, *words], cwd=PROJECT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120
    )


def relations(variables: dict[str, str]) -> set[str]:
    """What stands in the database: tables, indexes and sequences."""
    with connect(variables) as connection, connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        return set(cursor)


def test_up_gives_the_tables_the_code_was_written_for(empty_database: dict[str, str]) -> None:
    up = alembic(empty_database, "upgrade", "head")
    compared = alembic(empty_database, "check")

    assert up.returncode == 0, up.stderr
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert {"users", "uploads", "videos", "extractions", "segments", "emails", "workers", "webhooks"} <= relations(
        empty_database
    )


def test_down_leaves_nothing_and_up_works_again(empty_database: dict[str, str]) -> None:
    alembic(empty_database, "upgrade", "head")
    before = relations(empty_database)

    down = alembic(empty_database, "downgrade", "base")
    left = relations(empty_database)
    again = alembic(empty_database, "upgrade", "head")

    assert down.returncode == 0, down.stderr
    assert left <= {"alembic_version", "alembic_version_pkc"}
    assert again.returncode == 0, again.stderr
    assert relations(empty_database) == before


def test_up_twice_at_once_is_done_once(empty_database: dict[str, str]) -> None:
    """Two services that start together."""
    with ThreadPoolExecutor() as threads:
        runs = list(threads.map(lambda _: alembic(empty_database, "upgrade", "head"), range(2)))

    assert [run.returncode for run in runs] == [0, 0], [run.stderr for run in runs]
