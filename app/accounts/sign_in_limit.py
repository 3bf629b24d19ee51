"""Failed sign-ins are counted, on the broker so that all processes count together; good ones are not."""

import hashlib
import ipaddress
import math
import time
from functools import lru_cache, partial

from limits import RateLimitItem, RateLimitItemPerSecond, WindowStats
from limits.storage import Storage
from limits.strategies import MovingWindowRateLimiter

from app.accounts.counting import SharedStorage
from app.accounts.errors import TooManySignIns
from app.settings import get_settings

# One address may stand for an office, and one account be tried from many: alone, each gets this many times the tries.
WIDER = 20

BROKER_TIMEOUT_SECONDS = 0.3


class SignInLimit:
    """Failures by account and address together, and by each alone; in memory while the broker is away."""

    def __init__(self, redis_url: str, *, tries: int, window_seconds: int) -> None:
        self._storage = SharedStorage(redis_url, prefix="sign-in", timeout_seconds=BROKER_TIMEOUT_SECONDS)
        self._narrow = RateLimitItemPerSecond(tries, window_seconds)
        self._wide = RateLimitItemPerSecond(tries * WIDER, window_seconds)

    def check(self, email: str, *, address: str) -> None:
        """`TooManySignIns` when this account or address has failed too often."""
        for item, key in self._counters(email, address):
            stats = self._storage.ask(partial(_stats, item, key))
            if stats.remaining <= 0:
                raise TooManySignIns(retry_after_seconds=max(1, math.ceil(stats.reset_time - time.time())))

    def count_failure(self, email: str, *, address: str) -> None:
        """One more sign-in of this account from this address failed."""
        for item, key in self._counters(email, address):
            self._storage.ask(partial(_hit, item, key))

    def _counters(self, email: str, address: str) -> list[tuple[RateLimitItem, tuple[str, ...]]]:
        # Hashed, so that the broker holds no addresses of people and no key is longer than another.
        account = hashlib.sha256(email.lower().encode()).hexdigest()
        network = _network(address)
        return [(self._narrow, (account, network)), (self._wide, (account,)), (self._wide, (network,))]


@lru_cache
def get_sign_in_limit() -> SignInLimit:
    """The counters of this process."""
    settings = get_settings()
    return SignInLimit(
        settings.redis_url.get_secret_value(),
        tries=settings.login_tries,
        window_seconds=settings.login_window_seconds,
    )


def _stats(item: RateLimitItem, key: tuple[str, ...], storage: Storage) -> WindowStats:
    return MovingWindowRateLimiter(storage).get_window_stats(item, *key)


def _hit(item: RateLimitItem, key: tuple[str, ...], storage: Storage) -> None:
    MovingWindowRateLimiter(storage).hit(item, *key)


def _network(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    # Whoever has one IPv6 address has the 2^64 around it.
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else address
