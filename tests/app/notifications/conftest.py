"""Mail servers that encrypt, ask for a login, refuse and dawdle, and an outbox to send from."""

import datetime
import ipaddress
import ssl
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from socket import create_connection
from typing import Any, Literal
from urllib.parse import quote

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import delete, func, update

from app.accounts.models import User
from app.database import open_session
from app.extractions.models import Extraction
from app.local_stack.processes import free_port
from app.notifications import lifecycle, messages, smtp
from app.notifications.models import Email
from app.storage import SignedUrl
from app.videos.models import Video

USER, PASSWORD = "mailer@fotograma.test", "p@ss: word/?#%"


COMPLETED = {
    "filename": "holiday.mp4",
    "frames": 1234,
    "archive_key": "results/1/archive.zip",
    "archive_bytes": 1_234_500_000,
    "download_name": "holiday.zip",
    "video_id": "0192f1b4-0000-7000-8000-000000000001",
    "warnings": [],
}


@pytest.fixture(scope="session")
def completed_facts() -> dict[str, Any]:
    """What a completed extraction tells."""
    return COMPLETED


@pytest.fixture(scope="session")
def signed_url() -> messages.SignUrl:
    """Links to nowhere, in which what was asked for can be read."""

    def sign(key: str, *, expires_in: datetime.timedelta, filename: str) -> SignedUrl:
        url = f"https://files.test/{key}?seconds={expires_in.total_seconds():.0f}&filename={quote(filename)}"
        return SignedUrl(url, datetime.datetime.now(datetime.UTC) + expires_in)

    return sign


@dataclass(frozen=True)
class Certificate:
    """Of 127.0.0.1, and the authority that says so."""

    ca_file: Path
    server_tls: ssl.SSLContext


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificates")
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of this test")])
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_ca: bool) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )

    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    authority = builder(ca_name, ca_key, is_ca=True).add_extension(usage, critical=True).sign(ca_key, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = builder(server_name, server_key, is_ca=False).add_extension(names, critical=False)
    chain = folder / "server.pem"
    chain.write_bytes(
        leaf.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        + server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_tls.load_cert_chain(chain)
    return Certificate(ca_file, server_tls)


@dataclass
class Sink:
    """What a mail server takes and says, and what it was given."""

    url: str = ""
    login: bool = False
    mail_reply: str = "250 OK"
    rcpt_reply: Callable[[str], str] = lambda _: "250 OK"
    data_reply: str = "250 kept"
    quit_reply: str = "221 Bye"
    messages: list[EmailMessage] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    """Of each mail begun, whether it came over TLS."""

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:  # noqa: ARG002
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.login and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return self.mail_reply

    async def handle_RCPT(
        self,
        server: SMTP,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        envelope: Envelope,
        address: str,
        options: list[str],  # noqa: ARG002
    ) -> str:
        reply = self.rcpt_reply(address)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002
        if self.data_reply.startswith("250"):
            self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.data_reply

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002
        return self.quit_reply


class SmtpsController(Controller):
    """The library's own first call, which the server waits for, can't speak TLS."""

    def _trigger_server(self) -> None:
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        with create_connection((self.hostname, self.port)) as plain, tls.wrap_socket(plain) as encrypted:
            encrypted.recv(100)


StartSink = Callable[..., Sink]


@pytest.fixture
def start_sink(certificate: Certificate) -> Iterator[StartSink]:
    """`start_sink("smtp+starttls", login=True)`: a running server; its `url` has the right login."""
    running: list[Controller] = []

    def start(scheme: Literal["smtp", "smtp+starttls", "smtps"] = "smtp", **sink_fields: Any) -> Sink:
        sink, port = Sink(**sink_fields), free_port()
        address = f"127.0.0.1:{port}"
        sink.url = (
            f"{scheme}://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@{address}"
            if sink.login
            else f"{scheme}://{address}"
        )
        # A login is asked for by the sink itself.
        options: dict[str, Any] = {"hostname": "127.0.0.1", "port": port, "authenticator": sink.authenticate}
        if scheme == "smtps":
            controller = SmtpsController(sink, ssl_context=certificate.server_tls, auth_require_tls=False, **options)
        elif scheme == "smtp+starttls":
            controller = Controller(sink, tls_context=certificate.server_tls, require_starttls=True, **options)
        else:
            controller = Controller(sink, **options)
        controller.start()
        running.append(controller)
        return sink

    yield start
    for controller in running:
        controller.stop()


@dataclass(frozen=True)
class Outbox:
    """The table, as one user's mail."""

    user_id: uuid.UUID
    video_id: uuid.UUID

    def owe(
        self,
        recipient: str = "ana@example.com",
        *,
        kind: Literal["completed", "failed"] = "completed",
        extraction_id: uuid.UUID | None = None,
        **changes: Any,
    ) -> Email:
        extraction_id = extraction_id or self.new_extraction()
        with open_session() as session:
            lifecycle.owe_email(
                session,
                kind=kind,
                user_id=self.user_id,
                recipient=recipient,
                locale="en",
                facts={**COMPLETED, **changes},
                extraction_id=extraction_id,
            )
        with open_session() as session:
            return session.query(Email).filter_by(extraction_id=extraction_id, kind=kind).one()

    def new_extraction(self) -> uuid.UUID:
        with open_session() as session:
            extraction = Extraction(video_id=self.video_id, user_id=self.user_id, plan={})
            session.add(extraction)
        return extraction.id

    def claim(self) -> Email | None:
        with open_session() as session:
            return lifecycle.claim_email(session)

    def now(self, email: Email) -> Email:
        """The row as it is."""
        with open_session() as session:
            return session.get_one(Email, email.id)

    def pause_seconds(self, email: Email) -> float:
        """How long until it is due."""
        with open_session() as session:
            waits = session.query(func.extract("epoch", Email.not_before - func.now())).filter_by(id=email.id)
            return float(waits.scalar())

    def let_all_fall_due(self) -> None:
        with open_session() as session:
            session.execute(update(Email).values(not_before=func.now()))


@pytest.fixture
def outbox(environment: dict[str, str]) -> Iterator[Outbox]:  # noqa: ARG001
    """An outbox with nothing in it but what the test puts there."""
    with open_session() as session:
        session.execute(delete(Email))
        user = User(email=f"{uuid.uuid4()}@example.com", password_hash="")
        session.add(user)
        session.flush()
        video = Video(
            user_id=user.id,
            filename="holiday.mp4",
            object_key="videos/1",
            size_bytes=1,
            sha256="",
            expires_at=datetime.datetime.now(datetime.UTC),
        )
        session.add(video)
    yield Outbox(user.id, video.id)
    with open_session() as session:
        session.execute(delete(User).where(User.id == user.id))


@pytest.fixture
def server_of(certificate: Certificate) -> Callable[[Sink], smtp.Server]:
    """The sink as the settings would name it, its certificate trusted."""
    return lambda sink: smtp.read_server(sink.url, ca_file=str(certificate.ca_file))
