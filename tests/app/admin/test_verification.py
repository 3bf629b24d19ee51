"""`verify` lists what storage and database don't share, and nothing else."""

import hashlib
from collections.abc import Callable, Iterator

import httpx2
import pytest
from sqlalchemy import update

from app.accounts.models import User
from app.database import new_id, open_session
from app.extractions.models import Extraction
from app.settings import get_settings
from app.storage import Storage, get_storage, rules
from app.videos import lifecycle as videos
from app.videos import upload_lifecycle as uploads
from app.videos.models import Video
from tests.app.extractions.holding import claim, cut, extraction_of, finish_frames, finish_join
from tests.stores.doubles import Double

VIDEO, ARCHIVE = b"video", b"an archive"[:9]


@pytest.fixture(params=["local", "moto"])
def storage(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    stores: Callable[[str], Double],
) -> Iterator[Storage]:
    """Files, and an S3: the storage of the settings, as the command finds it."""
    double = stores("moto")
    of_s3 = {**double.environment, "STORAGE_URL": double.new_folder()} if request.param == "moto" else {}
    with double.reached(**{"STORAGE_URL": environment["STORAGE_URL"], **of_s3}):
        get_settings.cache_clear()
        get_storage.cache_clear()
        if request.param == "moto":
            of_cloud, place = rules.rules_of(get_settings())
            [*of_cloud.apply(place)]
        yield get_storage()
    get_settings.cache_clear()
    get_storage.cache_clear()


def put(storage: Storage, key: str, content: bytes) -> None:
    with storage.open_writer(key, content_type="application/octet-stream") as writer:
        writer.write(content)


@pytest.fixture
def everything(storage: Storage, user: User, ask) -> dict[str, str]:
    """A video with a finished archive and one that is worked on, with all their objects."""
    for key in [*storage.list("")]:
        storage.delete(key)
    done = ask(user)
    join = finish_frames(cut(claim()))
    put(storage, join.place.archive, ARCHIVE)
    put(storage, join.place.rows, b"rows")
    finish_join(join)
    running = ask(user)
    held = cut(claim())
    put(storage, held.place.entries, b"entries")
    with open_session() as session:
        session.execute(update(Video).values(sha256=hashlib.sha256(VIDEO).hexdigest()))
        session.execute(update(Extraction).values(archive_sha256=hashlib.sha256(ARCHIVE).hexdigest()))
        upload = videos.open_upload(session, user_id=user.id, size_bytes=0)
        resumable = uploads.begin(
            session, user_id=user.id, filename="a.mp4", size_bytes=9, metadata_header="", plan=None
        )
    put(storage, f"videos/{resumable.id}/parts/0-1", b"part")
    for key in (done.video.object_key, running.video.object_key, upload.object_key):
        put(storage, key, VIDEO)
    return {"video": done.video.object_key, "archive": extraction_of(join).archive_key, "held": held.place.entries}


@pytest.mark.parametrize("deep", [(), ("--deep",)])
@pytest.mark.usefixtures("everything")
def test_where_all_is_shared_nothing_is_found(admin, deep):
    done = admin("verify", *deep)

    assert (done.exit_code, done.stdout) == (0, "")


def test_objects_that_nothing_names_are_found(admin, storage: Storage, everything: dict[str, str]):
    stray = [
        f"results/{new_id()}/{new_id()}/1/frames.zip",
        everything["held"].replace("/1/entries", "/0/entries"),
        f"videos/{new_id()}/source",
        "videos/strange",
        "strange",
    ]
    for key in stray:
        put(storage, key, b"stray")
    done = admin("verify")

    assert done.exit_code == 1
    assert sorted(done.stdout.splitlines()) == sorted(f"no row  {key}" for key in stray)


def test_rows_without_their_object_are_found(admin, storage: Storage, everything: dict[str, str]):
    storage.delete(everything["video"])
    put(storage, everything["archive"], b"cut off")
    done = admin("verify")

    assert done.exit_code == 1
    assert done.stdout.splitlines() == [f"no object  {everything['video']}", f"other size  {everything['archive']}"]


def test_other_bytes_are_found_only_by_reading_them(admin, storage: Storage, everything: dict[str, str]):
    for name, content in (("video", VIDEO), ("archive", ARCHIVE)):
        put(storage, everything[name], bytes(reversed(content)))
    shallow, deep = admin("verify"), admin("verify", "--deep")

    assert (shallow.exit_code, shallow.stdout) == (0, "")
    assert deep.exit_code == 1
    assert deep.stdout.splitlines() == [
        f"other content  {everything['video']}",
        f"other content  {everything['archive']}",
    ]


@pytest.mark.parametrize("storage", ["moto"], indirect=True)
@pytest.mark.usefixtures("everything")
def test_a_bucket_that_keeps_unfinished_uploads_for_good_is_told(admin, stores: Callable[[str], Double]):
    address = f"http://127.0.0.1:{stores('moto').port}/frames?lifecycle"
    httpx2.delete(address).raise_for_status()
    without = admin("verify")
    admin("storage-rules", "apply")
    again = admin("verify")

    assert (without.exit_code, again.exit_code) == (1, 0)
    assert without.stdout == "no rule  unfinished uploads stay for good: storage-rules apply\n"


@pytest.mark.parametrize("storage", ["moto"], indirect=True)
@pytest.mark.usefixtures("everything")
def test_who_may_not_ask_for_the_rules_is_told_that_they_are_not_known(admin, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    done = admin("verify")

    assert (done.exit_code, done.stdout) == (0, "")
    assert "Not known: whether the bucket removes unfinished uploads." in done.stderr
