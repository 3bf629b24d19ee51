"""What storage and database don't share, while both go on changing."""

import enum
import hashlib
import itertools
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.database import open_session
from app.extractions import retention
from app.extractions.models import Extraction
from app.extractions.results import place_of
from app.storage import Storage
from app.videos.models import ResumableUpload, Upload, Video

PAGE = 500


class Kind(enum.StrEnum):
    """What is wrong."""

    NO_ROW = "no row"
    """An object that nothing names: bytes that nobody will ever read."""
    NO_OBJECT = "no object"
    """A row whose object is not there: something is lost."""
    OTHER_SIZE = "other size"
    OTHER_CONTENT = "other content"


@dataclass(frozen=True)
class Finding:
    """An object or row without the other."""

    kind: Kind
    key: str


@dataclass(frozen=True)
class _Named:
    """An object as a row says it is."""

    key: str
    size_bytes: int
    sha256: str


def verify(storage: Storage, *, deep: bool = False) -> Iterator[Finding]:
    """Everything that one has and the other has not; `deep` reads each object."""
    yield from _objects_without_rows(storage)
    videos = select(Video.id, Video.object_key, Video.size_bytes, Video.sha256).where(
        # Without a hash its bytes are still parts; the worker that puts them together finds what is missing.
        Video.deleted_at.is_(None),
        Video.sha256.is_not(None),
    )
    archives = (
        select(Extraction.id, Extraction.archive_key, Extraction.archive_bytes, Extraction.archive_sha256)
        .join(Video, Video.id == Extraction.video_id)
        .where(Extraction.archive_key.is_not(None), Video.deleted_at.is_(None))
    )
    yield from _rows_without_objects(storage, videos, deep=deep)
    yield from _rows_without_objects(storage, archives, deep=deep)


def _objects_without_rows(storage: Storage) -> Iterator[Finding]:
    # A row is there before its object and goes after it, so that only what is listed first can be compared safely.
    for keys in _pages(storage.list("")):
        with open_session() as session:
            known = _known(session, keys)
        yield from (Finding(Kind.NO_ROW, key) for key in keys if key not in known and _exists(storage, key))


def _known(session: Session, keys: Sequence[str]) -> set[str]:
    """Those of these keys that belong to something."""
    of_videos = {key: video_id for key in keys if (video_id := _video_of(key)) is not None}
    video_ids = set(session.scalars(select(Video.id).where(Video.id.in_(of_videos.values()))))
    for upload in (Upload, ResumableUpload):
        video_ids |= set(session.scalars(select(upload.id).where(upload.id.in_(of_videos.values()))))
    places = {key: place for key in keys if (place := place_of(key)) is not None}
    return retention.wanted(session, places) | {key for key, video_id in of_videos.items() if video_id in video_ids}


def _video_of(key: str) -> uuid.UUID | None:
    room, _, rest = key.partition("/")
    try:
        return uuid.UUID(rest.partition("/")[0]) if room == "videos" else None
    except ValueError:
        return None


def _rows_without_objects(
    storage: Storage, rows: Select[uuid.UUID, str | None, int | None, str | None], *, deep: bool
) -> Iterator[Finding]:
    id_column = rows.selected_columns[0]
    after = uuid.UUID(int=0)
    while True:
        with open_session() as session:
            page = session.execute(rows.where(id_column > after).order_by(id_column).limit(PAGE)).all()
        if not page:
            return
        after = page[-1][0]
        for row_id, key, size_bytes, sha256 in page:
            kind = _compare(storage, _Named(key or "", size_bytes or 0, sha256 or ""), deep=deep)
            if kind is None:
                continue
            with open_session() as session:
                # It may have been deleted meanwhile.
                still_there = session.scalar(
                    select(func.count()).select_from(rows.where(id_column == row_id).subquery())
                )
            if still_there:
                yield Finding(kind, key or "")


def _compare(storage: Storage, named: _Named, *, deep: bool) -> Kind | None:
    try:
        if storage.stat(named.key).size_bytes != named.size_bytes:
            return Kind.OTHER_SIZE
        if deep:
            digest = hashlib.sha256()
            for chunk in storage.read(named.key):
                digest.update(chunk)
            if digest.hexdigest() != named.sha256:
                return Kind.OTHER_CONTENT
    except FileNotFoundError:
        return Kind.NO_OBJECT
    return None


def _exists(storage: Storage, key: str) -> bool:
    try:
        storage.stat(key)
    except FileNotFoundError:
        return False
    return True


def _pages(keys: Iterator[str]) -> Iterator[Sequence[str]]:
    while page := list(itertools.islice(keys, PAGE)):
        yield page
