"""What every store promises: files, and the clouds' stores by their doubles."""

import datetime
import os
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.settings import Settings
from app.storage import InvalidKey, Storage, StorageUnavailable, open_storage
from tests.stores.doubles import Double

MEGABYTE = 2**20


STORES = ["local", "moto", "google", "azurite"]


@pytest.fixture(params=STORES)
def storage(request: pytest.FixtureRequest, tmp_path: Path, stores: Callable[[str], Double]) -> Storage:
    if request.param != "local":
        return stores(request.param).open()
    return open_storage(
        Settings(
            _env_file=None,
            secret_key="a key that only this test knows of",
            public_url="https://frames.example",
            storage_url=f"file://{tmp_path}/objects",
        )
    )


def write(storage: Storage, key: str, content: bytes) -> None:
    with storage.open_writer(key, content_type="application/octet-stream") as writer:
        writer.write(content)


def break_off(storage: Storage, key: str, content: bytes) -> None:
    with storage.open_writer(key, content_type="application/octet-stream") as writer:
        writer.write(content)
        raise ConnectionResetError


def read(storage: Storage, key: str) -> bytes:
    return b"".join(storage.read(key))


def test_what_was_written_is_read(storage: Storage):
    with storage.open_writer("videos/1/source", content_type="video/mp4", filename="férias.mp4") as writer:
        writer.write(b"abc")
        writer.write(b"")
        writer.write(b"defgh")

    assert read(storage, "videos/1/source") == b"abcdefgh"
    assert storage.stat("videos/1/source").size_bytes == 8


def test_an_empty_object_is_an_object(storage: Storage):
    write(storage, "empty", b"")

    assert read(storage, "empty") == b""
    assert storage.stat("empty").size_bytes == 0


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [(0, None, b"0123456789"), (4, None, b"456789"), (4, 3, b"456"), (8, 100, b"89"), (10, None, b""), (3, 0, b"")],
)
def test_a_part_is_read(storage: Storage, start: int, length: int | None, expected: bytes):
    write(storage, "digits", b"0123456789")

    assert b"".join(storage.read("digits", start=start, length=length)) == expected


def test_nothing_is_there_before_the_block_ends(storage: Storage):
    with storage.open_writer("videos/1/source", content_type="video/mp4") as writer:
        writer.write(bytes(MEGABYTE))

        assert list(storage.list("")) == []
        with pytest.raises(FileNotFoundError):
            storage.stat("videos/1/source")
        with pytest.raises(FileNotFoundError):
            storage.read("videos/1/source")


def test_an_exception_drops_everything(storage: Storage):
    with pytest.raises(ConnectionResetError):
        break_off(storage, "videos/1/source", bytes(3 * MEGABYTE))

    assert list(storage.list("")) == []


def test_a_writer_that_fails_leaves_the_object_before_it(storage: Storage):
    write(storage, "a", b"first")
    with pytest.raises(ConnectionResetError):
        break_off(storage, "a", b"second")

    assert read(storage, "a") == b"first"


def test_a_reader_never_sees_a_mixture(storage: Storage):
    contents = [bytes([number]) * MEGABYTE for number in range(2)]
    write(storage, "a", contents[0])
    done = threading.Event()
    seen = set()

    def watch() -> None:
        while not done.is_set():
            seen.add(read(storage, "a"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for turn in range(1, 8):
            write(storage, "a", contents[turn % 2])
    finally:
        done.set()
        watcher.join()

    assert seen <= set(contents)


def test_the_etag_changes_with_the_bytes_only(storage: Storage):
    write(storage, "a", b"first")
    before = storage.stat("a").etag
    again = storage.stat("a").etag
    write(storage, "a", b"other")

    assert before == again
    assert storage.stat("a").etag != before
    assert before[0] == before[-1] == '"'


def test_of_an_object_that_was_replaced_nothing_is_read(storage: Storage):
    etags = []
    for content in (b"before", b"after!"):
        write(storage, "a", content)
        etags.append(storage.stat("a").etag)
        assert b"".join(storage.read("a", start=1, length=3, etag=etags[-1])) == content[1:4]

    with pytest.raises(StorageUnavailable, match="replaced"):
        storage.read("a", start=1, length=3, etag=etags[0])


def test_an_object_knows_when_it_was_written(storage: Storage):
    write(storage, "a", b"x")

    age = datetime.datetime.now(datetime.UTC) - storage.stat("a").modified_at
    assert abs(age) < datetime.timedelta(minutes=1)


def test_a_hundred_megabytes_take_little_memory(storage: Storage):
    process = psutil.Process()
    chunk = os.urandom(MEGABYTE)
    before = most = process.memory_info().rss
    with storage.open_writer("large", content_type="video/mp4") as writer:
        for _ in range(100):
            writer.write(chunk)
            most = max(most, process.memory_info().rss)
    size_bytes = 0
    for part in storage.read("large"):
        size_bytes += len(part)
        most = max(most, process.memory_info().rss)

    assert size_bytes == 100 * MEGABYTE
    assert most - before < 32 * MEGABYTE


def test_a_missing_object_is_told_at_once(storage: Storage):
    write(storage, "results/1/a", b"x")

    for key in ("nothing", "results/1", "results/1/a/b"):
        with pytest.raises(FileNotFoundError):
            storage.stat(key)
        with pytest.raises(FileNotFoundError):
            storage.read(key)


def test_a_descriptor_reads_the_object_where_there_is_one(storage: Storage):
    write(storage, "a", b"0123456789")
    descriptor = storage.open_descriptor("a")

    if descriptor is not None:
        with os.fdopen(descriptor, "rb") as file:
            assert not os.get_inheritable(file.fileno())
            assert file.read() == b"0123456789"
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.write(file.fileno(), b"x")


@pytest.fixture
def tree(storage: Storage) -> Storage:
    for key in ("results/1/0/rows", "results/1/1/rows", "results/10/rows", "videos/1/source"):
        write(storage, key, key.encode())
    return storage


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", {"results/1/0/rows", "results/1/1/rows", "results/10/rows", "videos/1/source"}),
        ("results/1", {"results/1/0/rows", "results/1/1/rows"}),
        ("results/1/", {"results/1/0/rows", "results/1/1/rows"}),
        ("results/2", set()),
        ("nothing/at/all", set()),
    ],
)
def test_a_folder_is_listed(tree: Storage, prefix: str, expected: set[str]):
    assert set(tree.list(prefix)) == expected


