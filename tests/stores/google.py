"""Google Cloud Storage as its XML API speaks, and as strict: `python -m tests.stores.google PORT SERVICE_ACCOUNT_FILE`.

Of its JSON API only a bucket's own fields, for tokens that may change them.

Each request carries a token that the service account has signed, or a V4 signature that is its own and not expired.
"""

import hashlib
import json
import re
import sys
import time
import uuid
from base64 import b64encode
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

HOST = "storage.googleapis.com"
"""What this stands for: clients sign for it, and for no other."""
LONGEST_SECONDS = 7 * 86400
MOST_SKEW_SECONDS = 15 * 60
FULL_CONTROL = "https://www.googleapis.com/auth/devstorage.full_control"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True)
class Object:
    """What is kept under a name."""

    content: bytes
    headers: dict[str, str]
    modified: float = field(default_factory=time.time)

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content, usedforsecurity=False).hexdigest()}"'


@dataclass
class Unfinished:
    """A multipart upload, or a resumable session."""

    name: str
    headers: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)
    size_bytes: int | None = None
    is_new: bool = False
    """Whether nothing may be there before."""
    origin: str | None = None
    """Whose pages a session lets in: of the site that it was begun for."""


class Refused(Exception):
    """An error as the API answers it."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


class Store(ThreadingHTTPServer):
    """All buckets there are, in memory."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, account: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", port), Request)
        self.email = account["client_email"]
        private_key = serialization.load_pem_private_key(account["private_key"].encode(), password=None)
        assert isinstance(private_key, rsa.RSAPrivateKey)
        self.public_key = private_key.public_key()
        self.objects: dict[str, Object] = {}
        self.unfinished: dict[str, Unfinished] = {}
        self.buckets: dict[str, dict[str, Any]] = defaultdict(lambda: {"metageneration": "1"})


