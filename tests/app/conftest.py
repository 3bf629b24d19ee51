"""A storage, users who never sign in, and a database where nobody else has work waiting."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import delete, select

from app.accounts.models import User
from app.database import new_id, open_session
from app.extractions import lifecycle, retention
from app.notifications.models import Email
from app.storage import Storage, get_storage
from app.videos.models import Video


@pytest.fixture
def storage(environment: dict[str, str]) -> Storage:  # noqa: ARG001
    return get_storage()


@pytest.fixture
def make_owner(environment: dict[str, str]) -> Callable[[], User]:  # noqa: ARG001
    """`make_owner()`: a user who never signs in."""

    def make() -> User:
        with open_session() as session:
            user = User(email=f"{new_id()}@example.com", password_hash="none")
            session.add(user)
        return user

    return make


@pytest.fixture
def user(make_owner: Callable[[], User]) -> User:
    return make_owner()


@pytest.fixture
def quiet(storage: Storage) -> Iterator[None]:
    """No work of other tests waits, and none is left to them."""
    _leave_no_work(storage)
    yield
    _leave_no_work(storage)


def _leave_no_work(storage: Storage) -> None:
    with open_session() as session:
        for video in session.scalars(select(Video).where(Video.deleted_at.is_(None))):
            lifecycle.withdraw(session, video)
        session.execute(delete(Email))
    retention.remove_buried(storage)
