import os
from pathlib import Path

import psycopg
import pytest

from app.local_stack import postgres
from app.local_stack.errors import StackError
from app.local_stack.processes import Process, free_port


def test_killed_first_start_is_begun_anew_and_other_versions_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    half_made = folder / "data.unfinished"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18")
    postgres.prepare(folder)

    assert (folder / "data" / "base").is_dir()
    assert not half_made.exists()

    (folder / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(StackError, match=r"was made by PostgreSQL 9\.6 and this is \d+: move it away"):
        postgres.prepare(folder)


def test_lock_file_of_a_process_that_is_another_by_now_does_not_stop_the_start(tmp_path: Path) -> None:
    folder, port = tmp_path / "postgres", free_port()
    postgres.prepare(folder)
    (folder / "data" / "postmaster.pid").write_text(f"{os.getppid()}\n{folder / 'data'}\n")
    postgres.prepare(folder)
    process = Process(postgres.part(folder, port=port), log=tmp_path / "log")
    try:
        process.wait_until_healthy()
    finally:
        process.stop()

    assert not process.is_running()


def test_wrong_password_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host=environment["DB_HOST"],
            port=environment["DB_PORT"],
            user=environment["DB_USER"],
            dbname=environment["DB_NAME"],
            password="a guess",
        )
