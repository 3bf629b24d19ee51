"""How many requests of one user are taken in a minute: counted, by what they cost, in one step on the broker."""

import math
import time
import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from app.accounts.counting import SharedStorage
from app.settings import get_settings

WINDOW_SECONDS = 60
# What is counted is on its way to an answer: a broker that hangs costs one request in ten seconds so much.
BROKER_TIMEOUT_SECONDS = 0.025

Policy = Literal["requests", "uploads", "data"]
"""`uploads` begin something; `data` are pictures and parts of uploads, of which a page or client asks many."""


@dataclass(frozen=True)
class Count:
    """How one user stands in this minute."""

    policy: Policy
    most: int
    count: int
    resets_in_seconds: int

    @property
    def is_over(self) -> bool:
        """Whether this request is one too many."""
        return self.count > self.most

    @property
    def headers(self) -> dict[str, str]:
        """As the draft of RateLimit header fields has it (draft-ietf-httpapi-ratelimit-headers)."""
        left = max(0, self.most - self.count)
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.most};w={WINDOW_SECONDS}',
            "RateLimit": f'"{self.policy}";r={left};t={self.resets_in_seconds}',
        }


def count_request(user_id: uuid.UUID, policy: Policy) -> Count:
    """Count one more request of a user."""
    now = time.time()
    key = f"{policy}/{user_id}/{int(now // WINDOW_SECONDS)}"
    settings = get_settings()
    most = {
        "requests": settings.user_requests_a_minute,
        "uploads": settings.user_upload_requests_a_minute,
        "data": settings.user_data_requests_a_minute,
    }[policy]
    count = _storage().ask(lambda storage: storage.incr(key, WINDOW_SECONDS))
    return Count(policy=policy, most=most, count=count, resets_in_seconds=math.ceil(-now % WINDOW_SECONDS) or 1)


@lru_cache
def _storage() -> SharedStorage:
    redis_url = get_settings().redis_url.get_secret_value()
    return SharedStorage(redis_url, prefix="requests", timeout_seconds=BROKER_TIMEOUT_SECONDS)
