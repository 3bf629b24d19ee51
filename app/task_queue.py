"""All that the service knows of Celery: the app, and how to ring.

The queue carries no work. A ring says "there is some"; the claim in PostgreSQL decides which. A ring that is lost costs
a few seconds until the sweep rings again, so that ringing never waits and never fails a request.
"""

import queue
import threading
from collections.abc import Collection
from functools import lru_cache

import structlog
from celery import Celery
from kombu.entity import Queue

from app.settings import get_settings

logger = structlog.get_logger()

# Each task has the queue of its name, so that rings for one can be counted apart from the others'.
SEGMENT_TASK = "fotograma.segment"
EMAIL_TASK = "fotograma.email"
WEBHOOK_TASK = "fotograma.webhook"
TASKS = (SEGMENT_TASK, EMAIL_TASK, WEBHOOK_TASK)

# The broker's answer is waited for this long: a frozen one must not hold the thread that rings.
BROKER_TIMEOUT_SECONDS = 2.0

NOTE_PREFIX = "fotograma:note:"
NOTE_SECONDS = 24 * 3600


@lru_cache
def get_celery() -> Celery:
    """The Celery app of this process."""
    celery = Celery("fotograma", broker=get_settings().redis_url.get_secret_value())
    celery.conf.update(
        task_queues=[Queue(name) for name in TASKS],
        task_default_queue=SEGMENT_TASK,
        task_routes={name: {"queue": name} for name in TASKS},
        task_ignore_result=True,
        task_acks_late=False,
        task_send_sent_event=True,
        worker_send_task_events=True,
        worker_pool="threads",
        worker_concurrency=get_settings().worker_threads or None,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": BROKER_TIMEOUT_SECONDS,
            "socket_connect_timeout": BROKER_TIMEOUT_SECONDS,
            "socket_keepalive": True,
            "max_retries": 1,
        },
    )
    return celery


def ring(task: str) -> None:
    """Say that there is work for `task`. Returns at once; the ringing happens on one background thread."""
    _bell().ring(task)


def wait_until_rung() -> None:
    """For a process that ends after it has rung: give the one thread that rings the time for it."""
    _bell().wait_until_rung(BROKER_TIMEOUT_SECONDS)


def waiting_rings(task: str) -> int:
    """How many rings for `task` the broker holds that no worker has taken yet."""
    with get_celery().connection_for_read() as connection:
        return int(connection.default_channel.client.llen(task))


def leave_notes(*notes: str) -> None:
    """Keep words for whoever asks, for a while: what the database can't be told while it is away."""
    with get_celery().connection_for_write() as connection:
        for note in notes:
            connection.default_channel.client.set(NOTE_PREFIX + note, 1, ex=NOTE_SECONDS)


def find_notes(notes: Collection[str]) -> set[str]:
    """Those of the words that somebody has left; none while the broker is away."""
    if not notes:
        return set()
    try:
        with get_celery().connection_for_read() as connection:
            found = connection.default_channel.client.mget([NOTE_PREFIX + note for note in notes])
    except Exception as error:
        logger.warning("broker away, no notes found", error=str(error))
        return set()
    return {note for note, value in zip(notes, found, strict=True) if value is not None}


class _Bell:
    """The one thread of a process that talks to the broker. What doesn't fit is dropped: the sweep rings for it."""

    def __init__(self) -> None:
        self._tasks: queue.Queue[str] = queue.Queue(maxsize=1000)
        threading.Thread(target=self._run, name="bell", daemon=True).start()

    def ring(self, task: str) -> None:
        try:
            self._tasks.put_nowait(task)
        except queue.Full:
            logger.warning("ring dropped, the sweep will ring", task=task)

    def wait_until_rung(self, seconds: float) -> None:
        with self._tasks.all_tasks_done:
            self._tasks.all_tasks_done.wait_for(lambda: not self._tasks.unfinished_tasks, seconds)

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                get_celery().send_task(task, retry=False)
            except Exception as error:
                logger.warning("broker away, the sweep will ring", task=task, error=str(error))
            finally:
                self._tasks.task_done()


@lru_cache
def _bell() -> _Bell:
    return _Bell()
