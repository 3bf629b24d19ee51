"""Whether the jail holds on this machine: a decoding process tries what it must not be able to do.

Its parent believes it in nothing that speaks for the jail: it looks for itself whether a file was written, a
connection came or a process is left.
"""

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fotograma.errors import FotogramaError
from fotograma.jail import MANDATORY, Jail
from fotograma.limits import Limits
from fotograma.records import ON

# The last two would end the process, so that nothing could be tried after them.
ATTEMPTS = (
    "connect",
    "connect to a local socket",
    "read a file",
    "write a file",
    "fork",
    "trace a process",
    "signal its parent",
    "take more memory",
    "start a program",
    "run for ever",
)
START_SECONDS = 10.0
ANSWER_SECONDS = 1.0
FOR_EVER_SECONDS = 0.25
_CONTENT = b"secret"
_DONE = "it could"


@dataclass(frozen=True)
class Trial:
    """A layer of the jail, or something that must be refused."""

    name: str
    holds: bool
    mandatory: bool
    """Nothing may be decoded where it does not hold."""
    detail: str


def try_out(limits: Limits) -> list[Trial]:
    """The layers of a decoding process with these limits, and what it could do; takes about half a second."""
    outcomes: dict[str, str] = {}
    try:
        with _bait(limits) as bait, Jail(Path(os.devnull), limits=limits, required=False) as jail:
            for what in ATTEMPTS:
                outcomes[what] = _outcome(jail, what, bait.words)
            outcomes |= dict.fromkeys(bait.taken(jail.pid), f"{_DONE}, and its parent saw it")
    except FotogramaError as error:
        return [Trial("decoding process", False, True, error.sentence)]
    layers = [Trial(name, why == ON, name in MANDATORY, why) for name, why in jail.layers.items()]
    return layers + [Trial(what, not how.startswith(_DONE), _must_fail(what), how) for what, how in outcomes.items()]


def failures(tried: Sequence[Trial]) -> str:
    """What of the mandatory does not hold, in words; empty where all does."""
    return "; ".join(f"{trial.name}: {trial.detail}" for trial in tried if trial.mandatory and not trial.holds)


def _must_fail(what: str) -> bool:
    """Without seccomp's table for this machine only the limits are certain."""
    certain = {"run for ever"} | ({"take more memory"} if sys.platform == "linux" else set())
    return "seccomp" in MANDATORY or what in certain


def _outcome(jail: Jail, what: str, words: dict[str, Any]) -> str:
    """What came of an attempt, in words."""
    endless = what == "run for ever"
    seconds = FOR_EVER_SECONDS if endless else ANSWER_SECONDS if jail.layers else START_SECONDS
    try:
        attempted = jail.attempt(what, words, wall_seconds=seconds)
    except FotogramaError as error:
        if jail.layers and endless and error.code.name == "LIMIT_TIME":
            return "ended by its parent"
        if jail.layers and what == "start a program":
            return _DONE
        raise
    return _DONE if attempted.done else f"refused: {attempted.detail}"


@dataclass(frozen=True)
class _Bait:
    """What the process is pointed at."""

    words: dict[str, Any]
    file: Path
    servers: tuple[socket.socket, socket.socket]

    def taken(self, pid: int) -> list[str]:
        """What of it was used after all."""
        taken = [
            what
            for what, server in zip(("connect", "connect to a local socket"), self.servers, strict=True)
            if _has_caller(server)
        ]
        if self.file.read_bytes() != _CONTENT:
            taken.append("write a file")
        if others := _others_of(pid):
            taken.append("fork")
            for other in others:
                os.kill(other, signal.SIGKILL)
        return taken


@contextmanager
def _bait(limits: Limits) -> Iterator[_Bait]:
    with (
        tempfile.TemporaryDirectory(prefix="fotograma-") as folder,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as local,
    ):
        file, name = Path(folder, "file"), f"{folder}/socket"
        file.write_bytes(_CONTENT)
        local.bind(name)
        local.listen()
        words = {"port": server.getsockname()[1], "socket": name, "file": str(file), "bytes": limits.memory_bytes}
        yield _Bait(words, file, (server, local))


def _has_caller(server: socket.socket) -> bool:
    server.setblocking(False)
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _others_of(session: int) -> list[int]:
    """The processes of a session beside its first; Linux only."""
    others = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which may hold anything: state, parent, group, session.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # It has just ended.
            continue
        pid = int(stat.parent.name)
        if int(fields[3]) == session and pid != session:
            others.append(pid)
    return others
