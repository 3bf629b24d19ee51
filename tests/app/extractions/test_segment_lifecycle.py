"""Segments change hands safely: fairly claimed, held by token and lease, and tried as often as their trouble allows."""

import datetime
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from app import task_queue
from app.accounts.models import User
from app.database import open_session
from app.extractions import lifecycle, queries, segment_lifecycle, tasks, work_lifecycle
from app.extractions.claims import Claim, Range
from app.extractions.errors import LeaseLost
from app.extractions.models import Extraction, Segment, Status, Step
from app.extractions.segment_lifecycle import LOSSES
from app.notifications.models import Email
from app.settings import get_settings
from tests.app.extractions.holding import (
    archive_of,
    claim,
    cut,
    extraction_of,
    fail,
    finish_frames,
    finish_join,
    segment_of,
)
from tests.waiting import wait_until

TWO = Range(None, 100), Range(100, None)
PARTS = [Range(number, number + 1) for number in range(10)]


def claim_of(asked) -> Claim:
    """The next claim, which is of this."""
    held = claim()
    assert held.extraction_id == asked.extraction_id
    return held


def make_due(held: Claim) -> None:
    """The pause after a failure is over."""
    with open_session() as session:
        session.execute(update(Segment).where(Segment.id == held.segment_id).values(not_before=func.now()))


def let_lease_run_out(held: Claim) -> None:
    with open_session() as session:
        past = func.now() - datetime.timedelta(seconds=1)
        session.execute(update(Segment).where(Segment.id == held.segment_id).values(lease_expires_at=past))


def expire() -> int:
    with open_session() as session:
        return segment_lifecycle.expire_leases(session)


def is_waited_for_a_lock() -> bool:
    """Whether somebody stands in line in the database."""
    with open_session() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")))


def mails_of(held: Claim) -> list[str]:
    with open_session() as session:
        return [*session.scalars(select(Email.kind).where(Email.extraction_id == held.extraction_id))]


class TestClaims:
    @pytest.mark.usefixtures("quiet")
    def test_nothing_waits(self):
        assert claim() is None

    def test_the_oldest_of_a_user_comes_first(self, user: User, ask):
        asked = [ask(user).extraction_id for _ in range(3)]
        order = [claim().extraction_id for _ in range(3)]

        assert order == asked
        assert claim() is None

    def test_users_take_turns_however_much_one_has_waiting(self, make_owner, ask):
        busy, other = make_owner(), make_owner()
        for _ in range(4):
            ask(busy)
        late = [ask(other).extraction_id for _ in range(2)]
        order = [claim().extraction_id in late for _ in range(4)]

        assert order == [False, True, False, True]

    def test_a_user_runs_no_more_than_allowed(self, make_owner, ask):
        user, other = make_owner(), make_owner()
        most = get_settings().user_extractions_running
        for _ in range(most + 1):
            ask(user)
        held = [claim() for _ in range(most)]
        refused = claim()
        theirs = ask(other)
        of_other = claim()
        fail(held[0], "NOT_A_VIDEO")
        freed = claim()

        assert None not in held
        assert refused is None
        assert of_other.extraction_id == theirs.extraction_id
        assert freed is not None

    def test_of_two_who_claim_at_once_only_one_passes_the_limit(self, user: User, ask):
        most = get_settings().user_extractions_running
        for _ in range(most + 1):
            ask(user)
        for _ in range(most - 1):
            claim()
        with ThreadPoolExecutor(1) as pool:
            with open_session() as session:
                first = segment_lifecycle.claim_segment(session, worker="first")
                second = pool.submit(claim)
                wait_until(lambda: second.done() or is_waited_for_a_lock())
            refused = second.result(timeout=10)

        assert first is not None
        assert refused is None

    def test_a_backlog_does_not_delay_the_first_of_another(self, make_owner, ask):
        busy, other = make_owner(), make_owner()
        long_one = cut(claim_of(ask(busy)), *PARTS)
        backlog = ask(busy)
        with open_session() as session:
            copies = [Extraction(video_id=backlog.video.id, user_id=busy.id, plan={}) for _ in range(500)]
            session.add_all(copies)
            session.flush()
            session.add_all(Segment(video_id=one.video_id, user_id=one.user_id, extraction_id=one.id) for one in copies)
        late = ask(other)
        first = claim()

        assert first.extraction_id == late.extraction_id
        assert claim().extraction_id == long_one.extraction_id

    def test_a_long_video_has_all_workers_that_nobody_else_needs(self, make_owner, ask):
        user, other = make_owner(), make_owner()
        most = get_settings().user_extractions_running
        held = [cut(claim_of(ask(user)), *PARTS)]
        later = ask(user)
        held += [claim() for _ in range(most + 1)]
        theirs = ask(other)
        of_other = claim()
        held += [claim() for _ in range(len(PARTS) - len(held))]

        assert {one.extraction_id for one in held} == {held[0].extraction_id}
        assert sorted(one.number for one in held) == [*range(len(PARTS))]
        assert of_other.extraction_id == theirs.extraction_id
        assert claim().extraction_id == later.extraction_id

    def test_two_who_claim_at_once_never_get_the_same(self, make_owner, ask):
        for _ in range(8):
            ask(make_owner())
        with ThreadPoolExecutor(8) as pool:
            held = [*pool.map(lambda _: claim(), range(8))]

        # One that lost a race may come back empty: the ring of the other's segment is still to come.
        taken = [one.segment_id for one in held if one]
        assert len(taken) == len(set(taken)) >= 1

    def test_each_claim_has_a_higher_token(self, user: User, ask):
        ask(user)
        tokens = []
        for _ in range(3):
            held = claim()
            tokens.append(held.token)
            with open_session() as session:
                segment_lifecycle.give_back(session, held)

        assert tokens == [1, 2, 3]


