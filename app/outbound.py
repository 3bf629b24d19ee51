"""Requests to addresses that users name: to the public Internet only, unless the settings allow more.

A name is resolved for each connection, every address it stands for is judged, and one of those that were judged is
connected to: what the name means a moment earlier or later changes nothing. Nothing is redirected and no proxy asked.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import httpcore2
from pydantic import HttpUrl, TypeAdapter, ValidationError

from app.errors import Invalid
from app.settings import IPNetwork, get_settings

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], Sequence[str]]
"""The addresses a name stands for; `OSError` where there are none."""

SAVE_SECONDS = 5.0
SILENCE_SECONDS = 10.0
# Others are there for when the first does not answer; more would only prolong what has failed.
MOST_ADDRESSES = 4

# All that is handed out to the public; what translates to an IPv4 address stands outside of it or is named below.
PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")

_http_url = TypeAdapter(HttpUrl)


class AddressRefused(Invalid):
    """That address is not called from here; give one of http or https on the public Internet, with no user in it."""

    code = "ADDRESS_REFUSED"


class Unreachable(Exception):
    """Nobody answered at the address, or not in time, or not in HTTP; the message says which, in words for anybody."""


@dataclass(frozen=True)
class Answer:
    """What came back. `chunks` reads on, and is good for as long as the request is open."""

    status: int
    headers: Mapping[str, str]
    """Names in small letters."""
    chunks: Iterator[bytes]


def resolve(host: str) -> list[str]:
    """What this machine's resolver says."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)))


class Outbound:
    """Asks where a user has said to ask."""

    def __init__(
        self,
        *,
        allowed: Sequence[IPNetwork] = (),
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Allowed are these networks beside the public Internet; `tls` says which certificates are trusted."""
        self._allowed = allowed
        self._resolve = resolve
        self._tls = tls

    def check(self, url: str) -> None:
        """Refuse now what `request` would refuse, so that whoever names the address is told."""
        try:
            self.addresses_of(_parse(url).host, within_seconds=SAVE_SECONDS)
        except Unreachable as error:
            raise AddressRefused(str(error)) from error

    @contextmanager
    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        within_seconds: float,
        silence_seconds: float = SILENCE_SECONDS,
        content: bytes | None = None,
    ) -> Iterator[Answer]:
        """Ask, and hold the connection while the block reads. All of it ends `within_seconds`, whatever the other side
        does; it may be silent for `silence_seconds` at a time.

        Raises:
            AddressRefused: The address leads where it must not.
            Unreachable: No answer; also out of `Answer.chunks`.
        """
        asked = _parse(url)
        door = _Door(self, deadline=time.monotonic() + within_seconds)
        waits = dict.fromkeys(("connect", "read", "write", "pool"), silence_seconds)
        try:
            with (
                httpcore2.ConnectionPool(ssl_context=self._tls, network_backend=door) as pool,
                pool.stream(
                    method,
                    httpcore2.URL(scheme=asked.scheme, host=asked.host, port=asked.port, target=asked.target),
                    headers=[("Host", asked.place), *headers.items()],
                    content=content,
                    extensions={"timeout": waits},
                ) as response,
            ):
                told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                yield Answer(status=response.status, headers=told, chunks=response.iter_stream())
        except httpcore2.TimeoutException:
            raise Unreachable("The address did not answer in time.") from None
        except httpcore2.ConnectError as error:
            raise Unreachable(f"The address could not be connected to: {error}") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise Unreachable(f"The address did not answer as HTTP servers do: {error}") from None

    def addresses_of(self, host: str, *, within_seconds: float) -> list[str]:
        """What a host stands for, all of it judged."""
        try:
            addresses = _in_time(lambda: self._resolve(host), within_seconds)
        except TimeoutError:
            raise Unreachable(f"The name {host} was not resolved in time.") from None
        except OSError:
            addresses = []
        if not addresses:
            raise Unreachable(f"The name {host} stands for no address.")
        if not all(self._may_be_called(address) for address in addresses):
            raise AddressRefused
        return list(addresses[:MOST_ADDRESSES])

    def _may_be_called(self, address: str) -> bool:
        ip = ipaddress.ip_address(address)
        if ip.version == 6 and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        if any(ip in network for network in self._allowed):
            return True
        if ip.is_multicast or not ip.is_global:
            return False
        return ip.version == 4 or (ip in PUBLIC_IPV6 and ip not in SIX_TO_FOUR)


@lru_cache
def get_outbound() -> Outbound:
    """As the settings allow."""
    return Outbound(allowed=get_settings().outbound_allowed)


@dataclass(frozen=True)
class _Asked:
    """A URL as it is asked for."""

    scheme: str
    host: str
    """An IPv6 address without its brackets."""
    port: int
    place: str
    """Host and port as the other side expects them."""
    target: str


def _parse(url: str) -> _Asked:
    # The parser of browsers: every way to write an address, decimal and hexadecimal ones too, becomes the usual one.
    try:
        parsed = _http_url.validate_python(url)
    except ValidationError:
        raise AddressRefused from None
    if parsed.username or parsed.password or parsed.host is None or parsed.port is None:
        raise AddressRefused
    is_usual = parsed.port == {"http": 80, "https": 443}[parsed.scheme]
    return _Asked(
        scheme=parsed.scheme,
        host=parsed.host.strip("[]"),
        port=parsed.port,
        place=parsed.host if is_usual else f"{parsed.host}:{parsed.port}",
        target=(parsed.path or "/") + (f"?{parsed.query}" if parsed.query else ""),
    )


def _in_time(call: Callable[[], Sequence[str]], seconds: float) -> Sequence[str]:
    """The system's resolver knows no deadline, and waits a minute for a server that is silent."""
    answer: Future[Sequence[str]] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except Exception as error:
            answer.set_exception(error)

    # Not of a pool, whose threads an ending process would wait for.
    threading.Thread(target=run, name="resolving", daemon=True).start()
    return answer.result(max(seconds, 0))


class _Door(httpcore2.NetworkBackend):
    """The one way out: every connection is made here, to an address that was judged for it."""

    def __init__(self, outbound: Outbound, *, deadline: float) -> None:
        self._outbound = outbound
        self._deadline = deadline
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = self._outbound.addresses_of(host, within_seconds=_left(self._deadline, timeout))
        while True:
            address = addresses.pop(0)
            try:
                seconds = _left(self._deadline, timeout)
                stream = self._sockets.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if not addresses:
                    raise
            else:
                return _Timed(stream, deadline=self._deadline)


class _Timed(httpcore2.NetworkStream):
    """A connection that ends at its deadline: a timeout alone begins anew with each byte of a trickling server."""

    def __init__(self, stream: httpcore2.NetworkStream, *, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline, timeout))
        return _Timed(stream, deadline=self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _left(deadline: float, timeout: float | None) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout
    return left if timeout is None else min(left, timeout)
