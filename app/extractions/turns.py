"""Whose turn it is: the oldest waiting segment of the user with the fewest running.

A user's limit is on extractions: one that runs may have as many workers as nobody else's waiting segments need.
However many segments wait, few rows are looked at: those of running extractions, and each user's oldest.
"""

import uuid

from sqlalchemy import CTE, ColumnElement, ScalarSelect, Select, String, cast, func, select, true, union
from sqlalchemy.orm import Session, aliased

from app.accounts.models import User
from app.accounts.quotas import most_running
from app.extractions.models import Segment, Status

SEGMENTS_LOOKED_AT = 100
"""Of each user, to see how many extractions wait: the bell needs no more."""
USER_LOCK = 7_466_105
"""Its number means nothing but "this user's claims, of this project"."""
CLAIMS_AT_ONCE = 64
"""Who asks for a segment at the same moment as so many others may come back empty, and is rung for again."""


def next_segment() -> ScalarSelect[uuid.UUID]:
    """The segment whose turn it is, locked. What others hold or take at this moment is passed over."""
    running = _running().cte("running")
    going_on = select(Segment.id).where(*_due(Segment), Segment.extraction_id.in_(_running_extractions()))
    users = _waiting_users()
    waiting = aliased(Segment)
    oldest = (
        select(waiting.id)
        .where(*_due(waiting), waiting.user_id == users.c.user_id)
        .order_by(waiting.created_at, waiting.id)
        # More than one where users are few: as many workers may ask at once.
        .limit(1 + CLAIMS_AT_ONCE // select(func.count()).select_from(users).scalar_subquery())
        .lateral()
    )
    of_users = (
        select(oldest.c.id)
        .select_from(users)
        .outerjoin(running, running.c.user_id == users.c.user_id)
        # Of whom nothing runs, no limit is in the way: their rows needn't be looked at.
        .outerjoin(User, User.id == running.c.user_id)
        .join(oldest, true())
        .where(func.coalesce(running.c.extractions, 0) < most_running())
    )
    candidates = union(going_on, of_users).subquery()
    return (
        select(Segment.id)
        .join(candidates, candidates.c.id == Segment.id)
        .outerjoin(running, running.c.user_id == Segment.user_id)
        # Once more, for the database asks again of a row that has changed under its hands.
        .where(*_due(Segment))
        .order_by(func.coalesce(running.c.segments, 0), Segment.created_at, Segment.id)
        .limit(1)
        .with_for_update(of=Segment, skip_locked=True)
        .scalar_subquery()
    )


def is_within_limit(session: Session, claimed: Segment) -> bool:
    """Whether a segment that was just claimed in this transaction may run: of claims at the same moment, none sees the
    others, so that here they wait for each other and count again."""
    session.execute(select(func.pg_advisory_xact_lock(USER_LOCK, func.hashtext(cast(claimed.user_id, String)))))
    others = (
        select(_work(Segment).label("work"))
        .where(Segment.user_id == claimed.user_id, Segment.status == Status.PROCESSING, Segment.id != claimed.id)
        .distinct()
        .subquery()
    )
    of_same = func.count().filter(others.c.work == claimed.extraction_id)
    most = select(most_running()).where(User.id == claimed.user_id).scalar_subquery()
    running, going_on, most_at_once = session.execute(select(func.count(), of_same, most).select_from(others)).one()
    is_within: bool = going_on > 0 or running < most_at_once
    return is_within


def claimable(session: Session) -> int:
    """How many segments workers could take now, each user's limit considered; roughly, where very many wait."""
    going_on = session.scalar(
        select(func.count()).where(*_due(Segment), Segment.extraction_id.in_(_running_extractions()))
    )
    running = _running().cte("running")
    users = _waiting_users()
    waiting = aliased(Segment)
    work = _work(waiting)
    oldest = (
        select(work.label("work"))
        .where(*_due(waiting), waiting.user_id == users.c.user_id, work.not_in(_running_extractions()))
        .order_by(waiting.created_at, waiting.id)
        .limit(SEGMENTS_LOOKED_AT)
        .lateral()
    )
    # Of an extraction that nobody works on, one segment is rung for; the next sweep rings for its others.
    of_users = session.execute(
        select(
            func.count(func.distinct(oldest.c.work)), func.coalesce(func.max(running.c.extractions), 0), most_running()
        )
        .select_from(users)
        .join(User, User.id == users.c.user_id)
        .join(oldest, true())
        .outerjoin(running, running.c.user_id == users.c.user_id)
        .group_by(User.id)
    )
    begin: int = sum(min(new, max(most - begun, 0)) for new, begun, most in of_users)
    return begin + (going_on or 0)


def _waiting_users() -> CTE:
    """Whose segments wait: from each user to the next in the index, past all segments that lie between."""
    waiting = select(Segment.user_id).where(Segment.status == Status.PENDING).order_by(Segment.user_id).limit(1)
    users = select(waiting.scalar_subquery().label("user_id")).cte("waiting_users", recursive=True)
    following = waiting.where(Segment.user_id > users.c.user_id).scalar_subquery()
    return users.union_all(select(following).where(users.c.user_id.is_not(None)))


def _due(segment: type[Segment]) -> tuple[ColumnElement[bool], ...]:
    return segment.status == Status.PENDING, segment.not_before <= func.now()


def _work(segment: type[Segment]) -> ColumnElement[uuid.UUID]:
    """What counts once, however many segments it has: an extraction, or the probe of a video asked nothing of."""
    return func.coalesce(segment.extraction_id, segment.id)


def _running() -> Select[uuid.UUID, int, int]:
    """How much of each user runs."""
    return (
        select(
            Segment.user_id,
            func.count().label("segments"),
            func.count(func.distinct(_work(Segment))).label("extractions"),
        )
        .where(Segment.status == Status.PROCESSING)
        .group_by(Segment.user_id)
    )


def _running_extractions() -> Select[uuid.UUID | None]:
    running = aliased(Segment)
    return select(running.extraction_id).where(running.status == Status.PROCESSING, running.extraction_id.is_not(None))
