"""Stored objects as HTTP responses, which a download can be resumed from and a browser never renders."""

import re
from collections.abc import Generator
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.storage import ObjectSource
from app.storage.attachments import attachment

# Nineteen digits hold every size a file can have.
BYTE_RANGE = re.compile(r"bytes=\s*([0-9]{0,19})-([0-9]{0,19})\s*", re.IGNORECASE)
# Whatever the bytes are, a browser takes them for what they are said to be, and runs nothing in them.
HARMLESS = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}


def object_response(objects: ObjectSource, key: str, *, filename: str, content_type: str, request: Request) -> Response:
    """The object, or the one range of it that is asked for; raises `FileNotFoundError` if there is none."""
    facts = objects.stat(key)
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private",
        "Content-Disposition": attachment(filename),
        "ETag": facts.etag,
        **HARMLESS,
    }
    if has_it(request.headers.get("If-None-Match", ""), etag=facts.etag):
        return Response(status_code=304, headers=headers)

    wanted = None
    if request.headers.get("If-Range", facts.etag) == facts.etag:
        wanted = byte_range(request.headers.get("Range", ""), size_bytes=facts.size_bytes)
    if wanted is None:
        status, wanted = 200, range(facts.size_bytes)
    elif wanted:
        status = 206
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{facts.size_bytes}"
    else:
        raise HTTPException(
            416,
            detail=f"The file has {facts.size_bytes} bytes, and that range lies outside.",
            headers={"Content-Range": f"bytes */{facts.size_bytes}"},
        )
    headers["Content-Length"] = str(len(wanted))
    chunks = objects.read(key, start=wanted.start, length=len(wanted))
    return ClosingResponse(chunks, status_code=status, headers=headers, media_type=content_type)


class ClosingResponse(StreamingResponse):
    """Closes what it sends also where the client went away in the middle."""

    def __init__(self, chunks: Generator[bytes, None, None], **more: Any) -> None:
        super().__init__(chunks, **more)
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._chunks.close()


def byte_range(header: str, *, size_bytes: int) -> range | None:
    """The bytes that a Range header asks for: an empty range can't be satisfied, None means the whole object.

    RFC 9110 lets a server ignore the header; that is done where it is malformed or asks for several ranges.
    """
    match = BYTE_RANGE.fullmatch(header)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        # The last so many bytes; of an empty object that is all of it, which no Content-Range can say.
        return range(max(size_bytes - int(last), 0), size_bytes) if size_bytes else None
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size_bytes) if last else size_bytes)


def has_it(if_none_match: str, *, etag: str) -> bool:
    """Whether an If-None-Match header says that the client has these very bytes."""
    return if_none_match.strip() == "*" or etag in re.findall(r'"[^"]*"', if_none_match)
