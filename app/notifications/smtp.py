"""The mail server: its address, and handing it one message."""

import smtplib
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import lru_cache
from socket import SHUT_RDWR
from urllib.parse import unquote, urlsplit

from app.settings import get_settings

ENCODING = "in user and password, / # ? @ : % are written %2F %23 %3F %40 %3A %25"

PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}

# The mail is accepted by then, and a server that dawdles over the goodbye only widens the gap before that is noted.
QUIT_SECONDS = 1.0


@dataclass(frozen=True)
class Server:
    """Where mail is handed in, and how."""

    scheme: str
    """`smtp`, `smtp+starttls` or `smtps`."""
    host: str
    port: int
    user: str = ""
    """Empty: no login."""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False, compare=False)
    """Which certificates are trusted."""


class BadServer(ValueError):
    """SMTP_URL or SMTP_CA_FILE can't be used; the message is one sentence and holds no password."""


class MailRefused(Exception):
    """The server refused this one mail, in its own words."""

    def __init__(self, code: int, words: bytes | str) -> None:
        self.is_final = 500 <= code < 600
        super().__init__(_reply(code, words))


class ServerUnavailable(Exception):
    """The server can't be reached, trusted or signed in to: no other mail would get through either."""


@lru_cache
def get_server() -> Server:
    """The server of the settings. What is wrong with them ends the process in one sentence."""
    settings = get_settings()
    try:
        return read_server(settings.smtp_url.get_secret_value(), ca_file=settings.smtp_ca_file)
    except BadServer as error:
        raise SystemExit(f"Settings: {error}") from None


def read_server(url: str, *, ca_file: str = "") -> Server:
    """The server an SMTP_URL names; certificates of `ca_file` are trusted beside the system's."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadServer(f"SMTP_URL has no valid host and port; {ENCODING}.") from None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme not in PORTS:
        raise BadServer("SMTP_URL must begin with smtp://, smtp+starttls:// or smtps://.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise BadServer(f"SMTP_URL ends after the port; {ENCODING}.")
    if not parts.hostname:
        raise BadServer("SMTP_URL names no host; it looks like smtp://host:25.")
    if bool(user) != bool(password):
        raise BadServer("SMTP_URL needs both user and password, or neither.")
    if user and parts.scheme == "smtp":
        raise BadServer("SMTP_URL would send the password in the clear; use smtp+starttls:// or smtps://.")
    if not (user + password).isascii():
        raise BadServer("SMTP_URL: mail servers take ASCII letters only in user and password.")

    tls = ssl.create_default_context()
    if ca_file:
        try:
            tls.load_verify_locations(ca_file)
        except OSError as error:
            raise BadServer(f"SMTP_CA_FILE {ca_file} can't be read as certificates: {error.strerror}.") from None
    return Server(parts.scheme, parts.hostname, port or PORTS[parts.scheme], user, password, tls)


def send(server: Server, message: EmailMessage, *, deadline: float, timeout_seconds: float) -> None:
    """Hand the message in, or raise `MailRefused` or `ServerUnavailable`.

    No single answer is waited for longer than the timeout, and nothing is handed in after the deadline (of
    `time.monotonic`): by then another sender may hold the mail.
    """
    try:
        with closing(_connect(server, timeout_seconds=timeout_seconds)) as client, _hung_up_at(deadline, client):
            if server.scheme == "smtp+starttls":
                client.starttls(context=server.tls)
            if server.user:
                client.login(server.user, server.password)
            if time.monotonic() >= deadline:
                raise TimeoutError("the server was too slow")
            client.send_message(message)
            with suppress(smtplib.SMTPException, OSError):
                if client.sock:
                    client.sock.settimeout(QUIT_SECONDS)
                client.quit()
    except smtplib.SMTPRecipientsRefused as error:
        raise MailRefused(*next(iter(error.recipients.values()))) from error
    except smtplib.SMTPDataError as error:
        raise MailRefused(error.smtp_code, error.smtp_error) from error
    except smtplib.SMTPResponseException as error:
        # Even a 5xx: to the login or the sender it speaks of the settings, which somebody may mend in time.
        raise ServerUnavailable(_reply(error.smtp_code, error.smtp_error)) from error
    except OSError as error:
        raise ServerUnavailable(str(error) or type(error).__name__) from error


def _connect(server: Server, *, timeout_seconds: float) -> smtplib.SMTP:
    if server.scheme == "smtps":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=timeout_seconds, context=server.tls)
    return smtplib.SMTP(server.host, server.port, timeout=timeout_seconds)


@contextmanager
def _hung_up_at(deadline: float, client: smtplib.SMTP) -> Iterator[None]:
    """Cut the connection at the deadline: a timeout alone begins anew with each byte of a trickling server."""
    done = threading.Event()

    def watch() -> None:
        pause = deadline - time.monotonic()
        while not done.wait(pause):
            # Tried again, for a socket that is just being wrapped in TLS can't be cut.
            pause = 0.1
            with suppress(OSError):
                if client.sock:
                    client.sock.shutdown(SHUT_RDWR)

    watcher = threading.Thread(target=watch, name="smtp-deadline", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _reply(code: int, words: bytes | str) -> str:
    return f"{code} {words.decode(errors='replace') if isinstance(words, bytes) else words}"
