"""What was given up because machines failed can be sent again, once, and is then as if it were new."""

import subprocess
import sys

import pytest
from sqlalchemy import select

from app.accounts.models import User
from app.database import open_session
from app.extractions import lifecycle, queries
from app.extractions.models import Extraction
from app.notifications.models import Email
from app.settings import get_settings
from tests.app.extractions.holding import claim, cut, fail, finish_frames, finish_join, segment_of


def give_up(code: str) -> None:
    """Let the segment whose turn it is fail so often that it is given up."""
    held = claim()
    with open_session() as session:
        lifecycle.fail(session, held.extraction_id, code=code, message=f"{code} happened")


def mails_of(extraction_id) -> list[str]:
    with open_session() as session:
        return [*session.scalars(select(Email.kind).where(Email.extraction_id == extraction_id))]


def test_only_what_machines_caused_is_listed(user: User, ask, admin):
    codes = ["DECODER_CRASHED", "LOST", "STORAGE_UNAVAILABLE", "NOT_A_VIDEO", "LIMIT_TIME"]
    asked = {}
    for code in codes:
        asked[code] = ask(user)
        give_up(code)
    withdrawn = ask(user)
    give_up("LOST")
    with open_session() as session:
        lifecycle.withdraw(session, withdrawn.video)
    lines = admin("dead-letters", "list").stdout.splitlines()

    assert [line.split()[0] for line in lines] == [str(asked[code].extraction_id) for code in codes[:3]]
    assert all(user.email in line and "'a.mp4'" in line for line in lines)
    assert "LOST" in lines[1]


def test_a_retry_goes_on_beside_the_dead_one_and_mails_once(user: User, ask, admin):
    asked = ask(user)
    give_up("LOST")
    done = admin("dead-letters", "retry", asked.extraction_id)
    again = claim()
    with open_session() as session:
        state = queries.video_state(session, asked.video.id, user_id=user.id)
    finish_join(finish_frames(cut(again)))

    assert done.exit_code == 0
    assert str(again.extraction_id) in done.stdout
    assert (state.status, state.newest.extraction.id) == ("PENDING", again.extraction_id)
    assert state.newest.extraction.plan == asked.extraction.plan
    assert mails_of(asked.extraction_id) == ["failed"]
    assert mails_of(again.extraction_id) == ["completed"]
    assert admin("dead-letters", "list").stdout == ""


def test_all_are_sent_again_past_their_users_limit(user: User, ask, admin, monkeypatch: pytest.MonkeyPatch):
    for _ in range(3):
        ask(user)
        give_up("STORAGE_UNAVAILABLE")
    monkeypatch.setenv("USER_EXTRACTIONS_WAITING", "1")
    get_settings.cache_clear()
    done = admin("dead-letters", "retry-all")
    monkeypatch.undo()
    get_settings.cache_clear()
    with open_session() as session:
        waiting = queries.count_waiting(session, user_id=user.id)
        resent = [one for one in session.scalars(select(Extraction.resent_as)) if one]

    assert (done.exit_code, len(done.stdout.splitlines()), waiting) == (0, 3, 3)
    assert len(set(resent)) == 3


def test_nothing_is_sent_twice(user: User, ask, admin):
    asked = ask(user)
    give_up("LOST")
    first = admin("dead-letters", "retry", asked.extraction_id)
    words = [sys.executable, "-m", "app.admin", "dead-letters", "retry", str(asked.extraction_id)]
    second = subprocess.run(words, capture_output=True, text=True, timeout=60)

    assert (first.exit_code, second.returncode) == (0, 1)
    assert second.stderr == "There is no such dead letter, or it was sent again already.\n"
    assert claim() is not None
    assert claim() is None


def test_a_retry_of_what_runs_or_was_refused_is_none(user: User, ask, admin):
    running = ask(user)
    held = cut(claim())
    refused = ask(user)
    fail(claim(), "NOT_A_VIDEO")

    for asked in (running, refused):
        assert admin("dead-letters", "retry", asked.extraction_id).exit_code == 1
    assert segment_of(held).status == "PROCESSING"
