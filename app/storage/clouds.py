"""Objects in a cloud's store, or in what speaks like one: by obstore, with what it leaves to its callers done here."""

import datetime
import re
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from app.settings import Settings
from app.storage import (
    KEY_PART,
    REPLACED,
    Landing,
    ObjectFacts,
    ObjectWriter,
    SignedUrl,
    Storage,
    StorageInterrupted,
    StorageUnavailable,
    check_key,
    landings,
)
from app.storage.attachments import attachment
from app.storage.credentials import PATIENT, clouds_store, link_longest, signing_endpoint

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta, WritableFile

logger = structlog.get_logger()

CloudStore = GCSStore | S3Store | AzureStore

READ_BYTES = 256 * 1024
# A store joins at most 10,000 parts (Azure 50,000): with this, up to 80 GiB. Each part of a writer that is on its way
# and the one that grows are in memory: 24 MiB.
PART_BYTES = 8 * 2**20
PARTS_AT_ONCE = 2
FETCH_SECONDS = 10.0
# Shorter than any patience that is spent.
INTERRUPTION_SECONDS = 10.0


def open_cloud_storage(settings: Settings) -> "CloudStorage":
    """The store of a `gs:`, `s3:` or `az:` URL."""
    signer = clouds_store(
        settings.storage_url, endpoint=settings.storage_public_url or signing_endpoint(settings.storage_url)
    )
    return CloudStorage(
        clouds_store(settings.storage_url),
        patient_store=clouds_store(settings.storage_url, retry=PATIENT),
        signer=signer,
        name=settings.storage_url,
        link_longest=link_longest(settings.storage_url),
        public_url=settings.storage_public_url,
    )


