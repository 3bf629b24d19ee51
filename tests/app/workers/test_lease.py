"""Holding on to a segment, and letting go of it."""

import threading

from sqlalchemy import select

from app.database import open_session
from app.extractions import queries, segment_lifecycle
from app.extractions.models import Segment, Status
from app.extractions.states import VideoStatus
from app.workers.extraction import work_on_next_segment
from app.workers.lease import Lease
from tests.clips import Clip
from tests.waiting import wait_until


def test_work_that_hangs_is_left_to_others_by_a_worker_that_ends(submit, clip: Clip):
    asked = submit(clip.path)

    def segment() -> Segment:
        with open_session() as session:
            return session.scalars(select(Segment).where(Segment.video_id == asked.video.id)).one()

    with open_session() as session:
        claim = segment_lifecycle.claim_segment(session, worker="hanging")
    stopping = threading.Event()
    with Lease(claim, stopping=stopping):
        assert segment().status == Status.PROCESSING
        stopping.set()
        # Its work does not come to an end all the while.
        wait_until(lambda: segment().status == Status.PENDING, 9)
    losses = segment().losses
    while work_on_next_segment(stopping=threading.Event()):
        pass
    with open_session() as session:
        state = queries.video_state(session, asked.video.id, user_id=asked.video.user_id)

    assert losses == 0
    assert state.status == VideoStatus.COMPLETED
