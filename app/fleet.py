"""The workers that are there: each says so every few seconds, and health asks."""

import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.database import Base
from app.settings import get_settings

# A worker that was silent for so many of its rounds, and this long beside, is not there.
SILENT_ROUNDS = 3
SPARE_SECONDS = 5.0


class Worker(Base):
    """A worker process."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    layers: Mapped[dict[str, Any]]
    """For each layer of its jail `on`, or why it does not hold."""
    started_at: Mapped[datetime.datetime]
    seen_at: Mapped[datetime.datetime]


def tell(session: Session, worker: Worker) -> None:
    """Say that a worker is there."""
    worker.seen_at = func.now()
    session.merge(worker)


def leave(session: Session, name: str) -> None:
    """Say that a worker is there no more."""
    session.execute(delete(Worker).where(Worker.name == name))


def present(session: Session) -> list[Worker]:
    """The workers that are there."""
    return list(session.scalars(select(Worker).where(Worker.seen_at >= _silent_since())))


def forget_silent(session: Session) -> None:
    """Remove those that went without a word."""
    session.execute(delete(Worker).where(Worker.seen_at < _silent_since()))


def _silent_since() -> Any:
    seconds = SILENT_ROUNDS * get_settings().sweep_seconds + SPARE_SECONDS
    return func.now() - datetime.timedelta(seconds=seconds)