class Request(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    # An answer in two packets would wait for the acknowledgement of the first.
    wbufsize = -1
    server: Store

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _answer(self) -> None:
        url = urlsplit(self.path)
        self.path_sent, self.query_sent = url.path, url.query
        self.query = dict(parse_qsl(url.query, keep_blank_values=True))
        self.name = unquote(url.path).lstrip("/")
        self.body = self._read_body()
        # Before the session may end.
        for_pages = self._headers_for_pages()
        try:
            status, headers, content = self._do()
        except Refused as refused:
            text = f"<Error><Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>"
            status, headers, content = refused.status, {"Content-Type": "application/xml"}, text.encode()
        self.send_response(status)
        for name, value in {**headers, **for_pages}.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _do(self) -> tuple[int, dict[str, str], bytes]:
        if self.name == "-/unfinished":
            return 200, {}, json.dumps([upload.name for upload in self.server.unfinished.values()]).encode()
        if self.command == "OPTIONS":
            return 200, {}, b""
        if "upload_id" in self.query:
            # The session's address is its own secret.
            return self._go_on()
        claims = self._check_sender()
        if self.name.startswith("storage/v1/b/"):
            return self._bucket(self.name.removeprefix("storage/v1/b/"), claims)
        if self.command == "GET" and self.query.get("list-type") == "2":
            return self._list()
        if "uploads" in self.query or "uploadId" in self.query:
            return self._multipart()
        if self.command == "POST" and self.headers.get("x-goog-resumable") == "start":
            return self._begin()
        if self.command == "PUT":
            self.server.objects[self.name] = made = Object(self.body, self._attributes())
            return 200, {"ETag": made.etag}, b""
        if self.command == "DELETE":
            if self.server.objects.pop(self.name, None) is None:
                raise Refused(404, "NoSuchKey")
            return 204, {}, b""
        return self._get()

    def _headers_for_pages(self) -> dict[str, str]:
        """What lets a page of another site in, by the first of the bucket's rules that fits; else nothing does.

        https://cloud.google.com/storage/docs/cross-origin
        """
        method = self.headers.get("Access-Control-Request-Method", self.command)
        wanted = self.headers.get("Access-Control-Request-Headers", "").replace(" ", "").lower().split(",")
        session = self.server.unfinished.get(self.query.get("upload_id", ""))
        origin = session.origin if session else self.headers.get("Origin")
        if "Origin" not in self.headers or origin is None:
            return {}
        for rule in self.server.buckets[self.name.partition("/")[0]].get("cors", []):
            # In these no header stands for several.
            known = rule.get("responseHeader", [])
            if not {"*", origin} & set(rule["origin"]) or not {"*", method} & set(rule["method"]):
                continue
            if self.command != "OPTIONS":
                return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": ", ".join(known)}
            if {name for name in wanted if name} <= {name.lower() for name in known}:
                return {
                    "Access-Control-Allow-Origin": origin,
                    "Access-Control-Allow-Methods": ", ".join(rule["method"]),
                    "Access-Control-Allow-Headers": ", ".join(known),
                    "Access-Control-Max-Age": str(rule["maxAgeSeconds"]),
                }
        return {}

    def _check_sender(self) -> dict[str, Any]:
        """What its token claims."""
        if "X-Goog-Signature" in self.query:
            self._check_signature()
            return {}
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            return jwt.decode(token, self.server.public_key, algorithms=["RS256"], issuer=self.server.email)
        except jwt.PyJWTError as error:
            raise Refused(401, "AuthenticationRequired", str(error)) from None

    def _bucket(self, name: str, claims: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        """https://cloud.google.com/storage/docs/json_api/v1/buckets/patch, of what a bucket does by itself."""
        if not {FULL_CONTROL, CLOUD_PLATFORM} & set(claims.get("scope", "").split()):
            raise Refused(403, "insufficientPermissions")
        bucket = self.server.buckets[name]
        if self.command == "PATCH":
            if self.query.get("ifMetagenerationMatch", bucket["metageneration"]) != bucket["metageneration"]:
                raise Refused(412, "conditionNotMet")
            changed = json.loads(self.body)
            for rule in changed.get("cors", []):
                _check_fields(rule, {"origin": list, "method": list, "responseHeader": list, "maxAgeSeconds": int})
            for rule in changed.get("lifecycle", {}).get("rule", []):
                _check_fields(rule, {"action": dict, "condition": dict})
                if rule["action"]["type"] == "AbortIncompleteMultipartUpload":
                    _check_fields(rule["condition"], {"age": int, "matchesPrefix": list, "matchesSuffix": list})
            if set(changed) - {"cors", "lifecycle"}:
                raise Refused(400, "invalid", "there are no other fields here")
            # Of a patch each field that is given replaces the whole of it.
            bucket |= {**changed, "metageneration": str(int(bucket["metageneration"]) + 1)}
        elif self.command != "GET":
            raise Refused(405, "methodNotAllowed")
        fields = self.query.get("fields", ",".join(bucket)).split(",")
        told = {field: bucket[field] for field in fields if field in bucket}
        return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()

    def _check_signature(self) -> None:
        """What https://cloud.google.com/storage/docs/authentication/signatures says of a V4 signature."""
        signed_headers = self.query["X-Goog-SignedHeaders"].split(";")
        ours = {name.lower() for name in self.headers if name.lower().startswith("x-goog-")}
        if "host" not in signed_headers or ours - set(signed_headers):
            raise Refused(403, "SignatureDoesNotMatch", "host and each x-goog- header must be signed")
        query = sorted((n, v) for n, v in parse_qsl(self.query_sent, keep_blank_values=True) if n != "X-Goog-Signature")
        canonical = [
            self.command,
            self.path_sent,
            "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query),
            *(f"{name}:{HOST if name == 'host' else self.headers[name].strip()}" for name in signed_headers),
            "",
            ";".join(signed_headers),
            "UNSIGNED-PAYLOAD",
        ]
        email, _, scope = self.query["X-Goog-Credential"].partition("/")
        date = self.query["X-Goog-Date"]
        words = [
            self.query["X-Goog-Algorithm"],
            date,
            scope,
            hashlib.sha256("\n".join(canonical).encode()).hexdigest(),
        ]
        try:
            signature = bytes.fromhex(self.query["X-Goog-Signature"])
            self.server.public_key.verify(signature, "\n".join(words).encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            raise Refused(403, "SignatureDoesNotMatch") from None
        if not re.fullmatch(rf"{date[:8]}/[a-z0-9-]+/storage/goog4_request", scope) or email != self.server.email:
            raise Refused(403, "SignatureDoesNotMatch", "the scope is another one")
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        seconds = int(self.query["X-Goog-Expires"])
        if seconds > LONGEST_SECONDS or signed_at > time.time() + MOST_SKEW_SECONDS:
            raise Refused(400, "AuthorizationQueryParametersError")
        if time.time() >= signed_at + seconds:
            raise Refused(400, "ExpiredToken", "Invalid argument: the link has expired")

    def _attributes(self) -> dict[str, str]:
        names = ("Content-Type", "Content-Disposition", "Cache-Control")
        return {name: value for name in names if (value := self.headers.get(name))}

    def _get(self) -> tuple[int, dict[str, str], bytes]:
        found = self.server.objects.get(self.name)
        if found is None:
            raise Refused(404, "NoSuchKey")
        headers = {
            **found.headers,
            "ETag": found.etag,
            "Last-Modified": formatdate(found.modified, usegmt=True),
            "Accept-Ranges": "bytes",
        }
        size = len(found.content)
        if self.command == "HEAD":
            return 200, {**headers, "Content-Length": str(size)}, b""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return 200, headers, found.content
        start, end = int(asked[1]), min(int(asked[2]) + 1 if asked[2] else size, size)
        if start >= size:
            raise Refused(416, "InvalidRange")
        return 206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"}, found.content[start:end]

    def _list(self) -> tuple[int, dict[str, str], bytes]:
        prefix = f"{self.name}/{self.query.get('prefix', '')}"
        after = self.query.get("continuation-token", "")
        names = sorted(name for name in list(self.server.objects) if name.startswith(prefix) and name > after)
        # Pages are small, so that there is more than one.
        page, more = names[:3], names[3:]
        stamp = "%Y-%m-%dT%H:%M:%S.%fZ"
        contents = "".join(
            f"<Contents><Key>{escape(name.partition('/')[2])}</Key><Size>{len(found.content)}</Size>"
            f"<ETag>{escape(found.etag)}</ETag>"
            f"<LastModified>{datetime.fromtimestamp(found.modified, UTC).strftime(stamp)}</LastModified></Contents>"
            for name in page
            if (found := self.server.objects.get(name))
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return (
            200,
            {"Content-Type": "application/xml"},
            f"<ListBucketResult>{contents}{token}</ListBucketResult>".encode(),
        )

    def _multipart(self) -> tuple[int, dict[str, str], bytes]:
        if "uploads" in self.query:
            upload_id = uuid.uuid4().hex
            self.server.unfinished[upload_id] = Unfinished(self.name, self._attributes())
            text = f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
            return 200, {}, text.encode()
        upload = self.server.unfinished.get(self.query["uploadId"])
        if upload is None or upload.name != self.name:
            raise Refused(404, "NoSuchUpload")
        if self.command == "PUT":
            upload.parts[int(self.query["partNumber"])] = self.body
            return 200, {"ETag": Object(self.body, {}).etag}, b""
        if self.command == "POST":
            numbers = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", self.body)]
            if any(len(upload.parts.get(number, b"")) < 5 * 2**20 for number in numbers[:-1]):
                raise Refused(400, "EntityTooSmall")
            made = Object(b"".join(upload.parts[number] for number in numbers), upload.headers)
            self.server.objects[self.name] = made
        del self.server.unfinished[self.query["uploadId"]]
        if self.command == "DELETE":
            return 204, {}, b""
        text = f"<CompleteMultipartUploadResult><ETag>{escape(made.etag)}</ETag></CompleteMultipartUploadResult>"
        return 200, {}, text.encode()

    def _begin(self) -> tuple[int, dict[str, str], bytes]:
        session = uuid.uuid4().hex
        size = self.headers.get("x-upload-content-length")
        self.server.unfinished[session] = Unfinished(
            self.name,
            self._attributes(),
            size_bytes=None if size is None else int(size),
            is_new=self.headers.get("x-goog-if-generation-match") == "0",
            origin=self.headers.get("Origin"),
        )
        return 201, {"Location": f"http://{self.headers['Host']}{self.path_sent}?upload_id={session}"}, b""

    def _go_on(self) -> tuple[int, dict[str, str], bytes]:
        session = self.query["upload_id"]
        upload = self.server.unfinished.get(session)
        if self.command == "DELETE" and upload is not None:
            del self.server.unfinished[session]
            raise Refused(499, "ClientClosedRequest")
        if upload is None:
            if self.command == "PUT" and self.name in self.server.objects:
                return 200, {}, b""
            raise Refused(404, "NoSuchUpload")
        came = upload.parts.setdefault(0, b"")
        said = self.headers.get("Content-Range", f"bytes 0-{len(self.body) - 1}/{len(self.body)}")
        total = int(said.rpartition("/")[2])
        if upload.size_bytes not in (None, total):
            raise Refused(400, "InvalidArgument", "that is another size than was announced")
        if self.body:
            if int(said.split()[1].partition("-")[0]) != len(came):
                raise Refused(503, "SlowDown", "that does not go on where it stopped")
            upload.parts[0] = came = came + self.body
        if len(came) < total:
            return 308, {"Range": f"bytes=0-{len(came) - 1}"} if came else {}, b""
        if upload.is_new and self.name in self.server.objects:
            raise Refused(412, "PreconditionFailed")
        self.server.objects[self.name] = made = Object(came, upload.headers)
        del self.server.unfinished[session]
        return 200, {"ETag": made.etag, "x-goog-hash": f"md5={b64encode(bytes.fromhex(made.etag[1:-1])).decode()}"}, b""


def _check_fields(rule: dict[str, Any], known: dict[str, type]) -> None:
    if any(not isinstance(value, known.get(name, ())) for name, value in rule.items()):
        raise Refused(400, "invalid", f"of {rule} not all is known")


if __name__ == "__main__":
    Store(int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())).serve_forever()
