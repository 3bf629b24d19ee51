"""PostgreSQL: the truth and the queue of record."""

import datetime
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, ClassVar, cast

import psycopg
import uuid_utils.compat
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from psycopg.waiting import READY_NONE
from sqlalchemy import DateTime, Dialect, Engine, MetaData, Text, create_engine, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from app.settings import get_settings

# Alembic can only drop what has a name, so that every constraint gets one.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


# A statement is given up by the server after this, and by us a little later where the server does not, though it is
# there (`_while_there`).
STATEMENT_SECONDS = 15
# With the two seconds that a new connection then may take, a frozen server is told within 3 s.
PING_SECONDS = 0.8
# A statement may be slow. Once it is, the server is asked whether it is there at all, and has so long to say so.
SLOW_SECONDS = 1.0
LOOK_SECONDS = 1.5
# Asks whether there will be encryption: each PostgreSQL answers, whoever asks, before it wants to know who.
ENCRYPTION_REQUEST = struct.pack("!ii", 8, 80877103)

# What is raised while PostgreSQL can't be reached.
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeoutError)

WAITING_CALLS = "calls after commit"
FRESH = "fresh"


class Base(DeclarativeBase):
    """The tables; times are always with a zone."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime.datetime: DateTime(timezone=True),
        str: Text,
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
    }


def new_id() -> uuid.UUID:
    """A UUIDv7: sorts by the time it was made."""
    return uuid_utils.compat.uuid7()


@lru_cache
def get_engine() -> Engine:
    """This process's pool; its waits are short, so that a database that is away is told within 3 s."""
    settings = get_settings()
    engine = create_engine(
        settings.database_url,
        pool_size=settings.db_pool_size,
        max_overflow=5,
        pool_timeout=2,
        connect_args={
            "connect_timeout": 2,
            "application_name": "fotograma",
            # A machine that vanished is given up by the kernel, even in the middle of sending.
            "tcp_user_timeout": 3000,
            "keepalives_idle": 5,
            "options": f"-c statement_timeout={STATEMENT_SECONDS * 1000} -c timezone=UTC "
            "-c idle_in_transaction_session_timeout=30000",
        },
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "checkout", _ping)
    return engine


class _Asking(threading.local):
    """Since when this thread has wanted a session."""

    since = 0.0


_asking = _Asking()
_silent_at = 0.0


def _connect(_: Dialect, __: object, words: tuple[str, ...], parameters: dict[str, Any]) -> psycopg.Connection[Any]:
    global _silent_at
    if 0 < _asking.since < _silent_at:
        # Who waited for a place in the pool has waited enough: the one who had it waited in vain.
        raise psycopg.OperationalError("the server was silent a moment ago")
    try:
        return _Connection.connect(*words, **parameters)
    except psycopg.errors.ConnectionTimeout:
        _silent_at = time.monotonic()
        raise


def _ping(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
    """Whether a connection of the pool still works, asked each time before it is used. SQLAlchemy's own would look like
    any statement of a reader."""
    if record.info.setdefault(FRESH, True):
        record.info[FRESH] = False
        return
    try:
        cast(_Connection, connection).ping()
    except psycopg.Error as error:
        # The others of the pool have most likely gone with it.
        raise InvalidatePoolError from error


class _Connection(psycopg.Connection[Any]):
    """Closes itself when the server stays silent; a frozen server's kernel goes on acknowledging, so that ours would
    wait for ever."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Let a statement run until it is answered, or raise `OperationalError`."""
        try:
            if self._is_pinging:
                return super().wait(gen, interval, timeout or PING_SECONDS)
            return super().wait(self._while_there(gen), interval, timeout or STATEMENT_SECONDS + 1)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # The answer may still come, to the wrong question.
                self.pgconn.finish()
            raise

    _is_pinging = False

    def ping(self) -> None:
        """Raise unless the server answers at once."""
        self._is_pinging = self.autocommit = True
        try:
            self.execute("SELECT 1")
        finally:
            self._is_pinging = False
            if not self.closed:
                self.autocommit = False

    def _while_there(self, gen: PQGen[RV]) -> PQGen[RV]:
        """The same, given up as soon as nobody is there who could answer."""
        global _silent_at
        look_at = time.monotonic() + SLOW_SECONDS
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready == READY_NONE and time.monotonic() > look_at:
                    if not self._is_there():
                        _silent_at = time.monotonic()
                        raise psycopg.OperationalError("the server is silent")
                    look_at = time.monotonic() + SLOW_SECONDS
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: RV = end.value
            return answer

    def _is_there(self) -> bool:
        """Whether the server says anything at all to a newcomer."""
        host = (self.pgconn.hostaddr or self.pgconn.host).decode()
        port = int(self.pgconn.port)
        try:
            if host.startswith("/"):
                newcomer = socket.socket(socket.AF_UNIX)
                newcomer.settimeout(LOOK_SECONDS)
                newcomer.connect(f"{host}/.s.PGSQL.{port}")
            else:
                newcomer = socket.create_connection((host, port), timeout=LOOK_SECONDS)
            with newcomer:
                newcomer.sendall(ENCRYPTION_REQUEST)
                return bool(newcomer.recv(1))
        except OSError:
            return False


@contextmanager
def open_session() -> Iterator[Session]:
    """One transaction: committed when the block ends, rolled back when it raises."""
    _asking.since = time.monotonic()
    with _session_factory()() as session, session.begin():
        yield session


@contextmanager
def open_reader() -> Iterator[Session]:
    """For what only looks: each statement stands by itself, so that there is no transaction to begin and to end, which
    would be three ways to the server for one."""
    _asking.since = time.monotonic()
    with _reader_factory()() as session:
        yield session


@lru_cache
def _session_factory() -> sessionmaker[Session]:
    return sessionmaker(get_engine(), expire_on_commit=False)


@lru_cache
def _reader_factory() -> sessionmaker[Session]:
    return sessionmaker(get_engine().execution_options(isolation_level="AUTOCOMMIT"), autoflush=False)


def after_commit(session: Session, call: Callable[[], None]) -> None:
    """Do `call` once this transaction is committed, and never if it is not."""
    session.info.setdefault(WAITING_CALLS, []).append(call)


@event.listens_for(Session, "after_commit")
def _do_what_waits(session: Session) -> None:
    # The end of a savepoint comes here too, and commits nothing.
    if not session.in_nested_transaction():
        for call in session.info.pop(WAITING_CALLS, ()):
            call()


@event.listens_for(Session, "after_rollback")
def _drop_what_waits(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(WAITING_CALLS, None)
