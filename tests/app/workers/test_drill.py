"""The drill of docs/operations.md: the database is lost, and yesterday's goes on over today's bucket."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect
from typer.testing import CliRunner, Result

from app import database
from app.admin.__main__ import app
from app.database import Base, get_engine, open_session
from app.extractions import lifecycle, queries, retention, segment_lifecycle
from app.extractions.errors import LeaseLost
from app.extractions.models import Extraction
from app.extractions.states import VideoState
from app.local_stack import postgres
from app.settings import get_settings
from app.storage import Storage
from app.videos.errors import VideoNotFound
from app.workers.extraction import work_on_next_segment
from tests.app.extractions.holding import claim, cut
from tests.app.workers.conftest import Submit
from tests.clips import Clip


def admin(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def work() -> None:
    while work_on_next_segment(stopping=threading.Event()):
        pass


def state_of(asked: VideoState) -> VideoState:
    with open_session() as session:
        return queries.video_state(session, asked.video.id, user_id=asked.video.user_id)


def newest(asked: VideoState) -> Extraction:
    state = state_of(asked)
    assert state.newest is not None
    return state.newest.extraction


@pytest.fixture
def use_new_database(
    environment: dict[str, str], stack_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """From when it is called, the settings name a database that has nothing yet."""

    def forget() -> None:
        get_engine().dispose()
        for kept in (get_settings, get_engine, database._session_factory):
            kept.cache_clear()

    def use() -> None:
        postgres.create_database(stack_folder / "postgres", port=int(environment["DB_PORT"]), database="drill")
        monkeypatch.setenv("DB_NAME", "drill")
        forget()

    yield use
    monkeypatch.undo()
    forget()


def test_yesterdays_database_over_todays_bucket(
    submit: Submit, clip: Clip, storage: Storage, tmp_path: Path, use_new_database: Callable[[], None]
):
    for key in [*storage.list("")]:
        storage.delete(key)
    # Yesterday: two are done, one is half done, and all is backed up.
    deleted_later, kept = submit(clip.path), submit(clip.path)
    work()
    half_done = submit(clip.path)
    cut(claim())
    backup = tmp_path / "yesterday.backup"
    made = admin("back-up", backup)
    before = newest(kept)
    # Today: one is deleted, one's archive goes, one comes. Then the database is lost.
    with open_session() as session:
        lifecycle.withdraw(session, state_of(deleted_later).video)
    retention.remove_buried(storage)
    storage.delete(before.archive_key)
    todays = submit(clip.path)
    work()
    use_new_database()
    restored = admin("restore", backup)
    found = admin("verify")
    mended = admin("mend")
    work()
    afterwards = admin("verify")

    assert (made.exit_code, restored.exit_code) == (0, 0)
    assert backup.stat().st_mode & 0o077 == 0
    assert "begun anew: 1 extraction\n" in restored.stderr
    assert f"no object  {deleted_later.video.object_key}" in found.stdout
    assert f"no object  {before.archive_key}" in found.stdout
    assert f"withdrawn  {deleted_later.video.object_key}" in mended.stdout
    assert f"extracted again  {before.archive_key}" in mended.stdout
    # What came since the backup is all that is still found, for its owner to be asked for or to be deleted.
    assert {line.split("/")[0] for line in afterwards.stdout.splitlines()} <= {"no row  videos", "no row  results"}
    assert f"no row  {todays.video.object_key}" in afterwards.stdout
    assert newest(kept).archive_sha256 == before.archive_sha256
    assert state_of(half_done).status == "COMPLETED"
    with pytest.raises(VideoNotFound):
        state_of(deleted_later)


def test_a_backup_has_every_table_and_fills_empty_databases_only(
    environment: dict[str, str],  # noqa: ARG001
    tmp_path: Path,
):
    backup = tmp_path / "backup"
    admin("back-up", backup)
    again = admin("back-up", backup)
    onto_itself = CliRunner().invoke(app, ["restore", str(backup)])
    with get_engine().connect() as connection:
        tables = set(inspect(connection).get_table_names()) - {"alembic_version"}

    assert f"of {len(Base.metadata.tables)} tables" in f"of {len(tables)} tables"
    assert again.exit_code == 2
    assert "has rows already" in onto_itself.stderr


def test_a_backup_may_go_through_a_pipe(environment: dict[str, str]):  # noqa: ARG001
    piped = admin("back-up", "-").stdout_bytes
    onto_itself = CliRunner().invoke(app, ["restore", "-"], input=piped)

    assert piped.startswith(b"PK")
    assert "has rows already" in onto_itself.stderr


def test_requeue_takes_work_from_who_holds_it_and_hastens_what_waits(submit: Submit, clip: Clip):
    asked = submit(clip.path)
    held = claim()
    requeued = admin("requeue", newest(asked).id)
    with pytest.raises(LeaseLost), open_session() as session:
        segment_lifecycle.keep_lease(session, held, frames_done=0)
    again = claim()
    with open_session() as session:
        segment_lifecycle.fail(session, again, code="STORAGE_UNAVAILABLE", message="")
    held_back = claim()
    hastened = admin("requeue")

    assert requeued.stdout == "tried now: 1 segment and 0 mails\n"
    assert held_back is None
    assert hastened.stdout.startswith("tried now: 1 segment and ")
    assert claim() is not None


@pytest.mark.usefixtures("quiet")
def test_sweep_now(environment: dict[str, str]):  # noqa: ARG001
    assert admin("sweep", "--hourly").exit_code == 0
