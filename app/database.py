"""PostgreSQL: the truth and the queue of record."""

import datetime
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, ClassVar

import uuid_utils.compat
from sqlalchemy import DateTime, Engine, MetaData, Text, create_engine, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from app.settings import get_settings

# Alembic can only drop what has a name, so that every constraint gets one.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


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
    return create_engine(
        settings.database_url,
        pool_size=settings.db_pool_size,
        max_overflow=5,
        pool_timeout=2,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 2,
            "application_name": "fotograma",
            # A peer that went silent (a frozen or vanished server) is given up by the kernel.
            "tcp_user_timeout": 3000,
            "keepalives_idle": 5,
            "options": "-c statement_timeout=15000 -c idle_in_transaction_session_timeout=30000 -c timezone=UTC",
        },
    )


@contextmanager
def open_session() -> Iterator[Session]:
    """One transaction: committed when the block ends, rolled back when it raises."""
    with _session_factory()() as session, session.begin():
        yield session


@lru_cache
def _session_factory() -> sessionmaker[Session]:
    return sessionmaker(get_engine(), expire_on_commit=False)


def after_commit(session: Session, call: Callable[[], None]) -> None:
    """Do `call` once this transaction is committed, and never if it is not."""
    event.listen(session, "after_commit", lambda _: call(), once=True)
