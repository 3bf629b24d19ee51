"""What a bucket should do beside keeping objects: take uploads from the page, and drop the unfinished ones.

Rules that are there stay: each cloud's module merges ours into them, and does nothing the second time.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import httpx2

from app.errors import Conflict, Invalid
from app.settings import Settings
from app.storage import StorageUnavailable
from app.storage.credentials import ENDPOINTS

# Uploads are broken off after a day.
UNFINISHED_DAYS = 2
PREFLIGHT_SECONDS = 3600
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Place:
    """Whose rules, and for whom."""

    bucket: str
    folder: str
    """With its slash at the end; empty where the whole bucket is the service's."""
    endpoint: str | None
    """Where another than the cloud's own is set."""
    origin: str
    """Of the page, as browsers send it."""


class Rules(Protocol):
    """A cloud's module."""

    def show(self, place: Place) -> str:
        """The files that the cloud's own command takes, and the command."""
        ...

    def apply(self, place: Place) -> Iterator[str]:
        """Merge ours into what is there; a sentence each."""
        ...

    def unfinished_go(self, place: Place) -> bool:
        """Whether the store removes unfinished uploads by itself, by our rule or another."""
        ...


def rules_of(settings: Settings) -> tuple[Rules, Place]:
    """The rules for the store that STORAGE_URL names."""
    from app.storage.rules import azure, google, s3

    clouds: dict[str, Rules] = {"gs": google, "s3": s3, "az": azure}
    url, page = urlsplit(settings.storage_url), urlsplit(settings.public_url)
    if url.scheme not in clouds:
        raise Invalid("Files of this machine have no rules: writers remove themselves what dead ones have left.")
    folder = url.path.strip("/")
    return clouds[url.scheme], Place(
        bucket=url.netloc,
        folder=f"{folder}/" if folder else "",
        endpoint=next(filter(None, map(os.environ.get, ENDPOINTS[url.scheme])), None),
        origin=f"{page.scheme}://{page.netloc}",
    )


def unfinished_stay(settings: Settings) -> bool:
    """Whether what killed writers leave stays for good: obstore can neither list nor abort what it did not begin, so
    that a rule of the bucket is all there is."""
    if urlsplit(settings.storage_url).scheme == "file":
        return False
    of_cloud, place = rules_of(settings)
    return not of_cloud.unfinished_go(place)


def key_of(*variables: str) -> tuple[str, ...]:
    """What these variables hold; all of them are needed."""
    values = tuple(os.environ.get(variable, "") for variable in variables)
    if not all(values):
        raise Invalid(f"Rules are read and applied with a key: set {' and '.join(variables)}, or run what `show` says.")
    return values


def send(request: httpx2.Request, *, missing: int | None = None) -> httpx2.Response:
    """The store's answer, also where its status is that of nothing there; a refusal is told in one line."""
    try:
        with httpx2.Client(timeout=ANSWER_SECONDS) as client:
            answer = client.send(request)
    except httpx2.TransportError as error:
        raise StorageUnavailable(f"Storage: {request.url.host} does not answer: {error}") from error
    if answer.is_success or answer.status_code == missing:
        return answer
    if answer.status_code == 412:
        raise Conflict("Somebody else changed the rules meanwhile; nothing was written. Do it again.")
    reason = " ".join(answer.text.split())[:500]
    raise StorageUnavailable(
        f"Storage: {request.method} of the bucket's rules was refused: {answer.status_code} {reason}"
    )
