"""Counting that all processes do together, on the broker, and each alone while the broker is away."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from limits.storage import MemoryStorage, RedisStorage, Storage
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = structlog.get_logger()

Answer = TypeVar("Answer")

# A broker that didn't answer is left alone for this long, so that only one request in a while waits for it.
BROKER_PAUSE_SECONDS = 10


class SharedStorage:
    """The broker's counters, or this process's own where the broker does not answer within `timeout_seconds`."""

    def __init__(self, redis_url: str, *, prefix: str, timeout_seconds: float) -> None:
        pool = ConnectionPool.from_url(
            redis_url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        self._on_broker = RedisStorage(redis_url, connection_pool=pool, key_prefix=f"fotograma:{prefix}")
        self._in_memory = MemoryStorage()
        self._broker_paused_until = 0.0

    def ask(self, question: Callable[[Storage], Answer]) -> Answer:
        """The answer of the one that is to be asked at this moment."""
        if time.monotonic() >= self._broker_paused_until:
            try:
                return question(self._on_broker)
            except RedisError as error:
                self._broker_paused_until = time.monotonic() + BROKER_PAUSE_SECONDS
                logger.warning("broker away, counted in memory", error=str(error))
        return question(self._in_memory)
