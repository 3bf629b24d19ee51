"""The log takes no changes, and is kept for its time."""

import datetime

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DatabaseError

from app import audit
from app.accounts.models import User
from app.database import open_session
from app.settings import get_settings


def test_what_is_written_stays_until_its_time_is_over(user: User) -> None:
    days = get_settings().audit_retention_days
    with open_session() as session:
        audit.record(session, "signed_in", user_id=user.id)
        for age in (days - 1, days + 1):
            at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=age)
            session.add(audit.Entry(user_id=user.id, action="signed_in", address=None, detail={"age": age}, at=at))

    with pytest.raises(DatabaseError, match="takes no changes"), open_session() as session:
        session.execute(update(audit.Entry).where(audit.Entry.user_id == user.id).values(address="elsewhere"))
    with open_session() as session:
        audit.forget_old(session)

    with open_session() as session:
        kept = audit.read(session, user_id=user.id).items
    assert sorted(entry.detail.get("age", 0) for entry in kept) == [0, days - 1]
