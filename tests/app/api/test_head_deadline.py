"""A real server with a shorter deadline, and clients that dawdle."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from app.api.head_deadline import HeadDeadline
from app.local_stack.processes import free_port
from tests.waiting import wait_until

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


class Hasty(HeadDeadline):
    """As the service has it, with less patience."""

    head_seconds = 0.5


async def app(_: Any, receive: Any, send: Any) -> None:
    """Takes the whole body, then says yes."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"yes"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, http=Hasty, lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    yield port
    server.should_exit = True
    thread.join()


@pytest.fixture
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def is_answered(connection: socket.socket) -> bool:
    """Whether the app says yes."""
    answer = b""
    while not answer.endswith(b"yes") and (part := connection.recv(1000)):
        answer += part
    return answer.endswith(b"yes")


def test_who_says_nothing_is_let_go(connection: socket.socket):
    assert connection.recv(100) == b""


def test_a_head_that_trickles_is_not_waited_for(connection: socket.socket):
    connection.sendall(b"GET / HTTP/1.1\r\nX: ")
    is_open = True

    def trickle() -> bool:
        nonlocal is_open
        connection.settimeout(0.05)
        try:
            connection.send(b"y")
            is_open = connection.recv(100) != b""
        except TimeoutError:
            # Never silent for long.
            pass
        except ConnectionError:
            is_open = False
        return not is_open

    wait_until(trickle, 10)


def test_a_second_request_that_trickles_is_not_waited_for_either(connection: socket.socket):
    connection.sendall(REQUEST)
    assert is_answered(connection)
    connection.sendall(REQUEST[:10])
    assert connection.recv(100) == b""


def test_a_crowd_that_trickles_is_let_go_and_holds_nobody_up(port: int):
    crowd = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(200)]
    try:
        for number, one in enumerate(crowd):
            one.sendall(b"GET / HTTP/1.1\r\nX: "[: number % 20])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as other:
            other.sendall(REQUEST)
            assert is_answered(other)
        assert {one.recv(100) for one in crowd} == {b""}
    finally:
        for one in crowd:
            one.close()


def test_a_request_sent_ahead_that_trickles_is_not_waited_for_either(connection: socket.socket):
    connection.sendall(REQUEST + REQUEST[:10])
    assert is_answered(connection)
    assert connection.recv(100) == b""


def test_a_head_that_does_not_end_is_refused(connection: socket.socket):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"y" * HeadDeadline.head_max_bytes)
    assert connection.recv(12) == b"HTTP/1.1 431"


def test_a_long_body_is_no_long_head(connection: socket.socket):
    head = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % (4 * HeadDeadline.head_max_bytes)
    for _ in range(2):
        connection.sendall(head + bytes(4 * HeadDeadline.head_max_bytes))
        assert is_answered(connection)


def test_the_plain_command_has_it_too(server: str):
    with socket.create_connection(("127.0.0.1", int(server.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"y" * HeadDeadline.head_max_bytes)
        assert connection.recv(12) == b"HTTP/1.1 431"


def test_a_body_may_take_longer(connection: socket.socket):
    connection.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\na")
    began = time.monotonic()
    wait_until(lambda: time.monotonic() > began + 2 * Hasty.head_seconds)
    connection.sendall(b"b")

    assert is_answered(connection)


def test_requests_one_after_another_are_answered(connection: socket.socket):
    for _ in range(3):
        connection.sendall(REQUEST)
        assert is_answered(connection)
