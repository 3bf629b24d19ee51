"""Waiting for what must come true, instead of sleeping and hoping."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def wait_until(condition: Callable[[], T], within_seconds: float = 10) -> T:
    """What `condition` gives once it is true; a test fails when it does not become so in time."""
    deadline = time.monotonic() + within_seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"still not so after {within_seconds} s: {value!r}")
        time.sleep(0.05)
