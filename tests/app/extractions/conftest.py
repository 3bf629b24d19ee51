"""Videos without HTTP and without bytes."""

import uuid
from dataclasses import dataclass
from typing import Protocol

import pytest

from app.accounts.models import User
from app.database import open_session
from app.extractions import admission
from app.extractions.models import Extraction
from app.videos import lifecycle as videos
from app.videos.models import Video
from fotograma.plan import Every, Plan

PLAN = Plan(Every(seconds=1))


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
            upload = videos.open_upload(session, user_id=user.id, size_bytes=0)
        with open_session() as session:
            state = admission.admit(session, upload, filename="a.mp4", size_bytes=5, sha256="0" * 64, plan=plan)
        return Asked(state.video, state.newest and state.newest.extraction)

    return ask
