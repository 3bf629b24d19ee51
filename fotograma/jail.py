"""Decoding in a locked child process.

The parent never parses media. It starts the child with the video as a descriptor (or answers the child's reads where
the video is elsewhere), asks for records, checks their form and size, watches the clock, and kills what oversteps.
"""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fotograma.errors import Cancelled, DecoderCrashed, FotogramaError, LimitExceeded, StorageUnavailable
from fotograma.limits import Limits
from fotograma.packets import PacketIndex
from fotograma.plan import Plan
from fotograma.readers import READ_REQUEST, RandomReader
from fotograma.records import Facts, Failed, Finished, Picture, ProtocolError, Record, Warned, read_record

_READ_MOST_BYTES = 2**24
# The locks and libraries of a child take 0.2 s; a machine that can't start one in this time is out of order.
GRACE_SECONDS = 5.0


Source = Path | int | RandomReader
"""A path, an open descriptor (which stays the caller's), or a reader."""


@dataclass(frozen=True)
class _Started:
    process: "subprocess.Popen[bytes]"
    channel: socket.socket


_spares: list[_Started] = []


def warm() -> None:
    """Start the process of the next `Jail` now, so that its libraries load while the caller does something else."""
    _spares.append(_start())


def _start() -> _Started:
    channel, child_channel = socket.socketpair()
    with child_channel:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "fotograma.child", str(child_channel.fileno()), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(child_channel.fileno(),),
            cwd="/",
            # Nothing of the parent's environment. The first keeps numpy from starting threads, the second one arena.
            env={"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
            start_new_session=True,
        )
    return _Started(process, channel)