class CloudStorage(Storage):
    """A bucket, or a folder in one. Safe to use from many threads at once."""

    def __init__(
        self,
        store: CloudStore,
        *,
        patient_store: CloudStore,
        signer: CloudStore,
        name: str,
        link_longest: datetime.timedelta,
        public_url: str = "",
    ) -> None:
        self._store = store
        self._patient_store = patient_store
        self._signer = signer
        self._name = name
        self._link_longest = link_longest
        self._public_url = public_url

    @contextmanager
    def open_writer(self, key: str, *, content_type: str, filename: str | None = None) -> Iterator[ObjectWriter]:
        check_key(key)
        attributes = {"Content-Type": content_type}
        if filename is not None:
            attributes["Content-Disposition"] = attachment(filename)
        file = obstore.open_writer(
            self._store, key, attributes=attributes, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
        )
        writer = _PartsWriter(file)
        try:
            yield writer
        except BaseException as error:
            # Removes the parts that are there. Where the store is away it can't: its rule for unfinished uploads does.
            with suppress(BaseError, OSError):
                file.__exit__(type(error), error, error.__traceback__)
            raise
        with _told_of_writing():
            try:
                file.close()
            except FileNotFoundError as ended:
                # Where the answer to its end was lost, the end is asked for again, of an upload that is no more.
                try:
                    obstore.head(self._store, key)
                except FileNotFoundError:
                    raise ended from None
            kept_bytes = obstore.head(self._store, key)["size"]
        if kept_bytes != writer.size_bytes:
            self.delete(key)
            raise StorageUnavailable(f"The storage has kept {kept_bytes} of {writer.size_bytes} bytes.")

    def read(
        self, key: str, *, start: int = 0, length: int | None = None, etag: str | None = None
    ) -> Generator[bytes, None, None]:
        chunks = self._chunks(key, start=start, length=length, etag=etag)
        # Asks for the object now: a missing one is told here, and the generator has begun and so will let it go.
        next(chunks)
        return chunks

    def stat(self, key: str) -> ObjectFacts:
        check_key(key)
        with _told():
            facts = obstore.head(self._store, key)
        return ObjectFacts(
            size_bytes=facts["size"],
            etag=_etag(facts),
            modified_at=facts["last_modified"],
        )

    def open_descriptor(self, key: str) -> None:
        check_key(key)

    def delete(self, key: str) -> None:
        check_key(key)
        with _told(), suppress(FileNotFoundError):
            obstore.delete(self._store, key)

    def list(self, prefix: str) -> Iterator[str]:
        folder = prefix.removesuffix("/")
        if folder:
            check_key(folder)
        pages = iter(obstore.list(self._store, folder or None))
        while True:
            with _told():
                page = next(pages, None)
            if page is None:
                return
            for found in page:
                if all(KEY_PART.fullmatch(part) for part in found["path"].split("/")):
                    yield found["path"]

    def signed_url(self, key: str, *, expires_in: datetime.timedelta, filename: str) -> SignedUrl:  # noqa: ARG002
        check_key(key)
        expires_in = min(expires_in, self._link_longest)
        expires_at = datetime.datetime.now(datetime.UTC) + expires_in
        with _told():
            return SignedUrl(obstore.sign(self._signer, "GET", key, expires_in), expires_at)

    @property
    def landing_max_bytes(self) -> int:
        return landings.MAX_BYTES[urlsplit(self._name).scheme]

    def landing_origin(self) -> str:
        if urlsplit(self._name).scheme == "gs":
            url = self._public_url or landings.endpoint()
        else:
            # Of a link as clients are given them: in some the bucket is a part of the host.
            with _told():
                url = obstore.sign(self._signer, "PUT", "health/nothing", datetime.timedelta(minutes=1))
        return "{0.scheme}://{0.netloc}".format(urlsplit(url))

    def open_landing(self, key: str, *, size_bytes: int, expires_in: datetime.timedelta, origin: str) -> Landing:
        check_key(key)
        place = urlsplit(self._name)
        expires_in = min(expires_in, self._link_longest)
        if place.scheme == "gs":
            return landings.open_session(
                bucket=place.netloc,
                path=f"{place.path.strip('/')}/{key}".lstrip("/"),
                size_bytes=size_bytes,
                expires_in=expires_in,
                origin=origin,
                public_url=self._public_url,
            )
        expires_at = datetime.datetime.now(datetime.UTC) + expires_in
        with _told():
            url = obstore.sign(self._signer, "PUT", key, expires_in)
        return Landing(url=url, headers=landings.HEADERS[place.scheme], is_resumable=False, expires_at=expires_at)

    def end_landing(self, url: str) -> None:
        landings.end_session(url)

    def answers(self) -> None:
        with suppress(FileNotFoundError):
            self.stat("health/nothing")

    @cached_property
    def patient(self) -> Storage:
        return CloudStorage(
            self._patient_store,
            patient_store=self._patient_store,
            signer=self._signer,
            name=self._name,
            link_longest=self._link_longest,
            public_url=self._public_url,
        )

    def asked_pause(self) -> datetime.timedelta:
        # obstore does not tell what came with an error; so one request of ours asks once more.
        try:
            url = obstore.sign(self._signer, "GET", "health/nothing", datetime.timedelta(minutes=1))
            answer = httpx2.get(url, timeout=FETCH_SECONDS)
        except (BaseError, OSError, httpx2.HTTPError):
            return datetime.timedelta(0)
        return datetime.timedelta(seconds=landings.asked_pause_seconds(answer) or 0)

    def check(self) -> None:
        """Prove that objects can be written, read, fetched by their links and deleted; the error says what can't."""
        key = f"health/{uuid.uuid4()}"
        step = "write"
        try:
            with self.open_writer(key, content_type="text/plain", filename="check.txt") as writer:
                writer.write(key.encode())
            step = "read"
            read = b"".join(self.read(key))
            step = "sign a link to"
            link = self.signed_url(key, expires_in=datetime.timedelta(minutes=5), filename="check.txt")
            step = "fetch by its signed link"
            fetched = httpx2.get(link.url, timeout=FETCH_SECONDS).raise_for_status()
            step = "delete"
            self.delete(key)
        except (StorageUnavailable, FileNotFoundError, httpx2.HTTPError) as error:
            with suppress(StorageUnavailable):
                self.delete(key)
            reason = _reason(error.__cause__ or error)
            raise StorageUnavailable(f"Storage: {self._name} lets us not {step} an object: {reason}") from error
        if not read == fetched.content == key.encode():
            raise StorageUnavailable(f"Storage: {self._name} gives back other bytes than it was given.")

    def _chunks(self, key: str, *, start: int, length: int | None, etag: str | None) -> Generator[bytes, None, None]:
        check_key(key)
        end = None if length is None else start + length
        chunks, etag = self._stream(key, start=start, end=end, etag=etag)
        yield b""
        resumed_at = start
        while chunks is not None:
            try:
                with _told():
                    chunk = next(chunks, None)
            except StorageUnavailable:
                # obstore counts tries and seconds from the beginning of a stream, so that it gives a long one up at the
                # first cut. As long as bytes come, that is no reason to.
                if start == resumed_at:
                    raise
                chunks, etag = self._stream(key, start=start, end=end, etag=etag)
                resumed_at = start
                continue
            if chunk is None:
                return
            start += len(chunk)
            yield bytes(chunk)

    def _stream(
        self, key: str, *, start: int, end: int | None, etag: str | None
    ) -> tuple[Iterator[Any] | None, str | None]:
        """The bytes as they come, and the etag of what they are of; none where an object that is there has none in this
        range."""
        if start == end:
            self.stat(key)
            return None, etag
        with _told():
            try:
                answer = self._get(key, start=start, end=end)
                # Said by each answer, so that no store need know how to be asked for this very object only.
                if etag is not None and etag != _etag(answer.meta):
                    raise StorageUnavailable(REPLACED)
                return iter(answer.stream(min_chunk_size=READ_BYTES)), _etag(answer.meta)
            except BaseError:
                # Stores refuse a range behind the end, which is an empty one here.
                if start and start >= obstore.head(self._store, key)["size"]:
                    return None, etag
                raise

    def _get(self, key: str, *, start: int, end: int | None) -> "GetResult":
        if end is not None:
            return obstore.get(self._store, key, options={"range": (start, end)})
        if start:
            return obstore.get(self._store, key, options={"range": {"offset": start}})
        return obstore.get(self._store, key)


