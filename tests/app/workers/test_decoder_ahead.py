"""A decoder that was started before there was work is used for it, and missed by nobody when it has died."""

import psutil
import pytest

from app.workers import jail
from app.workers.extraction import work_on_next_segment
from fotograma import spawn
from tests.app.workers.conftest import Submit
from tests.app.workers.test_extraction_work import GOES_ON, decoders, state_of
from tests.clips import Clip


@pytest.fixture(autouse=True)
def none_waits():
    yield
    process, channel = spawn.take()
    channel.close()
    process.wait(10)


def test_a_waiting_decoder_does_the_next_work(submit: Submit, clip: Clip):
    jail.start_ahead()
    jail.start_ahead()
    (waiting,) = decoders()
    asked = submit(clip.path)
    work_on_next_segment(stopping=GOES_ON)

    assert state_of(asked).status == "COMPLETED"
    assert not waiting.is_running()


def test_a_waiting_decoder_that_died_counts_for_nothing(submit: Submit, clip: Clip):
    jail.start_ahead()
    (waiting,) = decoders()
    waiting.kill()
    psutil.wait_procs([waiting], timeout=10)
    asked = submit(clip.path)
    work_on_next_segment(stopping=GOES_ON)

    assert state_of(asked).status == "COMPLETED"
    assert state_of(asked).newest.extraction.error_code is None
