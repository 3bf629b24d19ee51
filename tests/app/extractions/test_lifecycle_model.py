"""Whatever happens in whatever order, an extraction ends once: with one archive and one mail, or a clear failure.

Chance plays users, workers, the sweep and the clock against the real tables; after each move everything is looked at.
FOTOGRAMA_MODEL says how many games are played, each time others; without it they are few and always the same.
"""

import datetime
import itertools
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import ColumnElement, case, delete, false, func, select, update
from sqlalchemy.orm import Session

from app import task_queue
from app.accounts.models import User
from app.database import open_session
from app.extractions import lifecycle, listing, segment_lifecycle, tasks, turns, work_lifecycle
from app.extractions.claims import Claim, Range
from app.extractions.errors import ExtractionEnded, LeaseLost
from app.extractions.models import Extraction, Segment, Status, Step
from app.extractions.states import Progress
from app.notifications.models import Email
from app.videos.models import Video
from tests.app.extractions import holding
from tests.app.extractions.conftest import PLAN, Asked

GAMES = int(os.environ.get("FOTOGRAMA_MODEL") or 0)
OPEN = {Status.PENDING, Status.PROCESSING}
MOST_OPEN = 3
MOST_MOVES_TO_THE_END = 200

T = TypeVar("T")
Draw = Callable[..., Any]


def one_of(items: Sequence[T]) -> st.SearchStrategy[T]:
    """Any of them; told by its place, for what it is says little."""
    return st.integers(0, len(items) - 1).map(items.__getitem__)


@dataclass
class Worker:
    """Who was given a segment, and may not know that it is another's by now."""

    claim: Claim
    holds: bool = True


@dataclass
class Tables:
    """All that the database says of this game."""

    videos: dict[uuid.UUID, dict[str, Any]] = field(default_factory=dict)
    extractions: dict[uuid.UUID, dict[str, Any]] = field(default_factory=dict)
    segments: dict[uuid.UUID, dict[str, Any]] = field(default_factory=dict)
    emails: dict[uuid.UUID, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Session, users: list[User]) -> "Tables":
        ids = [user.id for user in users]
        return cls(
            *(
                {row.id: dict(row._mapping) for row in session.execute(select(model.__table__).where(of_users))}
                for model, of_users in (
                    (Video, Video.user_id.in_(ids)),
                    (Extraction, Extraction.user_id.in_(ids)),
                    (Segment, Segment.user_id.in_(ids)),
                    (Email, Email.user_id.in_(ids)),
                )
            )
        )

    def segments_of(self, extraction_id: uuid.UUID) -> list[dict[str, Any]]:
        return [row for row in self.segments.values() if row["extraction_id"] == extraction_id]