class _PartsWriter:
    def __init__(self, file: "WritableFile") -> None:
        self._file = file
        self.size_bytes = 0

    def write(self, data: bytes, /) -> int:
        with _told_of_writing():
            self._file.write(data)
        self.size_bytes += len(data)
        return len(data)


def _etag(facts: "ObjectMeta") -> str:
    return '"{}"'.format((facts["e_tag"] or f"{facts['last_modified']:%s%f}").strip('"'))


@contextmanager
def _told() -> Iterator[None]:
    """What the store says, in the storage's words."""
    began = time.monotonic()
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(_reason(error)) from None
    except (BaseError, OSError) as error:
        logger.warning("storage failed", reason=_reason(error))
        # What obstore does not ask for again, such as an answer that came by half, fails at once. All else has had its
        # time.
        is_quick = time.monotonic() - began < INTERRUPTION_SECONDS
        raise (StorageInterrupted if is_quick else StorageUnavailable) from error


@contextmanager
def _told_of_writing() -> Iterator[None]:
    """The same where nothing has to be there before: what is missing is the bucket, or an upload that was ended."""
    try:
        with _told():
            yield
    except FileNotFoundError as error:
        logger.warning("storage failed", reason=_reason(error))
        raise StorageInterrupted from error


def _reason(error: BaseException) -> str:
    """One line for an operator. What a store is asked may be signed, so that nothing behind a question mark is told."""
    line = re.sub(r"\?[^\s\"']*", "", str(error).split("\n", 1)[0])
    told = re.search(r"<Code>([^<]*)</Code>\s*<Message>([^<]*)</Message>", str(error))
    return " ".join(f"{line} {told[1]}: {told[2]}".split()) if told else line