def test_a_deleted_object_is_gone_and_its_neighbours_stay(tree: Storage):
    tree.delete("results/1/0/rows")
    tree.delete("results/1/0/rows")
    tree.delete("never/was")
    tree.delete("videos")

    assert set(tree.list("")) == {"results/1/1/rows", "results/10/rows", "videos/1/source"}
    with pytest.raises(FileNotFoundError):
        tree.read("results/1/0/rows")


def test_a_folder_is_deleted_and_no_more(tree: Storage):
    tree.delete_prefix("results/1")
    tree.delete_prefix("results/1/")

    assert set(tree.list("")) == {"results/10/rows", "videos/1/source"}


def test_deleting_everything_at_once_is_refused(tree: Storage):
    with pytest.raises(InvalidKey):
        tree.delete_prefix("")

    assert len(set(tree.list(""))) == 4


def test_a_reader_keeps_what_is_deleted_under_it(storage: Storage):
    write(storage, "a", bytes(3 * MEGABYTE))
    chunks = storage.read("a")
    storage.delete("a")

    assert len(b"".join(chunks)) == 3 * MEGABYTE


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../a",
        "a/../b",
        "a/..",
        "a//b",
        "a/",
        ".",
        "./a",
        "a/./b",
        ".staging/a",
        "a/.hidden",
        "a\0b",
        "a\nb",
        "a\n",
        "a b",
        "a\\b",
        "C:a",
        "a?b",
        "a#b",
        "a%2fb",
        "é",
        "٣",
        "x" * 256,
        "/".join("x" * 600),
    ],
)
def test_a_key_that_could_mean_another_place_is_refused(storage: Storage, tmp_path: Path, key: str):
    with pytest.raises(InvalidKey):
        write(storage, key, b"x")
    for use in (storage.read, storage.stat, storage.open_descriptor, storage.delete):
        with pytest.raises(InvalidKey):
            use(key)
    with pytest.raises(InvalidKey):
        storage.signed_url(key, expires_in=datetime.timedelta(hours=1), filename="a")

    assert list(tmp_path.iterdir()) == []


def test_writers_and_deletes_of_one_folder_do_not_disturb_each_other(storage: Storage):
    problems: list[Exception] = []

    def write_and_delete(name: str) -> None:
        try:
            for turn in range(15):
                write(storage, f"shared/{turn % 3}/{name}", b"x")
                assert read(storage, f"shared/{turn % 3}/{name}") == b"x"
                storage.delete(f"shared/{turn % 3}/{name}")
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=write_and_delete, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert list(storage.list("")) == []


def test_a_check_leaves_nothing(storage: Storage):
    storage.check()

    assert list(storage.list("")) == []


@pytest.mark.parametrize("url", ["ftp://host/path", "objects", "/var/objects", "gopher:x"])
def test_an_unknown_scheme_is_told_with_those_known(url: str):
    settings = Settings(_env_file=None, secret_key="a key that only this test knows of", storage_url=url)

    with pytest.raises(
        ValueError, match=r"known are file:///absolute/path, .* s3://bucket/prefix and az://container/prefix"
    ):
        open_storage(settings)
