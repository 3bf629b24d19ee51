import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path

import pytest

from app.notifications.smtp import BadServer, Server, ServerUnavailable, read_server, send


def a_message() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "no-reply@fotograma.test", "ana@example.com"
    message.set_content("Hello")
    return message


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "user", "password"),
    [
        ("smtp://localhost:1025", "smtp", "localhost", 1025, "", ""),
        ("smtp://mail.example.com", "smtp", "mail.example.com", 25, "", ""),
        ("smtp://[::1]:2525/", "smtp", "::1", 2525, "", ""),
        (
            "smtp+starttls://ana%40gmail.com:abcdefghijklmnop@smtp.gmail.com:587",
            "smtp+starttls",
            "smtp.gmail.com",
            587,
            "ana@gmail.com",
            "abcdefghijklmnop",
        ),
        ("smtp+starttls://u:p@host", "smtp+starttls", "host", 587, "u", "p"),
        ("SMTPS://u:%2F%23%3F%40%3A%25@host", "smtps", "host", 465, "u", "/#?@:%"),
        ("smtps://host", "smtps", "host", 465, "", ""),
    ],
)
def test_an_address_is_read(url: str, scheme: str, host: str, port: int, user: str, password: str):
    server = read_server(url)

    assert (server.scheme, server.host, server.port) == (scheme, host, port)
    assert (server.user, server.password) == (user, password)


@pytest.mark.parametrize(
    ("url", "way_out"),
    [
        ("", "must begin with smtp://"),
        ("localhost:25", "must begin with smtp://"),
        ("https://u:hidden@host", "must begin with smtp://"),
        ("smtp+tls://host", "must begin with smtp://"),
        ("smtp://", "names no host"),
        ("smtp://:25", "names no host"),
        ("smtp://host:mail", "no valid host and port"),
        ("smtp://host:99999", "no valid host and port"),
        ("smtp://[::1", "no valid host and port"),
        ("smtps://u@host", "both user and password"),
        ("smtps://:hidden@host", "both user and password"),
        ("smtp://u:hidden@host", "in the clear"),
        ("smtps://u:hidden/@host", "no valid host and port"),
        ("smtps://u:hid#den@host", "no valid host and port"),
        ("smtps://host/u:hidden", "ends after the port"),
        ("smtps://u:hidden@host?x=1", "ends after the port"),
        ("smtps://u:hiddén@host", "ASCII"),
    ],
)
def test_a_bad_address_is_one_sentence_with_a_way_out_and_no_password(url: str, way_out: str):
    with pytest.raises(BadServer) as told:
        read_server(url)

    sentence = str(told.value)
    assert sentence.startswith("SMTP_URL")
    assert way_out in sentence
    assert "\n" not in sentence
    assert "hid" not in sentence


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_certificate_file_that_holds_none_is_told(tmp_path: Path, content: bytes | None):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(BadServer, match=r"SMTP_CA_FILE .*ca\.pem can't be read"):
        read_server("smtps://host", ca_file=str(file))


def test_a_server_does_not_show_its_password():
    assert "hidden" not in repr(read_server("smtps://u:hidden@host"))


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"SMTP_URL": "ftp://u:hidden@host"}, "SMTP_URL must begin with"),
        ({"MAIL_FROM": "Fotograma"}, "MAIL_FROM must be an address"),
    ],
)
def test_bad_settings_end_the_start_in_one_sentence(variables: dict[str, str], sentence: str):
    ended = subprocess.run(
        [sys.executable, "-c", "from app.notifications.smtp import get_server; get_server()"],
        env={**os.environ, "SECRET_KEY": secrets.token_urlsafe(48), **variables},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert sentence in ended.stderr
    assert "hidden" not in ended.stderr


@pytest.fixture
def serve_raw():
    """`serve_raw(handle)`: a TCP server that gives its one connection to `handle`."""
    threads: list[threading.Thread] = []
    ending = threading.Event()

    def serve(handle: Callable[[socket.socket, threading.Event], None]) -> Server:
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            # The other side hangs up, which is what is waited for.
            with listener, listener.accept()[0] as connection, suppress(OSError):
                handle(connection, ending)

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        return read_server(f"smtp://127.0.0.1:{listener.getsockname()[1]}")

    yield serve
    ending.set()
    for thread in threads:
        thread.join()


def test_a_server_that_never_answers_is_given_up_after_the_timeout(serve_raw):
    server = serve_raw(lambda _, ending: ending.wait())
    began = time.monotonic()

    with pytest.raises(ServerUnavailable, match="timed out"):
        send(server, a_message(), deadline=began + 30, timeout_seconds=0.3)

    assert time.monotonic() - began < 3


def test_a_server_that_trickles_is_cut_off_at_the_deadline(serve_raw):
    def trickle(connection: socket.socket, ending: threading.Event) -> None:
        connection.sendall(b"220 hello\r\n")
        while not ending.wait(0.05):
            connection.sendall(b"2")

    server = serve_raw(trickle)
    began = time.monotonic()

    with pytest.raises(ServerUnavailable):
        send(server, a_message(), deadline=began + 0.5, timeout_seconds=10)

    assert time.monotonic() - began < 3


def test_nothing_is_handed_in_after_the_deadline(start_sink, server_of):
    sink = start_sink()

    with pytest.raises(ServerUnavailable):
        send(server_of(sink), a_message(), deadline=time.monotonic() - 1, timeout_seconds=10)

    assert sink.messages == []


def test_a_port_where_nobody_listens_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(ServerUnavailable, match="refused"):
        send(read_server(f"smtp://127.0.0.1:{port}"), a_message(), deadline=time.monotonic() + 30, timeout_seconds=1)
