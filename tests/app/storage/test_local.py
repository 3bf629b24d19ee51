import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from app.storage import StorageFull, StorageUnavailable, open_storage
from app.storage.local import LocalStorage

WRITE_AND_WAIT = """
import sys, time
from pathlib import Path
from app.storage.local import LocalStorage

storage = LocalStorage(Path(sys.argv[1]), public_url="", signing_key=b"")
with storage.open_writer("unfinished", content_type="video/mp4") as writer:
    writer.write(bytes(2**20))
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(root, public_url="", signing_key=b"")


def write(storage: LocalStorage, key: str, *pieces: bytes) -> None:
    with storage.open_writer(key, content_type="application/octet-stream") as writer:
        for piece in pieces:
            writer.write(piece)


def interrupt(storage: LocalStorage, key: str) -> None:
    with storage.open_writer(key, content_type="application/octet-stream") as writer:
        writer.write(bytes(2**20))
        raise KeyboardInterrupt


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_object_is_the_file_of_its_name_for_nobody_else(root: Path, storage: LocalStorage):
    write(storage, "videos/1/source", b"x")

    assert files_in(root) == [root / "videos/1/source"]
    assert (root / "videos/1/source").stat().st_mode & 0o777 == 0o600
    assert (root / "videos/1").stat().st_mode & 0o077 == 0


def test_an_exception_leaves_no_file(root: Path, storage: LocalStorage):
    with pytest.raises(KeyboardInterrupt):
        interrupt(storage, "a/b")

    assert files_in(root) == []


def test_empty_folders_go_with_their_last_object(root: Path, storage: LocalStorage):
    write(storage, "results/1/a", b"x")
    write(storage, "results/2/a", b"x")

    storage.delete("results/1/a")
    assert {path.name for path in root.iterdir()} == {".staging", "results"}
    assert [path.name for path in (root / "results").iterdir()] == ["2"]

    storage.delete_prefix("results")
    assert {path.name for path in root.iterdir()} == {".staging"}


def test_what_a_killed_writer_left_goes_and_a_living_ones_stays(root: Path, storage: LocalStorage):
    words = [sys.executable, "-c", WRITE_AND_WAIT, str(root)]
    with (
        storage.open_writer("slow", content_type="video/mp4") as slow,
        subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())}) as process,
    ):
        slow.write(b"begun ")
        assert process.stdout
        assert process.stdout.readline() == b"writing\n"
        assert len(files_in(root)) == 2

        process.send_signal(signal.SIGKILL)
        process.wait()
        write(storage, "next", b"x")
        assert len(files_in(root)) == 2  # The one being written, and "next".

        slow.write(b"and ended")

    assert sorted(storage.list("")) == ["next", "slow"]
    assert b"".join(storage.read("slow")) == b"begun and ended"
    assert len(files_in(root)) == 2


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file may grow beyond 1 MiB, which the system reports as it does a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("piece_bytes", [100_000, 4 * 2**20])
def test_no_room_is_told_and_leaves_nothing(root: Path, storage: LocalStorage, piece_bytes: int):
    with pytest.raises(StorageFull):
        write(storage, "a", *[bytes(piece_bytes)] * 30)

    assert files_in(root) == []


@pytest.mark.usefixtures("little_room")
def test_no_room_for_the_last_bytes_is_told_too(root: Path, storage: LocalStorage):
    with pytest.raises(StorageFull):
        write(storage, "a", bytes(2**20), b"one too many")

    assert files_in(root) == []


def test_a_root_that_cannot_be_is_unavailable(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    storage = LocalStorage(tmp_path / "file" / "objects", public_url="", signing_key=b"")

    with pytest.raises(StorageUnavailable):
        write(storage, "a", b"x")
    with pytest.raises(StorageUnavailable):
        storage.check()


def test_an_object_in_a_folders_place_is_told(storage: LocalStorage):
    write(storage, "a", b"x")

    for key in ("a/b", "a/b/c"):
        with pytest.raises(StorageUnavailable):
            write(storage, key, b"x")


def test_an_error_of_the_caller_stays_its_own(storage: LocalStorage):
    with pytest.raises(TimeoutError), storage.open_writer("a", content_type="text/plain"):
        raise TimeoutError


def test_only_objects_are_listed(root: Path, storage: LocalStorage):
    write(storage, "videos/1", b"x")
    (root / "lost+found").mkdir()
    (root / "lost+found" / "1").write_bytes(b"")
    (root / "videos" / ".DS_Store").write_bytes(b"")

    assert list(storage.list("")) == ["videos/1"]


def test_a_pipe_in_an_objects_place_is_no_object(root: Path, storage: LocalStorage):
    root.mkdir()
    os.mkfifo(root / "pipe")

    with pytest.raises(FileNotFoundError):
        storage.read("pipe")


@pytest.mark.parametrize(
    ("url", "expected"),
    [("file:///{0}/a%20b", "{0}/a b"), ("file:{0}/c", "{0}/c"), ("FILE:///{0}/d", "{0}/d")],
)
def test_a_url_names_the_folder(tmp_path: Path, url: str, expected: str):
    storage = open_storage(_settings(url.format(str(tmp_path).lstrip("/") if ":///" in url else tmp_path)))
    with storage.open_writer("a", content_type="text/plain") as writer:
        writer.write(b"x")

    assert (Path(expected.format(tmp_path)) / "a").read_bytes() == b"x"


def test_a_relative_url_counts_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    storage = open_storage(_settings("file:.data/objects"))
    monkeypatch.chdir("/")
    with storage.open_writer("a", content_type="text/plain") as writer:
        writer.write(b"x")

    assert (tmp_path / ".data/objects/a").read_bytes() == b"x"


@pytest.mark.parametrize("url", ["file://host/path", "file:", "file://relative"])
def test_a_url_that_names_no_folder_is_told(url: str):
    with pytest.raises(ValueError, match="write file:///absolute/path or file:relative/path"):
        open_storage(_settings(url))


def _settings(storage_url: str) -> Settings:
    return Settings(_env_file=None, secret_key="a key that only this test knows of", storage_url=storage_url)
