"""One part of the stack as a process: started by its literal command, watched, and ended with all that it started."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from app.local_stack.errors import StackError

PROJECT = Path(__file__).resolve().parents[2]


def rest() -> None:
    """The moment between two looks at something that is waited for."""
    time.sleep(0.05)


@dataclass(frozen=True)
class Part:
    """How one part is started, known to be up, and ended."""

    name: str
    command: Sequence[str]
    is_healthy: "Callable[[Process], bool]"
    environment: Mapping[str, str] = field(default_factory=dict)  # beside ours
    healthy_within_seconds: float = 30
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_seconds: float = 10
    is_foundation: bool = False  # others stand on it, so that it ends last
    orphan_signal: signal.Signals = signal.SIGKILL  # what it gets when we die without a word


class Process:
    """A part that runs. `log` takes all that it prints."""

    def __init__(self, part: Part, *, log: Path) -> None:
        self.part = part
        self.log = log
        environment = {**os.environ, **part.environment}
        # The literal commands are found beside the interpreter, also where the environment is not activated.
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
        environment["PYTHONUNBUFFERED"] = "1"
        command = [shutil.which(part.command[0], path=environment["PATH"]) or part.command[0], *part.command[1:]]
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._popen = subprocess.Popen(
                [*_dies_with_us(part.orphan_signal), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=PROJECT,
                env=environment,
                # A group of its own: Ctrl-C in the terminal reaches us alone, and we end the parts in order.
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self.started = psutil.Process(self.pid).create_time()

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    def wait_until_healthy(self, pause: Callable[[], None] = rest) -> None:
        """Return once it answers; what ends or stays silent is told with the end of its log."""
        deadline = time.monotonic() + self.part.healthy_within_seconds
        while not self.part.is_healthy(self):
            if not self.is_running():
                raise StackError(f"{self.part.name} ended at its start: {self.last_words()}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.part.name} is not up within {self.part.healthy_within_seconds:.0f} s: {self.last_words()}"
                )
            pause()

    def wait_until_done(self, pause: Callable[[], None] = rest) -> None:
        """Return once it has ended well: for a part that does one thing."""
        while self.is_running():
            pause()
        if self._popen.returncode:
            raise StackError(f"{self.part.name} went wrong: {self.last_words()}")

    def output(self) -> str:
        """What it has printed so far."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def how_it_ended(self) -> str:
        """The signal or status it ended with."""
        status = self._popen.wait()
        return signal.Signals(-status).name if status < 0 else f"status {status}"

    def last_words(self) -> str:
        """The last line of its log, and where the log is."""
        lines = [line.strip() for line in self.output().splitlines() if line.strip()]
        return f"{lines[-1] if lines else 'it said nothing'} (all it said: {self.log})"

    def ask_to_stop(self) -> None:
        """Send its stop signal and don't wait."""
        if self.is_running():
            self._popen.send_signal(self.part.stop_signal)

    def stop(self) -> None:
        """End it: its signal, its time, then force."""
        self.ask_to_stop()
        self.end_by(time.monotonic() + self.part.stop_within_seconds)

    def end_by(self, deadline: float) -> None:
        """Wait for its end until then, by the monotonic clock; what is left of it and its children ends by force."""
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(max(0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """End it and its children by force."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()


def is_free(port: int) -> bool:
    """Whether a server can have this TCP port of this machine."""
    with socket.socket() as probe:
        # As servers ask, so that connections that just closed are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A TCP port of this machine that nobody holds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _dies_with_us(orphan_signal: signal.Signals) -> list[str]:
    """The words before a command that make the kernel end it when we are killed; where there are none (macOS), the
    next start ends what was left. A wrapper and no preexec_fn, which is not safe beside the mailbox's thread."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", orphan_signal.name.removeprefix("SIG")] if setpriv else []
