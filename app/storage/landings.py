"""Places in a cloud's store that its clients put objects to by themselves."""

import datetime
import json
import os
import random
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import jwt

from app.storage import Landing, StorageUnavailable

# What each takes in one PUT, by its own documents; Google's resumable sessions take any object it can keep.
MAX_BYTES = {"gs": 5 * 2**40, "s3": 5 * 2**30, "az": 5000 * 2**20}
HEADERS: dict[str, dict[str, str]] = {"gs": {}, "s3": {}, "az": {"x-ms-blob-type": "BlockBlob"}}

GOOGLE = "https://storage.googleapis.com"
GOOGLE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
TOKEN_SECONDS = 300
ANSWER_SECONDS = 10.0
CONTENT_TYPE = "application/octet-stream"
REFUSED_FOR_NOW = frozenset({429, 503})
PASSING = REFUSED_FOR_NOW | {408, 500, 502, 504}
TRYING_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.2
# A session that is over answers so: ended by a client (499), or not there any more.
ENDED = frozenset({204, 404, 410, 499})


def open_session(
    *, bucket: str, path: str, size_bytes: int, expires_in: datetime.timedelta, origin: str, public_url: str
) -> Landing:
    """A resumable session of Google's, bound to length and type, that makes a new object or none.

    https://cloud.google.com/storage/docs/performing-resumable-uploads
    """
    headers = {
        "Authorization": f"Bearer {_token()}",
        "Content-Type": CONTENT_TYPE,
        "Content-Length": "0",
        "x-goog-resumable": "start",
        "x-upload-content-length": str(size_bytes),
        "x-goog-if-generation-match": "0",
        # The session lets in pages of the origin that it was begun with.
        "Origin": origin,
    }
    answer = _send("POST", f"{endpoint()}/{bucket}/{path}", headers)
    if answer.status_code != 201:
        raise StorageUnavailable(
            f"The storage began no resumable upload: it answered {answer.status_code}.",
            retry_after_seconds=asked_pause_seconds(answer),
        )
    place = urlsplit(answer.headers["Location"])
    if public_url:
        public = urlsplit(public_url)
        place = place._replace(scheme=public.scheme, netloc=public.netloc)
    return Landing(
        url=place.geturl(),
        headers={"Content-Type": CONTENT_TYPE},
        is_resumable=True,
        expires_at=datetime.datetime.now(datetime.UTC) + expires_in,
    )


def endpoint() -> str:
    """Where Google's sessions are begun and sent to."""
    return (os.environ.get("GOOGLE_BASE_URL") or GOOGLE).rstrip("/")


def end_session(url: str) -> None:
    """Nothing can be sent to it any more."""
    answer = _send("DELETE", url, {"Content-Length": "0"})
    # Nor to one that has made its object.
    if answer.status_code not in ENDED and not answer.is_success:
        raise StorageUnavailable


def asked_pause_seconds(answer: httpx2.Response) -> int | None:
    """For how long a store that refused asks to be left alone. None says it by a date."""
    asked = answer.headers.get("Retry-After", "")
    is_refused = answer.status_code in REFUSED_FOR_NOW
    return int(asked) if is_refused and re.fullmatch("[0-9]{1,6}", asked) else None


def _send(method: str, url: str, headers: dict[str, str]) -> httpx2.Response:
    """Asks again while the store is away; of a session that was begun twice, one is never used and ends by itself."""
    give_up_at = time.monotonic() + TRYING_SECONDS
    pause_seconds = FIRST_PAUSE_SECONDS
    while True:
        try:
            answer = httpx2.request(method, url, headers=headers, timeout=ANSWER_SECONDS)
        except httpx2.HTTPError as error:
            if time.monotonic() + pause_seconds > give_up_at:
                raise StorageUnavailable from error
        else:
            pause_seconds = max(pause_seconds, asked_pause_seconds(answer) or 0)
            if answer.status_code not in PASSING or time.monotonic() + pause_seconds > give_up_at:
                return answer
        time.sleep(pause_seconds * random.uniform(1.0, 1.5))  # noqa: S311
        pause_seconds *= 2


def _token() -> str:
    """Signed by the service account itself, or what the machine's own account is given."""
    if file := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        account = json.loads(Path(file).read_text())
        if "private_key" not in account:
            raise StorageUnavailable("Direct upload wants a service account's key, or the machine's own account.")
        now = int(time.time())
        claims = {
            "iss": account["client_email"],
            "sub": account["client_email"],
            "scope": GOOGLE_SCOPE,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
        }
        return jwt.encode(claims, account["private_key"], "RS256", headers={"kid": account["private_key_id"]})
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
    answer = _send("GET", url, {"Metadata-Flavor": "Google"})
    if not answer.is_success:
        raise StorageUnavailable
    return str(answer.json()["access_token"])
