"""The data directory: one run at a time, its secrets, and a record of what runs, for the start after a `kill -9`."""

import fcntl
import json
import os
import pwd
import secrets
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from app.local_stack.errors import StackError
from app.local_stack.processes import Process

# A run that was just told to end needs a moment to write so into its lock file.
LOCK_DOUBT_SECONDS = 1
ENDING_SECONDS = 30


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the directory for this run alone; a run that is ending is waited for."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(folder)
    with (folder / "lock").open("a") as lock:
        _wait_for_lock(lock.fileno(), folder)
        (folder / "lock").write_text(str(os.getpid()))
        yield


def say_ending(folder: Path) -> None:
    """Tell a start that comes now to wait for us."""
    (folder / "lock").write_text(f"{os.getpid()} ending")


def kept_secret(file: Path) -> str:
    """The secret in this file, which its owner alone may read; made when first asked for."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.touch(mode=0o600)
    if not file.read_text():
        file.write_text(secrets.token_urlsafe(48))
    return file.read_text()


def keep_settings(folder: Path, variables: Mapping[str, str]) -> None:
    """Write down what the parts of this run are told, for commands beside them; its owner alone may read it."""
    file = folder / "settings.env"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}='{value}'\n" for name, value in variables.items()))


def record(folder: Path, processes: Iterable[Process]) -> None:
    """Write down what runs."""
    rows = [
        {"pid": process.pid, "started": process.started, "signal": process.part.orphan_signal} for process in processes
    ]
    new = folder / "processes.json.new"
    new.write_text(json.dumps(rows))
    new.replace(folder / "processes.json")


def end_leftovers(folder: Path) -> None:
    """End what a run left behind that could not end its parts itself."""
    file = folder / "processes.json"
    if not file.exists():
        return
    for row in json.loads(file.read_text()):
        _end_group(row["pid"], row["started"], row["signal"])
    file.unlink()


def _end_group(pid: int, started: float, orphan_signal: int) -> None:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        leader = psutil.Process(pid)
        # Within a second, since the time of boot that the kernel reckons from is corrected now and then.
        if abs(leader.create_time() - started) > 1:
            return
        leader.send_signal(orphan_signal)
        psutil.wait_procs([leader], timeout=ENDING_SECONDS)
    # While a process of its group is left, the number is given to no other.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _wait_for_lock(descriptor: int, folder: Path) -> None:
    began = time.monotonic()
    while True:
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder = (folder / "lock").read_text().split()
        patience = ENDING_SECONDS if holder[1:] == ["ending"] else LOCK_DOUBT_SECONDS
        if time.monotonic() - began > patience:
            raise StackError(
                f"Fotograma already runs on {folder} (process {' '.join(holder) or 'unknown'}): "
                "end that run, or give another folder with --data-dir."
            )
        time.sleep(0.1)


def _check_owner(folder: Path) -> None:
    _check_is_ours(folder)
    for path in folder.iterdir():
        _check_is_ours(path)


def _check_is_ours(path: Path) -> None:
    owner = path.stat().st_uid
    if owner != os.geteuid():
        raise StackError(
            f"{path} belongs to {_name(owner)} and you are {_name(os.geteuid())}: "
            "run as its owner, or give another folder with --data-dir."
        )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
