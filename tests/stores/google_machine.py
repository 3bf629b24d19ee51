"""A machine of Google's that has an account and no key: its metadata server, and the service that signs for it.

The address of the first may be another (`GCE_METADATA_HOST`). That of the second may not: whoever asks it by
`HTTPS_PROXY` is led here, and finds a certificate that `SSL_CERT_FILE` vouches for.
"""

import json
import ssl
import threading
import time
from base64 import b64decode, b64encode
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

SIGNER = "iamcredentials.googleapis.com"
ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


@dataclass
class Machine:
    """Both, while the block lasts; `account` is that of a service account's key file."""

    account: dict[str, str]
    folder: Path
    may_sign: bool = True
    """Whether the account is a Service Account Token Creator of itself."""
    asked: Counter[str] = field(default_factory=Counter)
    tokens: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        private_key = serialization.load_pem_private_key(self.account["private_key"].encode(), password=None)
        assert isinstance(private_key, rsa.RSAPrivateKey)
        self.private_key = private_key
        _make_certificates(self.folder)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.folder / "signer.pem")
        self._servers = [_Server(("127.0.0.1", 0), handler) for handler in (_Metadata, _Signer)]
        for server in self._servers:
            server.machine = self
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """By which a process takes this machine for its own."""
        metadata, signer = (f"127.0.0.1:{server.server_port}" for server in self._servers)
        return {
            "GCE_METADATA_HOST": metadata,
            "GCE_METADATA_IP": metadata,
            "HTTPS_PROXY": f"http://{signer}",
            "SSL_CERT_FILE": str(self.folder / "authority.pem"),
            # Where the key of whoever works here would be found.
            "HOME": str(self.folder),
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    machine: Machine


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def answer(self, status: int, content: bytes, *, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


class _Metadata(_Request):
    """https://cloud.google.com/compute/docs/access/authenticate-workloads."""

    def do_GET(self) -> None:
        machine, path = self.server.machine, urlsplit(self.path).path
        if self.headers.get("Metadata-Flavor") != "Google":
            self.answer(403, b"Missing Metadata-Flavor:Google header.")
        elif path == f"{ACCOUNT}/email":
            self.answer(200, machine.account["client_email"].encode(), content_type="application/text")
        elif path == f"{ACCOUNT}/token":
            machine.asked["token"] += 1
            now = int(time.time())
            email = machine.account["client_email"]
            claims = {"iss": email, "sub": email, "scope": CLOUD_PLATFORM, "iat": now, "exp": now + 3600}
            # Google's are opaque; the double of its store knows those that the account has signed.
            token = jwt.encode(claims, machine.private_key, "RS256")
            machine.tokens.add(token)
            answer = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
            self.answer(200, json.dumps(answer).encode())
        else:
            self.answer(404, b"")


class _Signer(_Request):
    """https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/signBlob."""

    def do_CONNECT(self) -> None:
        if self.path != f"{SIGNER}:443":
            self.answer(502, b"")
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        self.connection = self.server.machine.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")  # type: ignore[assignment]

    def finish(self) -> None:
        super().finish()
        # The server closes the socket that it has accepted, which is another since there is TLS on it.
        self.connection.close()

    def do_POST(self) -> None:
        machine = self.server.machine
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        machine.asked["signature"] += 1
        email = machine.account["client_email"]
        if not isinstance(self.connection, ssl.SSLSocket) or self.headers["Host"] != SIGNER:
            self.answer(400, b"{}")
        elif self.headers.get("Authorization", "").removeprefix("Bearer ") not in machine.tokens:
            self.answer(401, _problem(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."))
        elif self.path != f"/v1/projects/-/serviceAccounts/{email}:signBlob":
            self.answer(404, _problem(404, "NOT_FOUND", "Not found; Gaia id not found for email"))
        elif not machine.may_sign:
            text = "Permission 'iam.serviceAccounts.signBlob' denied on resource (or it may not exist)."
            self.answer(403, _problem(403, "PERMISSION_DENIED", text))
        elif set(body) - {"payload", "delegates"}:
            self.answer(400, _problem(400, "INVALID_ARGUMENT", "Unknown name"))
        else:
            words = b64decode(body["payload"], validate=True)
            signature = machine.private_key.sign(words, padding.PKCS1v15(), hashes.SHA256())
            self.answer(200, json.dumps({"keyId": "2", "signedBlob": b64encode(signature).decode()}).encode())


def _problem(code: int, status: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status}}).encode()


def _make_certificates(folder: Path) -> None:
    """`authority.pem`, and what it vouches for, with its key: `signer.pem`."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("Nobody", SIGNER)]
    now = datetime.now(UTC)
    certificates = []
    for is_authority, key, name in zip((True, False), keys, names, strict=True):
        builder = (
            x509.CertificateBuilder()
            .issuer_name(names[0])
            .subject_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(SIGNER)]), critical=False)
        certificates.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "authority.pem").write_bytes(certificates[0])
    (folder / "signer.pem").write_bytes(private + certificates[1])
