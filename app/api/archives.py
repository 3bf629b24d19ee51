"""Finished archives as downloads and as links."""

import datetime

from fastapi import Request, Response

from app.api.object_responses import object_response
from app.extractions.errors import ArchiveExpired
from app.extractions.queries import ReadyArchive
from app.settings import get_settings
from app.storage import SignedUrl, Storage


def archive_response(storage: Storage, archive: ReadyArchive, *, request: Request) -> Response:
    """The archive's bytes, or the range of them that is asked for."""
    try:
        return object_response(
            storage, archive.key, filename=archive.name, content_type="application/zip", request=request
        )
    except FileNotFoundError:
        raise ArchiveExpired from None


def archive_link(storage: Storage, archive: ReadyArchive) -> SignedUrl:
    """A link to the archive that works for a limited time, and not for longer than the archive is kept."""
    try:
        storage.stat(archive.key)
    except FileNotFoundError:
        raise ArchiveExpired from None
    now = datetime.datetime.now(datetime.UTC)
    expires_in = min(datetime.timedelta(seconds=get_settings().signed_url_seconds), archive.expires_at - now)
    return storage.signed_url(archive.key, expires_in=expires_in, filename=archive.name)
