"""Addresses that users name lead to the public Internet and nowhere else, at whatever moment they are looked at."""

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.outbound import AddressRefused, Outbound, Unreachable
from tests.app.receiving import LOOPBACK, PUBLIC, Names, Receiver

INSIDE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://127。0。0。1/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fc00::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://localhost/",
    "http://LOCALHOST:8000/",
]
NO_WEB_ADDRESSES = [
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://example.com/",
    "//example.com/",
    "example.com",
    "http://",
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://exa mple.com/",
    "http://example.com/" + "x" * 3000,
    "",
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.begin()
    yield receiver
    receiver.end()


def get(outbound: Outbound, url: str, *, within_seconds: float = 10) -> tuple[int, bytes]:
    with outbound.request("GET", url, headers={}, within_seconds=within_seconds) as answer:
        return answer.status, b"".join(answer.chunks)


@pytest.mark.parametrize("url", [*INSIDE, *NO_WEB_ADDRESSES])
def test_address_that_is_not_public_is_refused_when_it_is_named_and_when_it_is_asked(url: str) -> None:
    outbound = Outbound()

    with pytest.raises(AddressRefused):
        outbound.check(url)
    with pytest.raises(AddressRefused):
        get(outbound, url)


@pytest.mark.parametrize("answers", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["2606:4700::1", "::1"], ["fe80::1%eth0"]])
def test_name_is_refused_for_any_address_inside(answers: list[str]) -> None:
    outbound = Outbound(resolve=Names(answers))

    with pytest.raises(AddressRefused):
        outbound.check("https://example.com/")


@pytest.mark.parametrize("url", ["https://example.com/hook?x=1", f"http://{PUBLIC}:8080/", "http://bücher.example/"])
def test_public_address_is_taken(url: str) -> None:
    Outbound(resolve=Names([PUBLIC, "2606:4700::1"])).check(url)


def test_name_that_stands_for_nothing_is_refused_when_it_is_named() -> None:
    with pytest.raises(AddressRefused, match="stands for no address"):
        Outbound(resolve=Names([])).check("https://example.com/")


def test_name_that_changes_its_meaning_leads_nowhere(receiver: Receiver) -> None:
    names = Names([PUBLIC], ["127.0.0.1"])
    outbound = Outbound(resolve=names)
    url = f"http://rebinding.example:{receiver.port}/"

    outbound.check(url)
    with pytest.raises(AddressRefused):
        get(outbound, url)

    assert receiver.calls == []


def test_what_is_judged_is_what_is_connected_to(receiver: Receiver) -> None:
    names = Names(["127.0.0.1"], ["127.0.0.9"])
    outbound = Outbound(allowed=LOOPBACK, resolve=names)

    status, body = get(outbound, f"http://pinned.example:{receiver.port}/")

    assert (status, body) == (200, b"hello")
    assert [call.headers["host"] for call in receiver.calls] == [f"pinned.example:{receiver.port}"]
    assert names.asked == ["pinned.example"]


def test_second_address_is_tried_when_the_first_is_deaf(receiver: Receiver) -> None:
    outbound = Outbound(allowed=LOOPBACK, resolve=Names(["127.0.0.9", "127.0.0.1"]))

    assert get(outbound, f"http://two.example:{receiver.port}/")[0] == 200


def test_redirect_is_an_answer_like_any_other(receiver: Receiver) -> None:
    receiver.status = 302

    status, _ = get(Outbound(allowed=LOOPBACK), receiver.url)

    assert status == 302
    assert [call.path for call in receiver.calls] == ["/hook"]


def test_proxy_of_the_environment_is_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{receiver.port}")

    with pytest.raises(AddressRefused):
        get(Outbound(resolve=Names(["10.0.0.1"])), "http://inside.example/")

    assert receiver.calls == []


def test_address_where_nobody_is_tells_so() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        with pytest.raises(Unreachable, match="could not be connected to"):
            get(Outbound(allowed=LOOPBACK), f"http://127.0.0.1:{unused.getsockname()[1]}/")


class Trickle(BaseHTTPRequestHandler):
    """Sends a byte now and then, each well within any timeout, and never an end."""

    def do_GET(self) -> None:
        ended = threading.Event()
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not ended.wait(0.05):
                self.wfile.write(b"x")
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


def test_trickling_answer_ends_in_time() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Trickle)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    with pytest.raises(Unreachable, match="in time"):
        get(Outbound(allowed=LOOPBACK), f"http://127.0.0.1:{server.server_port}/", within_seconds=0.5)

    server.shutdown()
    server.server_close()


def test_resolver_that_is_silent_is_not_waited_for() -> None:
    never = threading.Event()

    def silent(_: str) -> Sequence[str]:
        never.wait(30)
        return [PUBLIC]

    with pytest.raises(Unreachable, match="not resolved in time"):
        get(Outbound(resolve=silent), "http://slow.example/", within_seconds=0.2)

    never.set()


@pytest.fixture
def tls_receiver(tmp_path: Path) -> Iterator[Callable[[str], tuple[Receiver, ssl.SSLContext]]]:
    """`tls_receiver("name")`: a server with a certificate for that name, and who trusts it."""
    started: list[Receiver] = []

    def start(name: str) -> tuple[Receiver, ssl.SSLContext]:
        certificate = _certificate(tmp_path, name)
        receiver = Receiver()
        receiver.begin()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
        receiver.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        started.append(receiver)
        return receiver, ssl.create_default_context(cafile=str(certificate))

    yield start
    for receiver in started:
        receiver.end()


def _certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    key_bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(key_bytes + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(("asked", "answers"), [("right.example", True), ("wrong.example", False)])
def test_certificate_must_be_for_the_name_that_was_asked(
    tls_receiver: Callable[[str], tuple[Receiver, ssl.SSLContext]], asked: str, answers: bool
) -> None:
    receiver, trust = tls_receiver("right.example")
    outbound = Outbound(allowed=LOOPBACK, resolve=Names(["127.0.0.1"]), tls=trust)
    url = f"https://{asked}:{receiver.port}/"

    if answers:
        assert get(outbound, url) == (200, b"hello")
    else:
        with pytest.raises(Unreachable, match="certificate"):
            get(outbound, url)
