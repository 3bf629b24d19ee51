"""Drawn clips and what is asked of them, without HTTP."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from app.accounts.models import User
from app.database import open_session
from app.extractions import admission
from app.extractions.states import VideoState
from app.settings import get_settings
from app.storage import Storage
from app.videos import lifecycle as videos
from fotograma.plan import Every, Plan
from tests.clips import Clip, draw_clip

PLAN = Plan(Every(seconds=1))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Four seconds, 25 pictures each."""
    return draw_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=100)


class Submit(Protocol):
    """The `submit` fixture."""

    def __call__(self, path: Path, *, by: User | None = None, plan: Plan | None = PLAN) -> VideoState: ...


@pytest.fixture
def submit(quiet: None, user: User, storage: Storage) -> Submit:  # noqa: ARG001
    """Upload a file and ask for an extraction."""

    def submit(path: Path, *, by: User | None = None, plan: Plan | None = PLAN) -> VideoState:
        content = path.read_bytes()
        with open_session() as session:
            upload = videos.open_upload(session, user_id=(by or user).id, size_bytes=0)
        with storage.open_writer(upload.object_key, content_type="application/octet-stream") as writer:
            writer.write(content)
        with open_session() as session:
            return admission.admit(
                session,
                upload,
                filename=path.name,
                size_bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                plan=plan,
            )

    return submit


@pytest.fixture
def cut_short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Extractions are cut wherever they may be."""
    monkeypatch.setenv("SEGMENT_SECONDS", "0.000001")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()
