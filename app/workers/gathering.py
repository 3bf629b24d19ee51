"""The bytes of a video that is not one object yet become one: those of an upload's parts, or of an address."""

import hashlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

from app.database import open_session
from app.extractions import admission
from app.extractions.claims import Claim
from app.extractions.tasks import Task
from app.outbound import get_outbound
from app.storage import Storage
from app.videos import direct_upload_lifecycle as direct_uploads
from app.videos import upload_lifecycle as uploads
from app.workers import importing
from app.workers.lease import Lease
from fotograma.errors import Cancelled, FotogramaError, StorageUnavailable


@dataclass(frozen=True)
class Source:
    """A video's bytes as one object."""

    object_key: str
    size_bytes: int
    sha256: str


def gather(storage: Storage, lease: Lease, task: Task) -> Source:
    """Write one object under the token of this holder: no other ever writes there."""
    claim = lease.claim
    key = f"{uploads.object_prefix(claim.video_id)}{claim.segment_id}-{claim.token}/source"
    digest, size_bytes = hashlib.sha256(), 0
    with (
        closing(_chunks(storage, claim, task)) as chunks,
        storage.open_writer(key, content_type="application/octet-stream") as writer,
    ):
        for chunk in chunks:
            if lease.given_up:
                raise Cancelled
            digest.update(chunk)
            size_bytes += len(chunk)
            writer.write(chunk)
    return Source(key, size_bytes, digest.hexdigest())


def remove_parts(storage: Storage, claim: Claim, *, source_key: str) -> None:
    """Remove what the source was made of, and what other holders have made of it."""
    for key in storage.list(uploads.object_prefix(claim.video_id)):
        if key != source_key:
            storage.delete(key)


def _chunks(storage: Storage, claim: Claim, task: Task) -> Generator[bytes, None, None]:
    if task.source_url is None:
        return _of_parts(storage, claim, task)
    with open_session() as session:
        most_bytes = admission.importable_bytes(session, claim.video_id)
    return importing.fetch(get_outbound(), task.source_url, most_bytes=most_bytes)


def _of_parts(storage: Storage, claim: Claim, task: Task) -> Generator[bytes, None, None]:
    with open_session() as session:
        parts = uploads.parts_of(session, claim.video_id)
        announced = direct_uploads.announced_sha256(session, claim.video_id)
    size_bytes, digest = 0, hashlib.sha256()
    for part in parts:
        if part.etag is not None and storage.stat(part.object_key).etag != part.etag:
            raise FotogramaError.of("UPLOAD_CHANGED", "it was replaced after it was completed")
        with closing(storage.read(part.object_key, etag=part.etag)) as chunks:
            for chunk in chunks:
                size_bytes += len(chunk)
                if announced is not None:
                    digest.update(chunk)
                yield chunk
    if announced not in (None, digest.hexdigest()):
        raise FotogramaError.of("UPLOAD_CHANGED", "its SHA-256 is not the announced one")
    if size_bytes != task.size_bytes:
        raise StorageUnavailable(detail=f"of {task.size_bytes} bytes that came {size_bytes} are there")
