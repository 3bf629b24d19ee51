"""A worker that is told to stop ends within 10 s, whatever else is away, and its work is done by another."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from app.local_stack.processes import Process
from app.settings import Settings
from tests.clips import Clip
from tests.end_to_end.service import QUICK, Person, Service, all_gone
from tests.long_clips import make_long_clip
from tests.waiting import wait_until

Away = Callable[[Service, str], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def nobody_works_on(service: Service) -> Iterator[None]:
    """Each test starts workers of its own."""
    yield
    service.end_workers()


@contextmanager
def killed(service: Service, name: str) -> Iterator[None]:
    """A part is away."""
    part = service.processes[name].part
    service.processes[name].kill()
    try:
        yield
    finally:
        service.begin(name, part)


@contextmanager
def frozen(service: Service, name: str) -> Iterator[None]:
    """A part takes connections, and answers nothing."""
    server = psutil.Process(service.processes[name].pid)
    family = [server, *server.children(recursive=True)]
    try:
        _signal(family, signal.SIGSTOP)
        yield
    finally:
        _signal(family, signal.SIGCONT)


def _signal(family: list[psutil.Process], number: signal.Signals) -> None:
    for process in family:
        # PostgreSQL ends a process whose client has gone away whenever it likes.
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def seconds_to_end(worker: Process) -> float:
    """How long it takes to end, once told to."""
    told_at = time.monotonic()
    worker.ask_to_stop()
    wait_until(lambda: not worker.is_running(), 20)
    return time.monotonic() - told_at


@pytest.fixture(scope="module")
def work_enough(clips: Path) -> Clip:
    """Work enough to be caught at it."""
    return make_long_clip(clips / "work_enough.mp4", frames=150)


@pytest.mark.parametrize(
    ("away", "most_losses"),
    [
        ([(killed, "database")], 0),
        ([(frozen, "database")], 0),
        # With nobody there who could be told, it looks as if the worker had died.
        ([(frozen, "database"), (frozen, "broker")], 1),
    ],
    ids=["killed", "frozen", "all frozen"],
)
def test_a_worker_told_to_stop_while_others_are_away(
    away: list[tuple[Away, str]], most_losses: int, service: Service, person: Person, work_enough: Clip
):
    service.start_workers(2, **QUICK)
    video = person.upload(work_enough.path, plan='{"mode": "all"}')
    holder, held = service.hold(video)
    assert {decoder.nice() for decoder in held} == {Settings.model_fields["decoder_niceness"].default}, (
        "others go first"
    )
    with ExitStack() as stack:
        for leave, name in away:
            stack.enter_context(leave(service, name))
        took_seconds = seconds_to_end(holder)
        orphans_gone = all_gone(held)
    video = person.wait_for(video, "COMPLETED")

    ((losses,),) = service.rows("SELECT max(losses) FROM segments WHERE video_id = %s", video["id"])

    assert took_seconds <= 10
    assert losses <= most_losses
    assert orphans_gone
    assert video["frames"] == work_enough.frames
    assert person.no_more_mail_comes() == ["completed"]
