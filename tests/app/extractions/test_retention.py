"""What is not kept goes whole, and nothing else does."""

import datetime

import pytest
from sqlalchemy import func, select, update

from app.accounts.models import User
from app.database import new_id, open_session
from app.errors import Unauthenticated
from app.extractions import admission, lifecycle, queries, retention, segment_lifecycle, work_lifecycle
from app.extractions.models import Extraction, Status
from app.notifications.models import Email
from app.storage import Storage
from app.videos import lifecycle as videos
from app.videos.models import Video
from fotograma.plan import Every, Plan
from tests.app.extractions.holding import archive_of, claim, cut, finish_frames


def admit(storage: Storage, user: User) -> tuple[Video, Extraction]:
    """A video with an extraction, and objects of both."""
    with open_session() as session:
        upload = videos.open_upload(session, user_id=user.id, size_bytes=0)
    with open_session() as session:
        state = admission.admit(
            session, upload, filename="a.mp4", size_bytes=5, sha256="0" * 64, plan=Plan(Every(seconds=1))
        )
    assert state.newest is not None
    for key in (state.video.object_key, f"results/{state.newest.extraction.id}/{new_id()}/1/entries"):
        with storage.open_writer(key, content_type="application/octet-stream") as writer:
            writer.write(b"bytes")
    return state.video, state.newest.extraction


def objects_of(storage: Storage, video: Video, extraction: Extraction) -> int:
    return len([*storage.list(f"videos/{video.id}"), *storage.list(f"results/{extraction.id}")])


def test_only_expired_videos_go(storage: Storage, user: User):
    (kept, kept_extraction), (expired, expired_extraction) = admit(storage, user), admit(storage, user)
    with open_session() as session:
        past = func.now() - datetime.timedelta(seconds=1)
        session.execute(update(Video).where(Video.id == expired.id).values(expires_at=past))

    for _ in range(2):
        retention.bury_expired()
    with open_session() as session:
        stopped = session.get_one(Extraction, expired_extraction.id).status
    for _ in range(2):
        retention.remove_buried(storage)

    assert stopped == Status.CANCELLED
    assert objects_of(storage, expired, expired_extraction) == 0
    assert objects_of(storage, kept, kept_extraction) == 2
    with open_session() as session:
        assert session.get(Video, expired.id) is None
        assert session.get(Extraction, expired_extraction.id) is None
        assert session.get_one(Extraction, kept_extraction.id).status == Status.PENDING


def test_an_archive_counts_as_stored_until_its_video_is_deleted(storage: Storage, user: User):
    video, extraction = admit(storage, user)
    with open_session() as session:
        session.execute(update(Extraction).where(Extraction.id == extraction.id).values(archive_bytes=100))
        stored = queries.stored_bytes(session, user_id=user.id)
        videos.bury(session, video)

    with open_session() as session:
        assert (stored, queries.stored_bytes(session, user_id=user.id)) == (105, 0)


def test_who_has_left_leaves_no_video_behind(user: User):
    with open_session() as session:
        upload = videos.open_upload(session, user_id=user.id, size_bytes=0)
        session.delete(user)

    with open_session() as session, pytest.raises(Unauthenticated):
        admission.admit(session, upload, filename="a.mp4", size_bytes=5, sha256="0" * 64, plan=None)


def put(storage: Storage, *keys: str) -> None:
    for key in keys:
        with storage.open_writer(key, content_type="application/octet-stream") as writer:
            writer.write(b"bytes")


def test_leftovers_of_dead_holders_go_and_what_is_held_stays(storage: Storage, user: User, ask):
    asked = ask(user)
    dead = claim()
    with open_session() as session:
        segment_lifecycle.give_back(session, dead)
    live = claim()
    put(storage, dead.place.entries, live.place.entries, live.place.rows)

    for _ in range(2):
        retention.remove_leftovers(storage)

    assert {*storage.list(f"results/{asked.extraction_id}")} == {live.place.entries, live.place.rows}


