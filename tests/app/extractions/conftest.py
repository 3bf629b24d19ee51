"""Users and videos without HTTP, in a database where nobody else has work waiting."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pytest
from sqlalchemy import delete, select

from app.accounts.models import User
from app.database import new_id, open_session
from app.extractions import admission, lifecycle, retention
from app.extractions.models import Extraction
from app.notifications.models import Email
from app.storage import Storage, get_storage
from app.videos import lifecycle as videos
from app.videos.models import Video
from fotograma.plan import Every, Plan

PLAN = Plan(Every(seconds=1))


@pytest.fixture
def storage(environment: dict[str, str]) -> Storage:  # noqa: ARG001
    return get_storage()


@pytest.fixture
def user(make_owner) -> User:
    return make_owner()


@pytest.fixture
def make_owner(environment: dict[str, str]):  # noqa: ARG001
    """Users who never sign in."""

    def make() -> User:
        with open_session() as session:
            user = User(email=f"{new_id()}@example.com", password_hash="none")
            session.add(user)
        return user

    return make


@dataclass(frozen=True)
class Asked:
    """A video and what was asked of it."""

    video: Video
    extraction: Extraction | None

    @property
    def extraction_id(self) -> uuid.UUID:
        assert self.extraction is not None
        return self.extraction.id


class Ask(Protocol):
    """The `ask` fixture."""

    def __call__(self, user: User, *, plan: Plan | None = PLAN) -> Asked: ...


@pytest.fixture
def ask(quiet: None) -> Ask:  # noqa: ARG001
    """Admit a video of a user, with an extraction unless `plan` is None."""

    def ask(user: User, *, plan: Plan | None = PLAN) -> Asked:
        with open_session() as session:
            upload = videos.open_upload(session, user_id=user.id)
        with open_session() as session:
            state = admission.admit(session, upload, filename="a.mp4", size_bytes=5, sha256="0" * 64, plan=plan)
        return Asked(state.video, state.newest and state.newest.extraction)

    return ask


@pytest.fixture
def quiet(storage: Storage) -> Iterator[None]:
    """No work of other tests waits, and none is left to them."""
    _withdraw_all(storage)
    yield
    _withdraw_all(storage)


def _withdraw_all(storage: Storage) -> None:
    with open_session() as session:
        for video in session.scalars(select(Video).where(Video.deleted_at.is_(None))):
            lifecycle.withdraw(session, video)
        session.execute(delete(Email))
    retention.remove_buried(storage)