LATE: dict[str, Callable[[Any, Claim], object]] = {
    "heartbeat": lambda session, held: segment_lifecycle.keep_lease(session, held, frames_done=99),
    "give back": segment_lifecycle.give_back,
    "cut": lambda session, held: work_lifecycle.cut(
        session, held, media={"late": True}, packet_index=b"late", ranges=TWO, frames_total=99
    ),
    "frames": lambda session, held: work_lifecycle.finish_frames(
        session, held, frames=99, entries_bytes=99, warnings=[]
    ),
    "join": lambda session, held: work_lifecycle.finish_join(session, held, archive_of(held)),
    "input": lambda session, held: segment_lifecycle.fail(session, held, code="NOT_A_VIDEO", message="late"),
    "crash": lambda session, held: segment_lifecycle.fail(session, held, code="DECODER_CRASHED", message="late"),
    "infra": lambda session, held: segment_lifecycle.fail(session, held, code="STORAGE_UNAVAILABLE", message="late"),
}


class TestHolding:
    def test_a_heartbeat_renews_the_lease_and_progress_never_falls(self, user: User, ask):
        ask(user)
        held = cut(claim())
        before = segment_of(held).lease_expires_at
        for frames_done in (5, 3):
            with open_session() as session:
                segment_lifecycle.keep_lease(session, held, frames_done=frames_done)

        assert segment_of(held).lease_expires_at > before
        assert segment_of(held).frames_done == 5

    def test_what_is_given_back_counts_nothing(self, user: User, ask):
        ask(user)
        held = claim()
        with open_session() as session:
            segment_lifecycle.give_back(session, held)
        left = segment_of(held)
        again = claim()

        assert (left.status, left.worker, left.lease_expires_at) == (Status.PENDING, None, None)
        assert (left.crashes, left.losses, left.infra_failures) == (0, 0, 0)
        assert again.segment_id == held.segment_id

    @pytest.mark.parametrize("write", LATE.values(), ids=LATE.keys())
    @pytest.mark.parametrize("since", ["claimed again", "waiting again", "cancelled", "deleted"])
    def test_a_late_write_is_refused_and_changes_nothing(self, user: User, ask, write, since):
        asked = ask(user)
        late = claim()
        let_lease_run_out(late)
        expire()
        if since == "claimed again":
            claim()
        elif since == "cancelled":
            with open_session() as session:
                lifecycle.cancel(session, asked.extraction)
        elif since == "deleted":
            with open_session() as session:
                lifecycle.withdraw(session, asked.video)
        before = everything(asked)

        def write_late() -> None:
            with open_session() as session:
                write(session, late)

        with pytest.raises(LeaseLost):
            write_late()

        assert everything(asked) == before
        assert mails_of(late) == []


def everything(asked) -> list[object]:
    """All that the database says of an extraction."""
    with open_session() as session:
        state = tasks.task_of(
            session, Claim(None, 0, asked.video.id, asked.extraction_id, Step.JOIN, 0, Range(), asked.video.user_id)
        )
        rows = [
            *session.scalars(select(Extraction).where(Extraction.id == asked.extraction_id)),
            *session.scalars(select(Segment).where(Segment.extraction_id == asked.extraction_id)),
        ]
        return [state, *({**vars(row), "_sa_instance_state": None} for row in rows)]


