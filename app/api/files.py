"""What signed links of the local store lead to."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api.archives import note_download
from app.api.dependencies import SessionDep, SettingsDep
from app.api.error_responses import documented
from app.api.object_responses import object_response
from app.errors import Gone
from app.extractions import queries
from app.storage import Storage, get_storage, signing

router = APIRouter(tags=["files"])


@router.get(
    "/files/{key:path}",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {"application/octet-stream": {}}},
        206: {"description": "The range that was asked for."},
        304: {"description": "You have it already (`If-None-Match`)."},
        416: {"description": "That range lies outside the file; `Content-Range` says its size."},
        **documented(signing.LinkInvalid, signing.LinkExpired),
    },
)
def download_signed_file(
    request: Request,
    storage: Annotated[Storage, Depends(get_storage)],
    session: SessionDep,
    settings: SettingsDep,
    key: str,
    # Texts as they were signed, and not required: a link that lacks one is as invalid as a changed one.
    expires: str = "",
    filename: str = "",
    signature: str = "",
) -> Response:
    """Download what a signed link leads to. It needs no login, works until it expires, and takes `Range`, so that a
    broken download can go on where it stopped."""
    signing.verify(
        [signing.signing_key(secret) for secret in settings.verifying_keys],
        key,
        expires=expires,
        filename=filename,
        signature=signature,
        now=time.time(),
    )
    content_type = "application/zip" if key.endswith(".zip") else "application/octet-stream"
    try:
        response = object_response(storage, key, filename=filename, content_type=content_type, request=request)
    except FileNotFoundError:
        raise Gone("What this link led to has been deleted.") from None
    extraction = queries.extraction_of_archive(session, key)
    if extraction is not None:
        thing = {"name": filename, "extraction_id": str(extraction.id)}
        note_download(session, "link_used", response, user_id=extraction.user_id, **thing)
    return response
