"""Storage on a disk that is small and full."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import PostOffice, running_service
from tests.chaos.promises import Promises
from tests.chaos.test_chaos_storage import failures_of
from tests.clips import Clip
from tests.conftest import needs
from tests.end_to_end.service import QUICK, Person, Service
from tests.waiting import wait_until

pytestmark = pytest.mark.long

DISK_BYTES = 200 * 2**20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, post_office: PostOffice) -> Iterator[Service]:
    """With a disk of its own where the storage is."""
    folder = tmp_path_factory.mktemp("small")
    disk = folder / "objects"
    disk.mkdir()
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    options = f"size={DISK_BYTES},mode=700,uid={os.geteuid()},gid={os.getegid()}"
    mounted = subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=False)
    needs(mounted.returncode == 0, "the right to mount a disk")
    with running_service(folder, post_office) as service:
        yield service
    subprocess.run([*as_root, "umount", "--lazy", disk], check=True)


@pytest.fixture
def ballast(service: Service) -> Iterator[Path]:
    """Takes all room but 4 MiB."""
    path = service.objects / ".ballast"
    free = os.statvfs(service.objects)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - 4 * 2**20)
    yield path
    path.unlink(missing_ok=True)


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_worker_without_room_tries_again_until_there_is(
    service: Service, person: Person, long_clip: Clip, ballast: Path, promises: Promises
):
    (worker,) = service.start_workers(**QUICK)
    video = person.upload(long_clip.path, plan='{"mode": "all"}')
    wait_until(lambda: failures_of(service, person) >= 2, 60)
    left = {path.name for path in service.objects_of(video)}
    ballast.unlink()
    person.wait_for(video, "COMPLETED", within_seconds=120)

    assert left == {"source"}
    assert worker.is_running()
    promises.check()


@pytest.mark.usefixtures("ballast")
def test_an_upload_without_room_is_refused_and_leaves_nothing(
    service: Service, person: Person, promises: Promises, tmp_path: Path
):
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(16 * 2**20))
    before = files_in(service.objects)
    refused = person.try_upload(large)

    assert (refused.status_code, refused.json()["code"]) == (507, "STORAGE_FULL")
    assert person.videos() == []
    assert service.rows("SELECT 1 FROM uploads") == []
    assert files_in(service.objects) == before
    promises.check()
