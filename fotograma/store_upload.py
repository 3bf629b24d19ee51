"""A file put straight into a service's store, by the address that the service gave for it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import httpx2

from fotograma.patience import PASSING, Passing, Patience, Refused

# Proxies and platforms in front of services take bodies of 32 MiB and more, and many requests cost more than few.
CHUNK_BYTES = 16 * 2**20
TIMEOUT_SECONDS = 60.0
# Google's answer to a piece that is not the last, and to the question how far it is.
GOES_ON = 308

Told = Callable[[int, int], None]
"""Called with how many bytes are done, and how many there are."""


def put(begun: Mapping[str, Any], path: Path, *, patience: Patience, told: Told) -> None:
    """Send all of a file, or what is missing of it where the store takes pieces; `begun` is the service's word.

    Raises:
        Refused: the store does not take it, or no longer; begin anew.
        Unreachable: nothing came through for as long as `patience` lasts.
    """
    # A client of its own: the login is for the service, and not for whoever keeps its files.
    with httpx2.Client(timeout=TIMEOUT_SECONDS) as http, path.open("rb") as file:
        while True:
            try:
                if begun["resumable"]:
                    _put_pieces(http, begun, file, size=path.stat().st_size, patience=patience, told=told)
                else:
                    _put_whole(http, begun, file, size=path.stat().st_size, patience=patience, told=told)
                return
            except (httpx2.TransportError, Passing) as error:
                patience.wait(error)


def _put_pieces(
    http: httpx2.Client, begun: Mapping[str, Any], file: BinaryIO, *, size: int, patience: Patience, told: Told
) -> None:
    """By a resumable session of Google's: https://cloud.google.com/storage/docs/performing-resumable-uploads"""
    answer = _sent(http, begun, b"", said=f"bytes */{size}")
    while answer.status_code == GOES_ON:
        offset = int(answer.headers["Range"].rpartition("-")[2]) + 1 if "Range" in answer.headers else 0
        told(offset, size)
        patience.heed(offset)
        piece = chunk(file, offset)
        answer = _sent(http, begun, piece, said=f"bytes {offset}-{offset + len(piece) - 1}/{size}")
    told(size, size)


def _put_whole(
    http: httpx2.Client, begun: Mapping[str, Any], file: BinaryIO, *, size: int, patience: Patience, told: Told
) -> None:
    def pieces() -> Iterator[bytes]:
        offset = 0
        while offset < size:
            piece = chunk(file, offset)[: size - offset]
            yield piece
            offset += len(piece)
            patience.heed(offset)
            told(offset, size)

    # With its length, or it would be sent in chunks, which no such store takes.
    headers = {**begun["headers"], "Content-Length": str(size)}
    _judge(http.put(begun["url"], headers=headers, content=pieces()))


def _sent(http: httpx2.Client, begun: Mapping[str, Any], piece: bytes, *, said: str) -> httpx2.Response:
    answer = http.put(begun["url"], headers={**begun["headers"], "Content-Range": said}, content=piece)
    if answer.status_code != GOES_ON:
        _judge(answer)
    return answer


def _judge(answer: httpx2.Response) -> None:
    if not answer.is_success:
        kind = Passing if answer.status_code in PASSING else Refused
        raise kind(
            status=410,
            code="UPLOAD_EXPIRED",
            message=f"The store does not take it any more (its answer was {answer.status_code}); begin anew.",
        )


def chunk(file: BinaryIO, offset: int) -> bytes:
    """What comes next of a file."""
    file.seek(offset)
    data = file.read(CHUNK_BYTES)
    if not data:
        raise Refused(status=0, code="FILE_CHANGED", message="The file is shorter than it was when its upload began.")
    return data