class Game(RuleBasedStateMachine):
    """The moves that users, workers, the sweep and the clock have."""

    def __init__(self, make_owner: Callable[[], User], ask: Callable[..., Asked]) -> None:
        super().__init__()
        self.users = [make_owner(), make_owner()]
        self.ask = ask
        self.asked: list[Asked] = []
        self.everyone: list[Worker] = []
        self.frames_of: dict[uuid.UUID, int] = {}
        self.told_of: dict[uuid.UUID, int] = {}
        """The furthest that was heard of each segment."""
        self.losses_of: Counter[uuid.UUID] = Counter()
        self.before = Tables()
        self.progress: dict[uuid.UUID, Progress] = {}

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """One of the moves that are possible now, each as likely as the others."""
        # One rule and not one a move: Hypothesis leaves most rules out of most games, so that few games have them all.
        possible = {
            self.ask_for_frames: len(self._open()) < MOST_OPEN,
            self.put_an_end_to_it: len(self._open()) > 1,
            # Also where nobody waits: then there is nothing to be had.
            self.claim: True,
            self.probe_and_cut: self._workers(step=Step.PROBE),
            self.take_frames: self._workers(step=Step.FRAMES),
            self.finish_frames: self._workers(step=Step.FRAMES),
            self.uncut: self._workers(step=Step.FRAMES),
            self.finish_join: self._workers(step=Step.JOIN),
            self.fail: self._workers(),
            self.give_back: self._workers(),
            self.come_too_late: self._workers(holds=False),
            self.fall_silent: self._workers(),
            self.be_overtaken: self._workers(),
            self.sweep: self._workers(),
            self.end_pauses: self._waiting(),
        }
        moves = {move.__name__: move for move, is_possible in possible.items() if is_possible}
        moves[data.draw(st.sampled_from([*moves]))](data.draw)

    # The users

    def ask_for_frames(self, draw: Draw) -> None:
        user = draw(st.sampled_from(self.users))
        # Now and then the probe alone.
        plan = draw(st.sampled_from([PLAN, PLAN, PLAN, None]))
        self.asked.append(self.ask(user, plan=plan))

    def put_an_end_to_it(self, draw: Draw) -> None:
        how = draw(st.sampled_from(["cancel", "cancel late", "delete"]))
        asked = draw(one_of(self.asked if how == "cancel late" else self._open()))
        if how == "delete":
            with open_session() as session:
                lifecycle.withdraw(session, session.get_one(Video, asked.video.id))
            self._nobody_holds(asked.video.id)
        elif asked.extraction is not None:
            self._cancel(asked)

    # The workers

    def claim(self, _: Draw) -> None:
        self._claim()

    def probe_and_cut(self, draw: Draw) -> None:
        worker = draw(one_of(self._workers(step=Step.PROBE)))
        frames = draw(st.lists(st.integers(0, 9), min_size=1, max_size=4), label="frames of each part")
        self._cut(worker, frames, draw(st.sampled_from([-3, 0, 0, 0, 3, None]), label="foreseen too many"))

    def take_frames(self, draw: Draw) -> None:
        """Some heartbeats; who begins anew is behind the one before."""
        worker = draw(one_of(self._workers(step=Step.FRAMES)))
        for share in draw(st.lists(st.floats(0, 1), min_size=1, max_size=2)):
            self._heartbeat(worker, share)
            self._look()

    def finish_frames(self, draw: Draw) -> None:
        self._finish_frames(draw(one_of(self._workers(step=Step.FRAMES))))

    def uncut(self, draw: Draw) -> None:
        worker = draw(one_of(self._workers(step=Step.FRAMES)))
        # Something is done by then, which must be counted once.
        self._heartbeat(worker, 1.0)
        self._look()
        self._uncut(worker, draw(st.integers(0, 30), label="frames of the whole"))

    def finish_join(self, draw: Draw) -> None:
        self._finish_join(draw(one_of(self._workers(step=Step.JOIN))))

    def fail(self, draw: Draw) -> None:
        worker = draw(one_of(self._workers()))
        self._fail(worker, draw(st.sampled_from(["NOT_A_VIDEO", "DECODER_CRASHED", "STORAGE_UNAVAILABLE"])))

    def give_back(self, draw: Draw) -> None:
        self._give_back(draw(one_of(self._workers())))

    def come_too_late(self, draw: Draw) -> None:
        self._write_late(draw(one_of(self._workers(holds=False))), draw)

    # The clock and the sweep

    def fall_silent(self, draw: Draw) -> None:
        self._fall_silent(draw(one_of(self._workers())))

    def be_overtaken(self, draw: Draw) -> None:
        """Another has the very segment by now, and the one before comes back."""
        late = draw(one_of(self._workers()))
        self._fall_silent(late)
        self._end_pauses()
        self._look()
        segment = self.before.segments.get(late.claim.segment_id)
        while segment is not None and segment["status"] == Status.PENDING and self._claim():
            self._look()
            segment = self.before.segments[late.claim.segment_id]
        self._write_late(late, draw)

    def sweep(self, _: Draw) -> None:
        """Everybody's lease is good, so that there is nothing to be found."""
        self._let_leases_run_out(false())
        self._look()
        with open_session() as session:
            assert segment_lifecycle.expire_leases(session) == 0
        with open_session() as session:
            assert Tables.of(session, self.users) == self.before

    def end_pauses(self, _: Draw) -> None:
        self._end_pauses()

    # What holds after every move

    @invariant()
    def nothing_is_lost_or_done_twice(self) -> None:
        self._look()

    def _look(self) -> None:
        with open_session() as session:
            now = Tables.of(session, self.users)
            pages = [
                listing.list_videos(session, user_id=user.id, status=None, cursor=None, limit=200)
                for user in self.users
            ]
        for page in pages:
            for seen in page.items:
                if seen.newest is not None:
                    parts = [part for part in now.segments_of(seen.newest.extraction.id) if part["step"] == Step.FRAMES]
                    assert seen.newest.frames_done == sum(self.told_of.get(part["id"], 0) for part in parts)
                    self._check_progress(now.extractions[seen.newest.extraction.id], seen.progress)
        for extraction in now.extractions.values():
            self._check_end(extraction, now)
        for segment_id, segment in now.segments.items():
            assert (segment["lease_expires_at"] is not None) == (segment["status"] == Status.PROCESSING)
            assert segment["losses"] == self.losses_of[segment_id]
            assert segment["token"] >= self.before.segments.get(segment_id, segment)["token"]
        # A probe alone ends with its row, and each video without an extraction is probed, given up or being looked at.
        asked = {extraction["video_id"] for extraction in now.extractions.values()}
        looked_at = {segment["video_id"] for segment in now.segments.values() if segment["status"] in OPEN}
        for video_id in now.videos.keys() - asked - looked_at:
            video = now.videos[video_id]
            assert video["probed_at"] or video["error_code"] or video["deleted_at"]
        self.before = now

    def _check_end(self, extraction: dict[str, Any], now: Tables) -> None:
        segments = now.segments_of(extraction["id"])
        mails = [mail["kind"] for mail in now.emails.values() if mail["extraction_id"] == extraction["id"]]
        status = extraction["status"]
        was = self.before.extractions.get(extraction["id"])
        if was is not None and was["status"] not in OPEN:
            assert extraction == was, "what has ended changes no more"
        assert mails == {Status.COMPLETED: ["completed"], Status.FAILED: ["failed"]}.get(status, [])
        assert (extraction["archive_key"] is not None) == (status == Status.COMPLETED)
        assert (extraction["error_code"] is not None) == (status == Status.FAILED)
        assert (extraction["completed_at"] is None) == (status in OPEN)
        assert any(segment["status"] in OPEN for segment in segments) == (status in OPEN), "somebody has it, or waits"
        joins = [segment for segment in segments if segment["step"] == Step.JOIN]
        assert len(joins) <= 1
        if joins:
            assert {segment["status"] for segment in segments if segment["step"] == Step.FRAMES} == {Status.COMPLETED}

    def _check_progress(self, extraction: dict[str, Any], progress: Progress) -> None:
        was = self.progress.get(extraction["id"], Progress())
        if extraction["status"] in OPEN:
            assert progress.frames_done >= was.frames_done
            assert progress.frames_total == was.frames_total or was.frames_total is None
        assert progress.fraction >= was.fraction
        assert (progress.fraction == 1) == (extraction["status"] == Status.COMPLETED)
        assert progress.frames_total is None or progress.frames_done <= progress.frames_total
        self.progress[extraction["id"]] = progress

    # The end of a game

    def teardown(self) -> None:
        """All is quiet from now on: a single worker brings all that is left to its end."""
        try:
            for worker in self.everyone:
                worker.holds = False
            for _ in range(MOST_MOVES_TO_THE_END):
                self._look()
                self.losses_of.update(
                    segment_id
                    for segment_id, segment in self.before.segments.items()
                    if segment["status"] == Status.PROCESSING
                )
                self._let_leases_run_out(self._of_us(Segment))
                with open_session() as session:
                    segment_lifecycle.expire_leases(session)
                self._end_pauses()
                claim = holding.claim()
                if claim is None:
                    break
                last = Worker(claim)
                while last.holds:
                    self._work(last)
            self._look()
            assert not [row for row in self.before.extractions.values() if row["status"] in OPEN]
        finally:
            with open_session() as session:
                session.execute(delete(Video).where(self._of_us(Video)))

    # How moves are made

    def _open(self) -> list[Asked]:
        open_ones = {segment["video_id"] for segment in self.before.segments.values() if segment["status"] in OPEN}
        return [asked for asked in self.asked if asked.video.id in open_ones]

    def _waiting(self) -> list[dict[str, Any]]:
        return [segment for segment in self.before.segments.values() if segment["status"] == Status.PENDING]

    def _workers(self, *, holds: bool = True, step: Step | None = None) -> list[Worker]:
        return [worker for worker in self.everyone if worker.holds == holds and step in (None, worker.claim.step)]

    def _move(self, worker: Worker, write: Callable[[Session], T]) -> T | None:
        """What came of it where it was the worker's to make; if not, it must be refused and change nothing."""
        try:
            with open_session() as session:
                done = write(session)
        except LeaseLost:
            assert not worker.holds
            with open_session() as session:
                assert Tables.of(session, self.users) == self.before
            return None
        assert worker.holds
        return done

    def _claim(self) -> bool:
        with open_session() as session:
            claimable = turns.claimable(session)
        claim = holding.claim()
        assert (claim is None) == (claimable == 0)
        if claim is None:
            return False
        was = self.before.segments[claim.segment_id]
        assert was["status"] == Status.PENDING
        assert claim.token == was["token"] + 1
        self.everyone.append(Worker(claim))
        return True

    def _fall_silent(self, worker: Worker) -> None:
        self._let_leases_run_out(Segment.id == worker.claim.segment_id)
        with open_session() as session:
            waiting_again = segment_lifecycle.expire_leases(session)
        assert waiting_again <= 1
        self.losses_of[worker.claim.segment_id] += 1
        worker.holds = False
        self._nobody_holds_what_ended()

    def _write_late(self, worker: Worker, draw: Draw) -> None:
        write = {
            "heartbeat": lambda: self._heartbeat(worker, 1.0),
            "give back": lambda: self._give_back(worker),
            "fail": lambda: self._fail(worker, "NOT_A_VIDEO"),
            "work": lambda: self._work(worker),
            "uncut": lambda: self._uncut(worker, 9),
        }
        write[draw(st.sampled_from([*write]))]()

    def _tell(self, segment_id: uuid.UUID, frames: int) -> None:
        self.told_of[segment_id] = max(self.told_of.get(segment_id, 0), frames)

    def _cancel(self, asked: Asked) -> None:
        was_open = self.before.extractions[asked.extraction_id]["status"] in OPEN
        try:
            with open_session() as session:
                lifecycle.cancel(session, session.get_one(Extraction, asked.extraction_id))
        except ExtractionEnded:
            assert not was_open
        else:
            assert was_open
            self._nobody_holds(asked.video.id)

    def _heartbeat(self, worker: Worker, share: float) -> None:
        done = int(share * self.frames_of.get(worker.claim.segment_id, 0))
        self._move(worker, lambda session: segment_lifecycle.keep_lease(session, worker.claim, frames_done=done))
        if worker.holds:
            self._tell(worker.claim.segment_id, done)

    def _give_back(self, worker: Worker) -> None:
        self._move(worker, lambda session: segment_lifecycle.give_back(session, worker.claim))
        worker.holds = False

    def _fail(self, worker: Worker, code: str) -> None:
        self._move(
            worker, lambda session: segment_lifecycle.fail(session, worker.claim, code=code, message="what happened")
        )
        worker.holds = False
        self._nobody_holds_what_ended()
        self._stop_the_clock()

    def _work(self, worker: Worker) -> None:
        """What comes next where nothing goes wrong."""
        if worker.claim.step == Step.PROBE:
            self._cut(worker, [1, 2], 0)
        elif worker.claim.step == Step.FRAMES:
            self._finish_frames(worker)
        else:
            self._finish_join(worker)

    def _finish_frames(self, worker: Worker) -> None:
        claim, done = worker.claim, self.frames_of[worker.claim.segment_id]
        if worker.holds:
            self._tell(claim.segment_id, done)
        join = self._move(
            worker,
            lambda session: work_lifecycle.finish_frames(session, claim, frames=done, entries_bytes=5, warnings=[]),
        )
        self._goes_on(worker, join)

    def _finish_join(self, worker: Worker) -> None:
        claim = worker.claim
        assert claim.extraction_id is not None
        with open_session() as session:
            parts = Tables.of(session, self.users).segments_of(claim.extraction_id)
            joined = [part.place for part in tasks.finished_segments(session, claim)]
        if worker.holds:
            frames = sorted((part for part in parts if part["step"] == Step.FRAMES), key=itemgetter("number"))
            assert [(place.segment_id, place.token) for place in joined] == [
                (part["id"], part["token"]) for part in frames
            ], "each part once, as its last holder left it"
        self._move(worker, lambda session: work_lifecycle.finish_join(session, claim, holding.archive_of(claim)))
        worker.holds = False

    def _uncut(self, worker: Worker, frames: int) -> None:
        claim = worker.claim
        if claim.step != Step.FRAMES or claim.range == Range():
            return
        if whole := self._move(worker, lambda session: work_lifecycle.uncut(session, claim)):
            of_all = (part["id"] for part in self.before.segments_of(whole.extraction_id))
            self.told_of[claim.segment_id] = sum(self.told_of.get(segment_id, 0) for segment_id in of_all)
            self._nobody_holds(claim.video_id)
            self._goes_on(worker, whole)
            self.frames_of[claim.segment_id] = frames

    def _cut(self, worker: Worker, frames: list[int], foreseen: int | None) -> None:
        claim = worker.claim
        marks = [None, *range(1, len(frames)), None]
        first = self._move(
            worker,
            lambda session: work_lifecycle.cut(
                session,
                claim,
                media={},
                packet_index=b"index",
                ranges=[Range(*ends) for ends in itertools.pairwise(marks)],
                frames_total=None if foreseen is None else max(0, sum(frames) + foreseen),
            ),
        )
        self._goes_on(worker, first)
        if first is not None:
            with open_session() as session:
                for segment in session.scalars(select(Segment).where(Segment.extraction_id == claim.extraction_id)):
                    self.frames_of[segment.id] = frames[segment.number]

    def _goes_on(self, worker: Worker, claim: Claim | None) -> None:
        worker.holds = claim is not None
        worker.claim = claim or worker.claim

    def _nobody_holds(self, video_id: uuid.UUID) -> None:
        for worker in self.everyone:
            worker.holds = worker.holds and worker.claim.video_id != video_id

    def _nobody_holds_what_ended(self) -> None:
        with open_session() as session:
            for video_id in session.scalars(
                select(Extraction.video_id).where(self._of_us(Extraction), Extraction.status.not_in(OPEN))
            ):
                self._nobody_holds(video_id)

    def _let_leases_run_out(self, which: ColumnElement[bool]) -> None:
        past, future = (func.now() + datetime.timedelta(hours=hours) for hours in (-1, 1))
        held = self._of_us(Segment), Segment.status == Status.PROCESSING
        with open_session() as session:
            session.execute(update(Segment).where(*held).values(lease_expires_at=case((which, past), else_=future)))

    def _end_pauses(self) -> None:
        with open_session() as session:
            session.execute(update(Segment).where(self._of_us(Segment)).values(not_before=func.now()))

    def _stop_the_clock(self) -> None:
        """A pause ends when the game says so, however slow this machine is."""
        with open_session() as session:
            session.execute(
                update(Segment)
                .where(self._of_us(Segment), Segment.not_before > func.now())
                .values(not_before=func.now() + datetime.timedelta(hours=1))
            )

    def _of_us(self, model: type[Video | Extraction | Segment | Email]) -> ColumnElement[bool]:
        return model.user_id.in_([user.id for user in self.users])


@pytest.fixture
def no_rings_left(environment: dict[str, str]) -> Iterator[None]:  # noqa: ARG001
    """The next worker shall not be kept busy with rings for what is gone."""
    yield
    task_queue.get_celery().control.purge()


@pytest.mark.timeout(0 if GAMES else 300)
@pytest.mark.usefixtures("no_rings_left")
def test_every_order_of_events_ends_well_and_once(make_owner: Callable[[], User], ask: Callable[..., Asked]) -> None:
    run_state_machine_as_test(
        lambda: Game(make_owner, ask),
        settings=settings(
            max_examples=GAMES or 16,
            derandomize=not GAMES,
            database=None,
            deadline=None,
            stateful_step_count=30,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
