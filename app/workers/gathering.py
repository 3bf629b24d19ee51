"""The bytes of a video that came in parts become one object."""

import hashlib
from contextlib import closing
from dataclasses import dataclass

from app.database import open_session
from app.extractions.segment_lifecycle import Claim
from app.extractions.tasks import Task
from app.storage import Storage
from app.videos import upload_lifecycle as uploads
from app.workers.lease import Lease
from fotograma.errors import Cancelled, StorageUnavailable


@dataclass(frozen=True)
class Source:
    """A video's bytes as one object."""

    object_key: str
    size_bytes: int
    sha256: str


def gather(storage: Storage, lease: Lease, task: Task) -> Source:
    """Copy the parts into one object, under the token of this holder: no other ever writes there."""
    claim = lease.claim
    with open_session() as session:
        parts = uploads.parts_of(session, claim.video_id)
    key = f"{uploads.object_prefix(claim.video_id)}{claim.segment_id}-{claim.token}/source"
    digest, size_bytes = hashlib.sha256(), 0
    with storage.open_writer(key, content_type="application/octet-stream") as writer:
        for part in parts:
            with closing(storage.read(part.object_key)) as chunks:
                for chunk in chunks:
                    if lease.given_up:
                        raise Cancelled
                    digest.update(chunk)
                    size_bytes += len(chunk)
                    writer.write(chunk)
        if size_bytes != task.size_bytes:
            raise StorageUnavailable(detail=f"of {task.size_bytes} bytes that came {size_bytes} are there")
    return Source(key, size_bytes, digest.hexdigest())


def remove_parts(storage: Storage, claim: Claim, *, source_key: str) -> None:
    """Remove what the source was made of, and what other holders have made of it."""
    for key in storage.list(uploads.object_prefix(claim.video_id)):
        if key != source_key:
            storage.delete(key)
