"""The limit holds while the broker is away, and a broker that hangs costs one short wait."""

import socket
import time

import pytest

from app.accounts.errors import TooManySignIns
from app.accounts.sign_in_limit import SignInLimit

HERE, THERE = "192.0.2.1", "192.0.2.2"


def closed_for(limit: SignInLimit, email: str, address: str) -> bool:
    try:
        limit.check(email, address=address)
    except TooManySignIns:
        return True
    return False


@pytest.fixture
def limit(environment: dict[str, str]) -> SignInLimit:
    return SignInLimit(environment["REDIS_URL"], tries=2, window_seconds=2)


def test_processes_count_together(environment: dict[str, str]):
    one, other = (SignInLimit(environment["REDIS_URL"], tries=2, window_seconds=60) for _ in range(2))
    one.count_failure("together@example.com", address=HERE)
    other.count_failure("Together@example.com", address=HERE)

    assert closed_for(one, "together@example.com", HERE)
    assert closed_for(other, "together@example.com", HERE)


def test_account_opens_again_when_it_was_said_to(limit: SignInLimit, wait_until):
    for _ in range(2):
        limit.count_failure("again@example.com", address=HERE)

    with pytest.raises(TooManySignIns) as refusal:
        limit.check("again@example.com", address=HERE)

    assert refusal.value.retry_after_seconds in {1, 2}
    wait_until(lambda: not closed_for(limit, "again@example.com", HERE), within_seconds=3)


def test_account_tried_from_everywhere_closes_for_all(environment: dict[str, str]):
    limit = SignInLimit(environment["REDIS_URL"], tries=1, window_seconds=60)
    for number in range(20):
        limit.count_failure("victim@example.com", address=f"198.51.100.{number}")

    assert closed_for(limit, "victim@example.com", THERE)
    assert not closed_for(limit, "another@example.com", THERE)


def test_address_that_tries_every_account_is_closed(environment: dict[str, str]):
    limit = SignInLimit(environment["REDIS_URL"], tries=1, window_seconds=60)
    for number in range(20):
        limit.count_failure(f"spray-{number}@example.com", address="203.0.113.5")

    assert closed_for(limit, "spray-99@example.com", "203.0.113.5")
    assert not closed_for(limit, "spray-99@example.com", THERE)


def test_neighbours_in_one_ipv6_network_are_one_address(environment: dict[str, str]):
    limit = SignInLimit(environment["REDIS_URL"], tries=1, window_seconds=60)
    limit.count_failure("six@example.com", address="2001:db8::1")

    assert closed_for(limit, "six@example.com", "2001:db8::ffff")
    assert not closed_for(limit, "six@example.com", "2001:db8:0:1::1")


def test_broker_that_is_away_lifts_no_limit():
    limit = SignInLimit("redis://127.0.0.1:1/0", tries=2, window_seconds=60)
    for _ in range(2):
        assert not closed_for(limit, "away@example.com", HERE)
        limit.count_failure("away@example.com", address=HERE)

    assert closed_for(limit, "away@example.com", HERE)
    assert not closed_for(limit, "away@example.com", THERE)


def test_broker_that_hangs_costs_less_than_a_second_and_only_once():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limit = SignInLimit(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", tries=2, window_seconds=60)
        begun = time.monotonic()
        for _ in range(10):
            limit.check("hung@example.com", address=HERE)
        seconds = time.monotonic() - begun

    assert seconds < 1
