"""A video's bytes from the address that its user has named."""

import time
from collections.abc import Generator
from urllib.parse import urljoin

from app.outbound import AddressRefused, Answer, Outbound, Unreachable
from app.settings import get_settings
from fotograma.errors import FotogramaError

MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What may be over when it is asked again.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
# A worker that must end waits for it.
SILENCE_SECONDS = 8.0
HEADERS = {"User-Agent": "Fotograma", "Accept": "*/*", "Accept-Encoding": "identity"}


def fetch(outbound: Outbound, url: str, *, most_bytes: int) -> Generator[bytes, None, None]:
    """What is at an address, or where that leads: each step is judged and connected to as the first."""
    seconds = get_settings().import_seconds
    deadline = time.monotonic() + seconds
    try:
        for _ in range(1 + MOST_REDIRECTS):
            left = deadline - time.monotonic()
            with outbound.request(
                "GET", url, headers=HEADERS, within_seconds=left, silence_seconds=SILENCE_SECONDS
            ) as answer:
                if answer.status not in REDIRECTS:
                    yield from _body(answer, most_bytes=most_bytes)
                    return
                url = urljoin(url, answer.headers.get("location", ""))
    except AddressRefused:
        raise FotogramaError.of("IMPORT_REFUSED", "it is, or leads to, none on the public Internet") from None
    except Unreachable as error:
        if time.monotonic() >= deadline:
            raise FotogramaError.of("IMPORT_LIMIT", f"it was not here within {seconds:.0f} s") from None
        raise FotogramaError.of("IMPORT_UNREACHABLE", str(error)) from None
    raise FotogramaError.of("IMPORT_REFUSED", "it leads on too often")


def _body(answer: Answer, *, most_bytes: int) -> Generator[bytes, None, None]:
    if answer.status != 200:
        code = "IMPORT_UNREACHABLE" if answer.status in PASSING else "IMPORT_REFUSED"
        raise FotogramaError.of(code, f"the answer was {answer.status}")
    too_large = FotogramaError.of("IMPORT_LIMIT", f"there is room for {most_bytes} bytes")
    if int(answer.headers.get("content-length", 0)) > most_bytes:
        raise too_large
    size_bytes = 0
    for chunk in answer.chunks:
        size_bytes += len(chunk)
        if size_bytes > most_bytes:
            raise too_large
        yield chunk
