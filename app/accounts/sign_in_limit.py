"""Failed sign-ins are counted, on the broker so that all processes count together; good ones are not."""

import hashlib
import ipaddress
import math
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import structlog
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.accounts.errors import TooManySignIns
from app.settings import get_settings

logger = structlog.get_logger()

Answer = TypeVar("Answer")

# One address may stand for an office, and one account be tried from many: alone, each gets this many times the tries.
WIDER = 20

BROKER_TIMEOUT_SECONDS = 0.3
# A broker that didn't answer is left alone for this long, so that only one sign-in in a while waits for it.
BROKER_PAUSE_SECONDS = 10


class SignInLimit:
    """Failures by account and address together, and by each alone; in memory while the broker is away."""

    def __init__(self, redis_url: str, *, tries: int, window_seconds: int) -> None:
        pool = ConnectionPool.from_url(
            redis_url,
            socket_timeout=BROKER_TIMEOUT_SECONDS,
            socket_connect_timeout=BROKER_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        storage = RedisStorage(redis_url, connection_pool=pool, key_prefix="fotograma:sign-in")
        self._on_broker = MovingWindowRateLimiter(storage)
        self._in_memory = MovingWindowRateLimiter(MemoryStorage())
        self._broker_paused_until = 0.0
        self._narrow = RateLimitItemPerSecond(tries, window_seconds)
        self._wide = RateLimitItemPerSecond(tries * WIDER, window_seconds)

    def check(self, email: str, *, address: str) -> None:
        """`TooManySignIns` when this account or address has failed too often."""
        for item, key in self._counters(email, address):
            stats = self._ask(MovingWindowRateLimiter.get_window_stats, item, key)
            if stats.remaining <= 0:
                raise TooManySignIns(retry_after_seconds=max(1, math.ceil(stats.reset_time - time.time())))

    def count_failure(self, email: str, *, address: str) -> None:
        """One more sign-in of this account from this address failed."""
        for item, key in self._counters(email, address):
            self._ask(MovingWindowRateLimiter.hit, item, key)

    def _counters(self, email: str, address: str) -> list[tuple[RateLimitItem, tuple[str, ...]]]:
        # Hashed, so that the broker holds no addresses of people and no key is longer than another.
        account = hashlib.sha256(email.lower().encode()).hexdigest()
        network = _network(address)
        return [(self._narrow, (account, network)), (self._wide, (account,)), (self._wide, (network,))]

    def _ask(self, question: Callable[..., Answer], item: RateLimitItem, key: tuple[str, ...]) -> Answer:
        if time.monotonic() >= self._broker_paused_until:
            try:
                return question(self._on_broker, item, *key)
            except RedisError as error:
                self._broker_paused_until = time.monotonic() + BROKER_PAUSE_SECONDS
                logger.warning("broker away, sign-ins are counted in memory", error=str(error))
        return question(self._in_memory, item, *key)


@lru_cache
def get_sign_in_limit() -> SignInLimit:
    """The counters of this process."""
    settings = get_settings()
    return SignInLimit(
        settings.redis_url.get_secret_value(),
        tries=settings.login_tries,
        window_seconds=settings.login_window_seconds,
    )


def _network(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    # Whoever has one IPv6 address has the 2^64 around it.
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else address
