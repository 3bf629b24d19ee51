"""What the service leans on: calls that wait for the commit, and a server that stays silent."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from sqlalchemy import text

from app.database import DATABASE_AWAY, after_commit, open_session
from app.local_stack.processes import Process
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("environment")


class Undone(Exception):
    pass


def test_calls_wait_for_the_commit_and_not_for_a_savepoint():
    calls: list[str] = []
    with open_session() as session:
        after_commit(session, lambda: calls.append("outer"))
        with session.begin_nested():
            session.execute(text("SELECT 1"))
            after_commit(session, lambda: calls.append("inner"))
        before = list(calls)

    assert before == []
    assert calls == ["outer", "inner"]


def test_what_is_rolled_back_calls_nothing():
    calls: list[str] = []

    def write() -> None:
        with open_session() as session:
            session.execute(text("SELECT 1"))
            after_commit(session, lambda: calls.append("undone"))
            raise Undone

    with pytest.raises(Undone):
        write()
    with open_session() as session:
        session.execute(text("SELECT 1"))

    assert calls == []


@pytest.fixture
def frozen_postgres(postgres_process: tuple[Process, dict[str, str]]) -> Iterator[None]:
    """PostgreSQL, stopped with SIGSTOP: its machine goes on acknowledging what we send."""
    with open_session() as session:
        session.execute(text("SELECT 1"))
    server = psutil.Process(postgres_process[0].pid)
    family = [server, *server.children(recursive=True)]
    for process in family:
        process.suspend()
    yield
    for process in family:
        process.resume()
    with open_session() as session:
        session.execute(text("SELECT 1"))


@pytest.mark.usefixtures("frozen_postgres")
def test_a_frozen_server_is_told_within_three_seconds_also_to_a_crowd():
    def ask(_: int) -> float:
        began = time.monotonic()
        with pytest.raises(DATABASE_AWAY), open_session() as session:
            session.execute(text("SELECT 1"))
        return time.monotonic() - began

    # Twice as many as the pool has places: those who wait for one must not begin to wait for the server then.
    with ThreadPoolExecutor(30) as pool:
        seconds = [ask(0), *pool.map(ask, range(30))]

    assert max(seconds) < 3.5


def test_a_server_that_freezes_in_the_middle_of_a_statement_is_told_within_three_seconds(
    postgres_process: tuple[Process, dict[str, str]],
):
    server = psutil.Process(postgres_process[0].pid)

    def ask() -> float:
        with pytest.raises(DATABASE_AWAY), open_session() as session:
            session.execute(text("SELECT pg_sleep(8)"))
        return time.monotonic()

    def is_asking() -> bool:
        # A transaction sees others' statements as they were when it first looked.
        with open_session() as session:
            seen = text("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(8)'")
            return bool(session.scalar(seen))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        wait_until(is_asking, 10)
        family = [server, *server.children(recursive=True)]
        for process in family:
            process.suspend()
        frozen_at = time.monotonic()
        try:
            told_at = asking.result()
        finally:
            for process in family:
                process.resume()

    assert told_at - frozen_at < 3


def test_a_slow_statement_is_waited_for():
    with open_session() as session:
        assert session.scalar(text("SELECT 'slow' FROM pg_sleep(2.5)")) == "slow"
