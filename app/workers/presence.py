"""Says every few seconds that this worker is there, and how its jail holds."""

import datetime
import os
import socket
import threading

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app import fleet
from app.database import open_session
from app.fleet import Worker
from app.settings import get_settings

logger = structlog.get_logger()

HOST = socket.gethostname()
NAME = f"{HOST}-{os.getpid()}"


def tell_until(stopping: threading.Event, *, layers: dict[str, str]) -> None:
    """Tell until the worker ends, from a thread of its own: a long sweep must not make it look dead."""
    started_at = datetime.datetime.now(datetime.UTC)
    while True:
        try:
            with open_session() as session:
                if stopping.is_set():
                    fleet.leave(session, NAME)
                else:
                    fleet.tell(session, Worker(name=NAME, host=HOST, layers=layers, started_at=started_at))
        except SQLAlchemyError as error:
            # The database may be away; health tells that better than we could.
            logger.warning("presence not told", error=str(error).splitlines()[0])
        if stopping.is_set():
            return
        stopping.wait(get_settings().sweep_seconds)