class Jail:
    """A child process with one video open. Its thread must live as long as it does: the child dies with its thread."""

    def __init__(self, source: Source, *, limits: Limits) -> None:
        self._limits = limits
        self._killed = False
        self._waited_seconds = 0.0
        self._reader: RandomReader | None = None
        self._reads: socket.socket | None = None
        if isinstance(source, Path | int):
            descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC) if isinstance(source, Path) else os.dup(source)
            kind = "file"
        else:
            self._reads, child_reads = socket.socketpair()
            descriptor = child_reads.detach()
            self._reader, kind = source, "asks"
        try:
            started = _spares.pop() if _spares else _start()
            self._child, self._channel = started.process, started.channel
            self._hand_over(descriptor, kind)
        finally:
            os.close(descriptor)
        if self._reads is not None and self._reader is not None:
            self._reads.sendall(struct.pack("<Q", self._reader.size))

    def _hand_over(self, descriptor: int, kind: str) -> None:
        """Give the child its video and its limits."""
        try:
            # One byte carries the descriptor, so that no line of what follows can be taken along with it.
            socket.send_fds(self._channel, [b"\0"], [descriptor])
            self._channel.sendall(json.dumps({"kind": kind, "limits": asdict(self._limits)}).encode() + b"\n")
        except OSError:
            raise self._why_it_ended() from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_child()
        self._channel.close()
        if self._reads is not None:
            self._reads.close()

    def probe(self, *, stream: int | None = None) -> Facts:
        """What the video is.

        Raises:
            FotogramaError: what the table of codes says of it.
        """
        self._ask({"ask": "probe", "stream": stream})
        record = self._next_record()
        if not isinstance(record, Facts):
            raise self._crashed("the decoder's answer makes no sense")
        try:
            PacketIndex.from_bytes(record.packet_index)
        except ValueError as error:
            raise self._crashed(str(error)) from error
        return record

    def pictures(
        self,
        plan: Plan,
        *,
        start_pts: int | None = None,
        end_pts: int | None = None,
        thumbnails: bool = False,
        raw: bool = False,
    ) -> Generator[Picture | Warned | Finished, None, None]:
        """The chosen pictures in order, then warnings, then the end. Call `probe` first.

        Raises:
            FotogramaError: what the table of codes says of it.
        """
        self._ask(
            {
                "ask": "pictures",
                "plan": plan.to_json(),
                "start_pts": start_pts,
                "end_pts": end_pts,
                "thumbnails": thumbnails,
                "raw": raw,
            }
        )
        given_frames = given_bytes = 0
        while True:
            record = self._next_record()
            if isinstance(record, Facts):
                raise self._crashed("the decoder's answer makes no sense")
            if isinstance(record, Picture):
                given_frames += 1
                given_bytes += len(record.data)
                if given_frames > self._limits.max_frames:
                    raise LimitExceeded("LIMIT_FRAMES", f"allowed are {self._limits.max_frames}")
                if given_bytes > self._limits.max_bytes:
                    raise LimitExceeded("LIMIT_BYTES", f"allowed are {self._limits.max_bytes} bytes")
            yield record
            if isinstance(record, Finished):
                return

    def kill(self) -> None:
        """Stop at once; may be called from any thread. Whoever waits for a record gets `Cancelled`."""
        self._killed = True
        self._signal(signal.SIGKILL)

    def _ask(self, request: dict[str, Any]) -> None:
        self._waited_seconds = 0.0
        try:
            self._channel.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise self._why_it_ended() from None

    def _next_record(self) -> Facts | Picture | Warned | Finished:
        try:
            record: Record = read_record(self._receive)
        except ProtocolError as error:
            raise self._crashed(str(error)) from error
        if isinstance(record, Failed):
            raise FotogramaError.of(record.code, record.detail)
        return record

    def _receive(self, size: int) -> bytes:
        """Exactly `size` bytes of the channel, while answering reads and watching the clock."""
        parts = []
        while size:
            self._wait()
            try:
                part = self._channel.recv(min(size, 2**20))
            except ConnectionError:
                part = b""
            if not part:
                raise self._why_it_ended()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _wait(self) -> None:
        """Until the channel has something to read."""
        while True:
            left = self._limits.wall_seconds - self._waited_seconds
            if left <= 0:
                self._signal(signal.SIGKILL)
                raise LimitExceeded("LIMIT_TIME", f"allowed are {self._limits.wall_seconds:g} s")
            began = time.monotonic()
            watched = [self._channel] + ([self._reads] if self._reads else [])
            ready, _, _ = select.select(watched, [], [], left)
            # Only time spent waiting for the child counts: a slow taker of the frames is not its fault.
            self._waited_seconds += time.monotonic() - began
            if self._reads in ready:
                self._answer_read()
            if self._channel in ready:
                return

    def _answer_read(self) -> None:
        assert self._reads is not None
        assert self._reader is not None
        request = self._reads.recv(READ_REQUEST.size, socket.MSG_WAITALL)
        if len(request) < READ_REQUEST.size:
            self._reads.close()
            self._reads = None
            return
        offset, size = READ_REQUEST.unpack(request)
        if size > _READ_MOST_BYTES:
            raise self._crashed("the decoder asks for too much at once")
        try:
            data = self._reader.read_at(offset, size)
        except OSError as error:
            self._signal(signal.SIGKILL)
            raise StorageUnavailable(detail=str(error)) from error
        self._reads.sendall(struct.pack("<I", len(data)) + data)

    def _why_it_ended(self) -> FotogramaError:
        """The child is gone, or its channel is: what to tell."""
        try:
            status = self._child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return self._crashed("the decoder closed its channel")
        if self._killed:
            return Cancelled()
        if status == -signal.SIGXCPU:
            return LimitExceeded("LIMIT_TIME", "processor time")
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        return DecoderCrashed(detail=how)

    def _crashed(self, detail: str) -> FotogramaError:
        self._signal(signal.SIGKILL)
        return DecoderCrashed(detail=detail)

    def _end_child(self) -> None:
        self._signal(signal.SIGKILL)
        self._child.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._child.poll() is None:
            try:
                os.killpg(self._child.pid, number)
            except ProcessLookupError:
                # Between its start and its setsid there is no group yet.
                self._child.send_signal(number)
