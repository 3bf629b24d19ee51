"""Finished archives as downloads and as links."""

import datetime
import uuid
from typing import Any

from fastapi import Request, Response
from sqlalchemy.orm import Session

from app import audit
from app.accounts.models import User
from app.api.object_responses import object_response
from app.extractions.errors import ArchiveExpired
from app.extractions.queries import ReadyArchive
from app.settings import get_settings
from app.storage import SignedUrl, Storage


def archive_response(
    storage: Storage, archive: ReadyArchive, *, request: Request, session: Session, user: User
) -> Response:
    """The archive's bytes, or the range of them that is asked for."""
    try:
        response = object_response(
            storage, archive.key, filename=archive.name, content_type="application/zip", request=request
        )
    except FileNotFoundError:
        raise ArchiveExpired from None
    note_download(session, "archive_downloaded", response, user_id=user.id, **_named(archive))
    return response


def note_download(
    session: Session, action: audit.Action, response: Response, *, user_id: uuid.UUID, **thing: Any
) -> None:
    """Write a download down: once, however many ranges it comes in, and also where its beginning is left out."""
    content_range = response.headers.get("Content-Range", "")
    if response.status_code == 200 or content_range.startswith("bytes 0-"):
        audit.record(session, action, user_id=user_id, **thing)
    elif response.status_code == 206:
        audit.record_unless_lately(session, action, user_id=user_id, **thing)


def archive_link(storage: Storage, archive: ReadyArchive, *, session: Session, user: User) -> SignedUrl:
    """A link to the archive that works for a limited time, and not for longer than the archive is kept."""
    try:
        storage.stat(archive.key)
    except FileNotFoundError:
        raise ArchiveExpired from None
    now = datetime.datetime.now(datetime.UTC)
    expires_in = min(datetime.timedelta(seconds=get_settings().signed_url_seconds), archive.expires_at - now)
    signed = storage.signed_url(archive.key, expires_in=expires_in, filename=archive.name)
    until = signed.expires_at.isoformat()
    audit.record(session, "link_made", user_id=user.id, expires_at=until, **_named(archive))
    return signed


def _named(archive: ReadyArchive) -> dict[str, Any]:
    """What people know it by, and which of those of that name it is."""
    return {"name": archive.name, "extraction_id": str(archive.extraction_id)}
