"""Holding on to a segment while it is worked on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.database import open_session
from app.extractions import lifecycle, segment_lifecycle
from app.extractions.claims import Claim
from app.extractions.errors import LeaseLost
from app.settings import get_settings
from fotograma.errors import Cancelled

logger = structlog.get_logger()

JOIN_SECONDS = 2.0
# Of the ten that a worker has to end. What hangs for longer, in a store that is silent, it won't give back by itself.
HANGING_SECONDS = 5.0


class Lease:
    """Renews a claim from a thread of its own, and stops the work when it is lost or the worker is told to stop."""

    def __init__(self, claim: Claim, *, stopping: threading.Event) -> None:
        self.claim = claim
        self.frames_done = 0
        self.lost = False
        self._worker_stopping = stopping
        self._stop_work: Callable[[], None] = lambda: None
        self._ended = threading.Event()
        self._renewing = threading.Lock()
        self._frames_told = 0
        self._thread = threading.Thread(target=self._run, name=f"lease-{claim.segment_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        # A heartbeat that a frozen database holds changes nothing any more, and must not hold a worker that is to stop.
        self._thread.join(timeout=JOIN_SECONDS)

    @property
    def given_up(self) -> bool:
        """Whether to stop working: the segment is another's, or the worker ends."""
        return self.lost or self._worker_stopping.is_set()

    @contextmanager
    def handing_over(self) -> Iterator[None]:
        """While the claim ends and another takes its place, no heartbeat asks after the ended one."""
        with self._renewing:
            yield

    def wait(self, seconds: float) -> None:
        """Stand still for so long; raises `Cancelled` where the work is given up before or meanwhile."""
        self._worker_stopping.wait(seconds)
        if self.given_up:
            raise Cancelled

    def on_given_up(self, stop_work: Callable[[], None]) -> None:
        """What stops the work at once; called from the lease's thread."""
        self._stop_work = stop_work
        if self.given_up:
            stop_work()

    def tell_progress(self) -> None:
        """Let those who watch know how far it is. Whether they come to know hinders nobody who works."""
        frames_done, extraction_id = self.frames_done, self.claim.extraction_id
        if extraction_id is not None and frames_done != self._frames_told:
            with suppress(SQLAlchemyError):
                with open_session() as session:
                    lifecycle.tell_progress(session, extraction_id)
                self._frames_told = frames_done

    def _run(self) -> None:
        # Looks often whether the worker ends, and renews only each heartbeat.
        tick_seconds = 0.2
        since_renewed = 0.0
        while not self._ended.wait(tick_seconds):
            if self.given_up:
                self._stop_work()
                if not self.lost and not self._ended.wait(HANGING_SECONDS):
                    self._give_back()
                return
            since_renewed += tick_seconds
            if since_renewed >= get_settings().heartbeat_seconds:
                since_renewed = 0.0
                self._renew()

    def _give_back(self) -> None:
        try:
            with open_session() as session:
                segment_lifecycle.give_back(session, self.claim)
            logger.warning("segment given back, its work hangs")
        except (LeaseLost, SQLAlchemyError) as error:
            logger.warning("segment whose work hangs not given back", error=str(error).splitlines()[0])

    def _renew(self) -> None:
        try:
            with self._renewing, open_session() as session:
                segment_lifecycle.keep_lease(session, self.claim, frames_done=self.frames_done)
            self.tell_progress()
        except LeaseLost:
            if self._ended.is_set():
                return
            self.lost = True
            self._stop_work()
        except SQLAlchemyError as error:
            # The database may be back before the lease runs out; if not, the token keeps this worker from harm.
            logger.warning("heartbeat failed", error=str(error).splitlines()[0])
