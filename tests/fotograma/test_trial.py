"""The self-test tells a jail that holds from one that does not."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fotograma.limits import Limits
from fotograma.trial import ATTEMPTS, failures, try_out
from tests.waiting import wait_until

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")

NO_LANDLOCK = ("landlock_create_ruleset=EOPNOTSUPP", "unshare=EPERM")


def doctor_on(*lacks: str) -> dict[str, tuple[bool, str]]:
    """What `fotograma doctor` says of the jail on a kernel that lacks something."""
    python = [sys.executable, "-m", "fotograma", "doctor", "--json"]
    command = [sys.executable, "-m", "tests.fotograma.lesser_kernel", *lacks, *python]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    findings = {found["name"]: (found["ok"], found["detail"]) for found in json.loads(done.stdout)}
    assert done.returncode == (0 if all(ok for ok, _ in findings.values()) else 1)
    return {name.removeprefix("jail: "): told for name, told in findings.items() if name.startswith("jail: ")}


@pytest.mark.usefixtures("leaves_nobody")
def test_the_jail_holds_here() -> None:
    began = time.monotonic()
    tried = try_out(Limits())

    assert failures(tried) == ""
    assert {trial.name for trial in tried if trial.holds} >= {*ATTEMPTS, "seccomp", "rlimits", "process"}
    assert time.monotonic() - began < 5


def test_a_larger_limit_on_memory_holds_too() -> None:
    assert failures(try_out(Limits(memory_bytes=5 * 2**30))) == ""


def test_without_landlock_and_namespaces_it_holds_still() -> None:
    told = doctor_on(*NO_LANDLOCK)

    assert told["landlock"] == (True, "Operation not supported (not needed)")
    assert told["namespaces"] == (True, "Operation not permitted (not needed)")
    assert told["read a file"] == (True, "refused: Operation not permitted")
    assert all(ok for ok, _ in told.values())


def test_without_seccomp_it_does_not_hold() -> None:
    began = time.time()
    told = doctor_on("seccomp=ENOSYS", *NO_LANDLOCK)

    assert told["seccomp"] == (False, "Function not implemented")
    assert told["connect"] == (False, "it could, and its parent saw it")
    assert told["connect to a local socket"] == (False, "it could, and its parent saw it")
    assert told["fork"] == (False, "it could, and its parent saw it")
    assert told["read a file"] == (False, "it could")
    assert told["start a program"] == (False, "it could")
    # Limits stand by themselves.
    assert told["write a file"] == (True, "refused: File too large")
    assert told["take more memory"] == (True, "refused: MemoryError")
    wait_until(lambda: not orphans_since(began))


def orphans_since(began: float) -> list[psutil.Process]:
    """Decoding processes that belong to nobody any more."""
    found = psutil.process_iter(["cmdline", "ppid", "create_time"])
    orphans = [process for process in found if process.info["ppid"] == 1 and process.info["create_time"] >= began - 1]
    return [process for process in orphans if "fotograma.child" in " ".join(process.info["cmdline"] or [])]


def test_a_process_that_does_not_start_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    assert failures(try_out(Limits())).startswith("decoding process: ")
