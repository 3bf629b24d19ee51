"""What tus 1.0 says in headers (https://tus.io/protocols/resumable-upload), and asks of every request and answer."""

import base64
import binascii
import datetime
from collections.abc import Mapping
from email.utils import format_datetime

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import error_responses
from app.settings import get_settings
from app.videos.parts import Checksum

VERSION = "1.0.0"
PATH = "/uploads/"
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
# MD5 and SHA-1 find what a network spoils; nobody is kept out by them.
DIGEST_BYTES = {"sha1": 20, "sha256": 32, "md5": 16}
BODY_TYPE = "application/offset+octet-stream"
OVERRIDES = frozenset({"PATCH", "DELETE", "HEAD"})
# Nineteen digits hold every size a file can have.
NUMBER_MAX_CHARACTERS = 19

# What pages of other origins may send and see, where they are let in.
CORS_METHODS = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]
CORS_HEADERS = [
    "Authorization",
    "Content-Type",
    "If-Range",
    "Range",
    "Tus-Resumable",
    "Upload-Checksum",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-HTTP-Method-Override",
    "X-Request-ID",
    "X-Requested-With",
]
CORS_EXPOSED = [
    "Content-Location",
    "Content-Range",
    "ETag",
    "Location",
    "Retry-After",
    "Tus-Checksum-Algorithm",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-Fotograma-Video",
    "X-Request-ID",
]


class TusRequests:
    """Under `/uploads/`: a method that a proxy would not let through may come in `X-HTTP-Method-Override`, another
    version of the protocol is refused, and each answer tells ours."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PATH):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        method = headers.get("X-HTTP-Method-Override", "").upper()
        if scope["method"] == "POST" and method in OVERRIDES:
            scope = {**scope, "method": method}

        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Tus-Resumable", VERSION)
            await send(message)

        if scope["method"] != "OPTIONS" and headers.get("Tus-Resumable") != VERSION:
            refusal = error_responses.problem(
                status=412,
                code="PRECONDITION_FAILED",
                detail=f"Send the header Tus-Resumable: {VERSION}.",
                headers={"Tus-Version": VERSION},
            )
            await refusal(scope, receive, send_with_version)
            return
        await self.app(scope, receive, send_with_version)


def number(headers: Mapping[str, str], name: str) -> int:
    """A header that counts bytes."""
    text = headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_MAX_CHARACTERS):
        raise HTTPException(400, f"Send {name} as a number of bytes.")
    return int(text)


def metadata(header: str) -> dict[str, str]:
    """Upload-Metadata: `name value, name value`, with the values in Base64."""
    fields: dict[str, str] = {}
    for pair in filter(None, (pair.strip() for pair in header.split(","))):
        name, _, value = pair.partition(" ")
        try:
            fields[name] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            raise HTTPException(400, f"Upload-Metadata: {name[:40]!r} is not UTF-8 in Base64.") from None
    return fields


def checksum(header: str | None) -> Checksum | None:
    """Upload-Checksum: the algorithm, and the digest in Base64."""
    if header is None:
        return None
    algorithm, _, text = header.partition(" ")
    if algorithm not in DIGEST_BYTES:
        raise HTTPException(400, f"Upload-Checksum: use one of {', '.join(DIGEST_BYTES)}.")
    try:
        digest = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != DIGEST_BYTES[algorithm]:
        raise HTTPException(400, f"Upload-Checksum: that is no {algorithm} in Base64.")
    return Checksum(algorithm, digest)


def expires(at: datetime.datetime | None = None) -> str:
    """Upload-Expires; without a time that of an upload that was gone on with just now."""
    if at is None:
        at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=get_settings().upload_resumable_hours)
    return format_datetime(at.astimezone(datetime.UTC), usegmt=True)