def test_of_a_completed_extraction_the_archive_stays_with_its_rows_and_thumbnails(storage: Storage, user: User, ask):
    asked = ask(user)
    held = cut(claim())
    of_segment = {held.place.entries, held.place.rows, held.place.thumbnails}
    put(storage, *of_segment)
    join = finish_frames(held)
    of_join = {join.place.archive, join.place.rows, join.place.thumbnails}
    put(storage, *of_join)
    retention.remove_leftovers(storage)
    before = {*storage.list(f"results/{asked.extraction_id}")}
    with open_session() as session:
        work_lifecycle.finish_join(session, join, archive_of(join))
    retention.remove_leftovers(storage)

    assert before == of_segment | of_join
    assert {*storage.list(f"results/{asked.extraction_id}")} == of_join


def test_objects_that_are_none_of_ours_stay(storage: Storage):
    odd = {"results/readme", "results/a/b/c/d", f"results/{new_id()}/{new_id()}/x/entries"}
    put(storage, *odd)

    retention.remove_leftovers(storage)
    left = odd & {*storage.list("results")}
    for key in odd:
        storage.delete(key)

    assert left == odd


def complete(user: User, ask, storage: Storage) -> Video:
    """A video with a finished archive."""
    video = ask(user).video
    join = finish_frames(cut(claim()))
    put(storage, join.place.archive)
    with open_session() as session:
        work_lifecycle.finish_join(session, join, archive_of(join))
    return video


def let_expire_in(days: float, *videos: Video, kept_days: int = 30) -> None:
    with open_session() as session:
        expires_at = func.now() + datetime.timedelta(days=days)
        created_at = expires_at - datetime.timedelta(days=kept_days)
        of_them = Video.id.in_([video.id for video in videos])
        session.execute(update(Video).where(of_them).values(expires_at=expires_at, created_at=created_at))


def warned_of() -> list[Email]:
    with open_session() as session:
        return [*session.scalars(select(Email).where(Email.kind == "expiring"))]


def test_owners_are_warned_once_three_days_before_an_archive_goes(storage: Storage, make_owner, ask):
    owner = make_owner()
    with open_session() as session:
        session.execute(update(User).where(User.id == owner.id).values(locale="pt-BR"))
    soon, later, gone = (complete(owner, ask, storage) for _ in range(3))
    nothing_to_lose = ask(owner).video
    let_expire_in(2.9, soon, nothing_to_lose)
    let_expire_in(3.1, later)
    let_expire_in(-1, gone)
    for _ in range(2):
        retention.warn_of_expiry()
    (mail,) = warned_of()

    assert (mail.video_id, mail.recipient, mail.locale) == (soon.id, owner.email, "pt-BR")
    assert datetime.datetime.fromisoformat(mail.facts["expires_at"]) > datetime.datetime.now(datetime.UTC)
    assert b"".join(storage.read(mail.facts["archive_key"])) == b"bytes"


def test_nobody_is_warned_where_all_is_kept_for_days_only(storage: Storage, user: User, ask):
    let_expire_in(2, complete(user, ask, storage), kept_days=3)
    retention.warn_of_expiry()

    assert warned_of() == []


def test_what_expires_makes_room(storage: Storage, user: User, ask):
    video = complete(user, ask, storage)
    with open_session() as session:
        before = queries.stored_bytes(session, user_id=user.id)
    let_expire_in(-1, video)
    retention.bury_expired()
    with open_session() as session:
        after = queries.stored_bytes(session, user_id=user.id)

    assert (before, after) == (14, 0)


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_what_ended_without_an_archive_leaves_nothing_for_long(storage: Storage, user: User, ask, end: str):
    asked, running = ask(user), ask(user)
    ended, held = cut(claim()), cut(claim())
    put(storage, ended.place.entries, held.place.entries)
    with open_session() as session:
        if end == "cancelled":
            lifecycle.cancel(session, asked.extraction)
        else:
            lifecycle.fail(session, asked.extraction_id, code="LIMIT_TIME", message="too long")
    retention.remove_ended(storage)
    at_once = [*storage.list(f"results/{asked.extraction_id}")]
    with open_session() as session:
        past = func.now() - datetime.timedelta(minutes=1)
        session.execute(update(Extraction).values(completed_at=past))
    for _ in range(2):
        retention.remove_ended(storage)

    assert at_once == [ended.place.entries]
    assert [*storage.list(f"results/{asked.extraction_id}")] == []
    assert [*storage.list(f"results/{running.extraction_id}")] == [held.place.entries]
