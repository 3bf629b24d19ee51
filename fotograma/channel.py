"""The parent's end of a conversation with a decoding process: it asks, has its reads of the video answered, watches the
clock, and kills what oversteps.
"""

import json
import os
import select
import signal
import socket
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fotograma import spawn
from fotograma.answers import Answers
from fotograma.errors import Cancelled, DecoderCrashed, FotogramaError, LimitExceeded, StorageUnavailable
from fotograma.limits import Limits
from fotograma.readers import Source

# The locks and libraries of a child take 0.2 s; a machine that can't start one in this time is out of order.
GRACE_SECONDS = 5.0


class Channel:
    """A child process that holds a video. Its thread must live as long as it does: the child dies with its thread."""

    def __init__(self, source: Source, *, limits: Limits) -> None:
        """Start the child, or take the one that is already there, and hand it the video."""
        self._limits = limits
        self._allowed_seconds = limits.wall_seconds
        self._killed = False
        self._waited_seconds = 0.0
        self._answers: Answers | None = None
        if isinstance(source, Path | int):
            descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC) if isinstance(source, Path) else os.dup(source)
            kind = "file"
        else:
            reads, child_reads = socket.socketpair()
            descriptor = child_reads.detach()
            self._answers = Answers(source, reads, on_failure=lambda: self._signal(signal.SIGKILL))
            kind = "asks"
        try:
            self._child, self._socket = spawn.take()
            self._hand_over(descriptor, kind)
        finally:
            os.close(descriptor)

    def _hand_over(self, descriptor: int, kind: str) -> None:
        """Give the child its video and its limits."""
        try:
            # One byte carries the descriptor, so that no line of what follows can be taken along with it.
            socket.send_fds(self._socket, [b"\0"], [descriptor])
            self._socket.sendall(json.dumps({"kind": kind, "limits": asdict(self._limits)}).encode() + b"\n")
            if self._answers is not None:
                self._answers.start()
        except OSError:
            why = self._why_it_ended()
            self.close()
            raise why from None

    @property
    def pid(self) -> int:
        """The child's process, which is its session too."""
        return self._child.pid

    def close(self) -> None:
        """End the child."""
        self._signal(signal.SIGKILL)
        self._child.wait()
        self._socket.close()
        if self._answers is not None:
            self._answers.close()

    def kill(self) -> None:
        """Stop at once; may be called from any thread. Whoever waits for an answer gets `Cancelled`."""
        self._killed = True
        self._signal(signal.SIGKILL)

    def crashed(self, detail: str) -> DecoderCrashed:
        """End a child that says what can't be, and what to raise."""
        self._signal(signal.SIGKILL)
        return DecoderCrashed(detail=detail)

    def ask(self, request: dict[str, Any], *, wall_seconds: float | None = None) -> None:
        """Send a request; `wall_seconds` may pass from now on, where the limits are not meant.

        Raises:
            FotogramaError: the child is gone, or does not take it.
        """
        if wall_seconds is not None:
            self._waited_seconds, self._allowed_seconds = 0.0, wall_seconds
        self._send(json.dumps(request).encode() + b"\n")

    def receive(self, size: int) -> bytes:
        """Exactly `size` bytes of what it answers.

        Raises:
            FotogramaError: the child is gone, or has taken too long.
        """
        parts = []
        while size:
            self._wait()
            try:
                part = self._socket.recv(min(size, 2**20))
            except ConnectionError:
                part = b""
            if not part:
                raise self._why_it_ended()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _wait(self) -> None:
        """Until there is something to receive."""
        while True:
            left = self._allowed_seconds - self._waited_seconds
            if left <= 0:
                raise self._too_long()
            began, read_before = time.monotonic(), self._read_seconds
            ready, _, _ = select.select([self._socket], [], [], left)
            # Neither time in which the frames' taker is busy counts, nor that in which the video does not come.
            self._waited_seconds += time.monotonic() - began - (self._read_seconds - read_before)
            if self._socket in ready:
                return
            if self._read_seconds > self._allowed_seconds:
                self._signal(signal.SIGKILL)
                raise StorageUnavailable(detail=f"reading the video took longer than {self._allowed_seconds:g} s")

    @property
    def _read_seconds(self) -> float:
        """For how long the child has waited for the video's bytes."""
        return self._answers.read_seconds if self._answers is not None else 0.0

    def _send(self, data: bytes) -> None:
        """Send, and don't wait for ever for a child that does not take it."""
        self._socket.settimeout(max(0.001, self._allowed_seconds - self._waited_seconds))
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise self._too_long() from None
        except OSError:
            raise self._why_it_ended() from None
        finally:
            self._socket.settimeout(None)

    def _why_it_ended(self) -> FotogramaError:
        """The child is gone, or its channel is: what to tell."""
        if self._killed:
            return Cancelled()
        if self._answers is not None and self._answers.error is not None:
            raise self._answers.error
        try:
            status = self._child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return self.crashed("the decoder closed its channel")
        if status == -signal.SIGXCPU:
            return LimitExceeded("LIMIT_TIME", "processor time")
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        return DecoderCrashed(detail=how)

    def _too_long(self) -> FotogramaError:
        self._signal(signal.SIGKILL)
        return LimitExceeded("LIMIT_TIME", f"allowed are {self._allowed_seconds:g} s")

    def _signal(self, number: signal.Signals) -> None:
        if self._child.poll() is None:
            try:
                os.killpg(self._child.pid, number)
            except ProcessLookupError:
                # Between its start and its setsid there is no group yet.
                self._child.send_signal(number)
