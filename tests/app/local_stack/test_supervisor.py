import json
import os
from pathlib import Path

import psutil
import pytest

from app.local_stack import data_folder
from app.local_stack.errors import StackError
from app.local_stack.processes import Part, Process
from app.local_stack.supervisor import Supervisor


def shell(script: str, **more: object) -> Part:
    return Part(name="Some part", command=["sh", "-c", script], is_healthy=lambda part: "up" in part.output(), **more)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


def test_part_that_dies_three_times_ends_the_run_in_one_sentence(folder: Path) -> None:
    told: list[str] = []
    supervisor = Supervisor(folder, tell=told.append)
    supervisor.start(shell("echo up; sleep 0.3; echo out of luck; exit 1"))

    with pytest.raises(StackError, match="Some part ended 3 times within a minute: out of luck"):
        supervisor.watch()
    supervisor.end()
    again = [line for line in told if "started again" in line]
    assert [line.split(": ")[0] for line in again] == [
        "Some part ended (status 1) and is started again in 1 s",
        "Some part ended (status 1) and is started again in 2 s",
    ]


def test_part_that_ends_at_its_start_is_told_by_its_last_line(folder: Path) -> None:
    supervisor = Supervisor(folder, tell=lambda _: None)

    with pytest.raises(StackError, match="Some part ended at its start: no such thing"):
        supervisor.start(shell("echo first; echo no such thing; exit 3"))
    supervisor.end()


def test_end_takes_the_children_of_a_part_that_will_not_end(folder: Path) -> None:
    supervisor = Supervisor(folder, tell=lambda _: None)
    supervisor.start(shell("trap '' TERM; sleep 1000 & echo up; wait; wait", stop_within_seconds=0.3))
    leader = psutil.Process(json.loads((folder / "processes.json").read_text())[0]["pid"])
    family = [leader, *leader.children()]
    supervisor.end()

    assert len(family) == 2
    _, alive = psutil.wait_procs(family, timeout=5)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_leftovers_are_ended_and_a_process_of_the_same_number_is_spared(folder: Path) -> None:
    leftover, stranger = (Process(shell("echo up; sleep 1000"), log=folder / f"{name}.log") for name in "ab")
    data_folder.record(folder, [leftover, stranger])
    rows = json.loads((folder / "processes.json").read_text())
    rows[1]["started"] -= 60
    (folder / "processes.json").write_text(json.dumps(rows))
    data_folder.end_leftovers(folder)

    assert not leftover.is_running()
    assert stranger.is_running()
    stranger.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folder_of_another_owner_is_told(folder: Path) -> None:
    os.chown(folder, 12345, -1)

    with (
        pytest.raises(StackError, match="belongs to user 12345 and you are root: run as its owner"),
        data_folder.held(folder),
    ):
        pass