class TestEnding:
    def test_the_last_segment_gets_the_join_and_the_join_completes_once(self, user: User, ask):
        ask(user)
        first = cut(claim(), *TWO)
        second = claim()
        nothing = finish_frames(first)
        join = finish_frames(second)
        finish_join(join)
        with pytest.raises(LeaseLost):
            finish_join(join)

        assert nothing is None
        assert (join.step, join.number) == (Step.JOIN, 2)
        assert (extraction_of(join).status, extraction_of(join).frames) == (Status.COMPLETED, 1)
        assert extraction_of(join).archive_key == join.place.archive
        assert mails_of(join) == ["completed"]

    def test_of_two_segments_that_end_at_once_one_gets_the_join(self, user: User, ask):
        for _ in range(10):
            ask(user)
            halves = cut(claim(), *TWO), claim()
            with ThreadPoolExecutor(2) as pool:
                joins = [*filter(None, pool.map(finish_frames, halves))]
            for join in joins:
                finish_join(join)

            assert len(joins) == 1

    def test_a_join_that_was_lost_is_claimed_by_the_next(self, user: User, ask):
        ask(user)
        join = finish_frames(cut(claim()))
        let_lease_run_out(join)
        waiting_again = expire()
        again = claim()
        finish_join(again)

        assert waiting_again == 1
        assert (again.segment_id, again.step, again.token) == (join.segment_id, Step.JOIN, 2)
        assert extraction_of(again).archive_key == again.place.archive

    def test_a_probe_alone_leaves_nothing_to_do(self, user: User, ask):
        asked = ask(user, plan=None)
        held = claim()
        with open_session() as session:
            nothing = work_lifecycle.cut(
                session, held, media={"width": 2}, packet_index=b"index", ranges=[Range()], frames_total=None
            )
        with open_session() as session:
            state = queries.video_state(session, asked.video.id, user_id=user.id)
            left = session.scalar(select(func.count()).where(Segment.video_id == asked.video.id))

        assert nothing is None
        assert (state.status, state.video.media, left) == ("READY", {"width": 2}, 0)

    def test_a_probe_alone_that_fails_is_told_by_the_video(self, user: User, ask):
        asked = ask(user, plan=None)
        fail(claim(), "NOT_A_VIDEO")
        with open_session() as session:
            state = queries.video_state(session, asked.video.id, user_id=user.id)

        assert (state.status, state.error.code) == ("FAILED", "NOT_A_VIDEO")


class TestTries:
    @pytest.mark.parametrize(
        ("code", "tries"), [("NOT_A_VIDEO", 1), ("LIMIT_TIME", 1), ("DECODER_CRASHED", 2), ("STORAGE_UNAVAILABLE", 10)]
    )
    def test_each_cause_has_its_tries(self, user: User, ask, code, tries):
        ask(user)
        tried = 0
        while held := claim():
            tried += 1
            last = held
            fail(held, code)
            make_due(held)

        assert tried == tries
        assert (extraction_of(last).status, extraction_of(last).error_code) == (Status.FAILED, code)
        assert mails_of(last) == ["failed"]

    def test_causes_are_counted_apart(self, user: User, ask):
        ask(user)
        for code in ("DECODER_CRASHED", "STORAGE_UNAVAILABLE"):
            held = claim()
            fail(held, code)
            make_due(held)
        let_lease_run_out(claim())
        expire()
        left = segment_of(held)

        assert (left.crashes, left.infra_failures, left.losses) == (1, 1, 1)
        assert left.status == Status.PENDING

    def test_what_failed_waits_a_little_and_longer_each_time(self, user: User, ask):
        ask(user)
        pauses = []
        for _ in range(4):
            held = claim()
            fail(held, "STORAGE_UNAVAILABLE")
            refused = claim()
            with open_session() as session:
                pauses.append(
                    session.scalar(select(Segment.not_before - func.now()).where(Segment.id == held.segment_id))
                )
            make_due(held)

            assert refused is None
        seconds = [pause.total_seconds() for pause in pauses]

        assert all(2.0**number / 2 - 0.5 < pause <= 2.0**number for number, pause in enumerate(seconds))

    def test_a_segment_that_loses_its_workers_is_given_up(self, user: User, ask):
        ask(user)
        for _ in range(LOSSES):
            held = claim()
            let_lease_run_out(held)
            expire()

        assert claim() is None
        assert (extraction_of(held).status, extraction_of(held).error_code) == (Status.FAILED, "LOST")
        assert segment_of(held).status == Status.FAILED
        assert mails_of(held) == ["failed"]

    def test_a_lease_of_which_the_broker_knows_that_it_was_given_back_is_not_counted(self, user: User, ask):
        ask(user)
        held = claim()
        task_queue.leave_notes(held.note_of_return)
        let_lease_run_out(held)

        assert expire() == 1
        assert (segment_of(held).status, segment_of(held).losses) == (Status.PENDING, 0)
        # Of that holder alone: the next may be lost.
        again = claim()
        let_lease_run_out(again)
        assert expire() == 1
        assert segment_of(again).losses == 1

    def test_a_lease_that_is_kept_does_not_run_out(self, user: User, ask):
        ask(user)
        held = claim()
        let_lease_run_out(held)
        with open_session() as session:
            segment_lifecycle.keep_lease(session, held, frames_done=0)

        assert expire() == 0
        assert segment_of(held).losses == 0

    def test_one_failed_segment_stops_the_others(self, user: User, ask):
        ask(user)
        first, second = cut(claim(), *TWO), claim()
        fail(first, "NO_FRAMES")

        assert segment_of(second).status == Status.CANCELLED
        with pytest.raises(LeaseLost):
            finish_frames(second)


