"""Finished archives as downloads and as links."""

import datetime

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
    # Once for each download, however many ranges it comes in.
    if response.status_code == 200 or request.headers.get("Range", "").startswith("bytes=0-"):
        audit.record(session, "archive_downloaded", user_id=user.id, name=archive.name)
    return response


def archive_link(storage: Storage, archive: ReadyArchive, *, session: Session, user: User) -> SignedUrl:
    """A link to the archive that works for a limited time, and not for longer than the archive is kept."""
    try:
        storage.stat(archive.key)
    except FileNotFoundError:
        raise ArchiveExpired from None
    now = datetime.datetime.now(datetime.UTC)
    expires_in = min(datetime.timedelta(seconds=get_settings().signed_url_seconds), archive.expires_at - now)
    signed = storage.signed_url(archive.key, expires_in=expires_in, filename=archive.name)
    audit.record(session, "link_made", user_id=user.id, name=archive.name, expires_at=signed.expires_at.isoformat())
    return signed
