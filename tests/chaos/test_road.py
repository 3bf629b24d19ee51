"""The road by itself: what fails in the other tests is then the service's."""

import socket
import time
from collections.abc import Iterator

import pytest

from tests.chaos.road import Road


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


@pytest.fixture
def road(server: socket.socket) -> Iterator[Road]:
    with Road(server.getsockname()[1]) as road:
        yield road


@pytest.fixture
def client(road: Road) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", road.port), timeout=5) as client:
        yield client


@pytest.fixture
def far_end(server: socket.socket, client: socket.socket) -> Iterator[socket.socket]:  # noqa: ARG001
    connection, _ = server.accept()
    connection.settimeout(5)
    with connection:
        yield connection


def test_a_good_road_passes_everything_on(client: socket.socket, far_end: socket.socket):
    client.sendall(b"there" * 20_000)
    there = received(far_end, 100_000)
    far_end.sendall(b"and back")
    far_end.shutdown(socket.SHUT_WR)

    assert there == b"there" * 20_000
    assert received(client, 8) == b"and back"


def test_a_blocked_road_is_silent_until_it_is_mended(road: Road, client: socket.socket, far_end: socket.socket):
    road.block()
    client.sendall(b"hello")
    far_end.settimeout(0.3)
    with pytest.raises(TimeoutError):
        far_end.recv(1)
    road.mend()

    assert received(far_end, 5) == b"hello"


def test_answers_alone_can_be_blocked(road: Road, client: socket.socket, far_end: socket.socket):
    road.block(answers_only=True)
    client.sendall(b"hello")
    far_end.sendall(b"and back")
    client.settimeout(0.3)

    assert received(far_end, 5) == b"hello"
    with pytest.raises(TimeoutError):
        client.recv(1)


def test_a_cut_road_resets_old_connections_and_new_ones(road: Road, client: socket.socket, far_end: socket.socket):
    road.cut()

    assert is_ended(client)
    assert is_ended(far_end)
    with socket.create_connection(("127.0.0.1", road.port), timeout=5) as late:
        assert is_ended(late)


def test_a_slow_road_is_slow(road: Road, client: socket.socket, far_end: socket.socket):
    road.bytes_per_second = 10_000
    began = time.monotonic()
    client.sendall(b"x" * 5000)
    received(far_end, 5000)

    assert time.monotonic() - began >= 0.5


def is_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def received(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data