def test_sweeps_ends_cancels_and_deletes_at_once_never_deadlock(user: User, ask):
    for _ in range(6):
        asked, held = [], []
        for _ in range(2):
            asked.append(ask(user))
            held.append((cut(claim(), *TWO), claim()))
        for pair in held:
            let_lease_run_out(pair[1])

        def write(what: Callable[..., object], *values: object) -> str | None:
            try:
                with open_session() as session:
                    what(session, *values)
            except (LeaseLost, lifecycle.ExtractionEnded) as refused:
                return type(refused).__name__
            return None

        def finish(session, one: Claim) -> None:
            work_lifecycle.finish_frames(session, one, frames=1, entries_bytes=1, warnings=[])

        def give_up(session, one: Claim) -> None:
            segment_lifecycle.fail(session, one, code="NO_FRAMES", message="none")

        def leave(session) -> None:
            lifecycle.withdraw_all(session, user_id=user.id)

        with ThreadPoolExecutor(8) as pool:
            deletes = [
                pool.submit(write, lifecycle.withdraw, asked[0].video),
                pool.submit(write, leave),
            ]
            others = [
                pool.submit(write, segment_lifecycle.expire_leases),
                pool.submit(write, finish, held[0][0]),
                pool.submit(write, lifecycle.cancel, asked[1].extraction),
                pool.submit(write, give_up, held[1][0]),
                pool.submit(write, finish, held[0][1]),
                pool.submit(write, segment_lifecycle.expire_leases),
            ]
        # A deadlock would be an OperationalError here.
        deleted, ended = ([end.result() for end in ends] for ends in (deletes, others))

        assert set(deleted) == {None}
        assert set(ended) <= {None, "LeaseLost", "ExtractionEnded"}
        assert {extraction_of(pair[0]).status for pair in held} <= {Status.CANCELLED, Status.FAILED}


@pytest.mark.parametrize(
    ("asked", "at_least", "at_most"),
    [
        (datetime.timedelta(seconds=90), datetime.timedelta(seconds=85), datetime.timedelta(seconds=90)),
        (datetime.timedelta(days=9), datetime.timedelta(minutes=59), datetime.timedelta(hours=1)),
        (datetime.timedelta(0), datetime.timedelta(0), datetime.timedelta(seconds=1)),
    ],
)
def test_a_store_is_left_alone_for_as_long_as_it_asks(
    ask, user, asked: datetime.timedelta, at_least: datetime.timedelta, at_most: datetime.timedelta
):
    """Within reason."""
    held = claim_of(ask(user))
    before = datetime.datetime.now(datetime.UTC)
    with open_session() as session:
        segment_lifecycle.fail(session, held, code="STORAGE_UNAVAILABLE", message="what happened", pause_at_least=asked)
        session.flush()
        now = session.scalar(select(func.clock_timestamp()))

    assert at_least < segment_of(held).not_before - before
    assert segment_of(held).not_before <= now + at_most
