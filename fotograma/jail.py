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
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fotograma import calls, spawn
from fotograma.errors import Cancelled, DecoderCrashed, FotogramaError, LimitExceeded, StorageUnavailable
from fotograma.limits import Limits
from fotograma.packets import PacketIndex
from fotograma.plan import Plan
from fotograma.readers import READ_REQUEST, RandomReader
from fotograma.records import (
    ON,
    Attempted,
    Facts,
    Failed,
    Finished,
    Locked,
    Picture,
    ProtocolError,
    Record,
    Warned,
    read_record,
)

_READ_MOST_BYTES = 2**24
_OFFSET_MOST = 2**62
_MOST_WARNINGS = 100
# The locks and libraries of a child take 0.2 s; a machine that can't start one in this time is out of order.
GRACE_SECONDS = 5.0


Source = Path | int | RandomReader
"""A path, an open descriptor (which stays the caller's), or a reader."""


MANDATORY = frozenset(
    {"process", "rlimits"}
    | ({"descriptors", "privileges"} if sys.platform == "linux" else set())
    | ({"seccomp"} if calls.machine() else set())
)
"""The layers without which nothing is decoded; the others hold where the kernel has them and lets go of them."""


class Jail:
    """A child process with one video open. Its thread must live as long as it does: the child dies with its thread."""

    def __init__(self, source: Source, *, limits: Limits, required: bool = True) -> None:
        """Start the child, or take the one that is already there.

        Args:
            source: the video.
            limits: what it may ask for.
            required: refuse to decode where a mandatory layer does not hold.
        """
        self.layers: dict[str, str] = {}
        """For each layer whether it holds, known once the child has answered."""
        self._limits = limits
        self._required = required
        self._allowed_seconds = limits.wall_seconds
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
            self._child, self._channel = spawn.take()
            self._hand_over(descriptor, kind)
        finally:
            os.close(descriptor)

    def _hand_over(self, descriptor: int, kind: str) -> None:
        """Give the child its video and its limits."""
        try:
            # One byte carries the descriptor, so that no line of what follows can be taken along with it.
            socket.send_fds(self._channel, [b"\0"], [descriptor])
            self._channel.sendall(json.dumps({"kind": kind, "limits": asdict(self._limits)}).encode() + b"\n")
            if self._reads is not None and self._reader is not None:
                self._reads.sendall(struct.pack("<Q", self._reader.size))
        except OSError:
            why = self._why_it_ended()
            self._close()
            raise why from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._signal(signal.SIGKILL)
        self._child.wait()
        self._channel.close()
        if self._reads is not None:
            self._reads.close()

    @property
    def pid(self) -> int:
        """The child's process, which is its session too."""
        return self._child.pid

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
        given_frames = given_bytes = warnings = 0
        while True:
            record = self._next_record()
            if isinstance(record, Facts | Attempted):
                raise self._crashed("the decoder's answer makes no sense")
            if isinstance(record, Warned):
                warnings += 1
                if warnings > _MOST_WARNINGS:
                    raise self._crashed("the decoder warns without end")
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

    def attempt(self, what: str, words: dict[str, Any], *, wall_seconds: float) -> Attempted:
        """Have the child try something that must be refused (`fotograma.attempts`).

        Raises:
            FotogramaError: it did not live to tell.
        """
        self._ask({"ask": "attempt", "what": what, "words": words}, wall_seconds=wall_seconds)
        record = self._next_record()
        if not isinstance(record, Attempted):
            raise self._crashed("the decoder's answer makes no sense")
        return record

    def kill(self) -> None:
        """Stop at once; may be called from any thread. Whoever waits for a record gets `Cancelled`."""
        self._killed = True
        self._signal(signal.SIGKILL)

    def _ask(self, request: dict[str, Any], *, wall_seconds: float | None = None) -> None:
        if wall_seconds is not None:
            self._waited_seconds, self._allowed_seconds = 0.0, wall_seconds
        self._send(self._channel, json.dumps(request).encode() + b"\n")

    def _send(self, channel: socket.socket, data: bytes) -> None:
        """Send, and don't wait for ever for a child that does not take it."""
        channel.settimeout(max(0.001, self._allowed_seconds - self._waited_seconds))
        try:
            channel.sendall(data)
        except TimeoutError:
            raise self._too_long() from None
        except OSError:
            raise self._why_it_ended() from None
        finally:
            channel.settimeout(None)

    def _next_record(self) -> Facts | Picture | Warned | Attempted | Finished:
        if not self.layers:
            # Only now, so that the child loads its libraries while its parent does something else.
            self._check_locks(self._read_record())
        record = self._read_record()
        if isinstance(record, Locked):
            raise self._crashed("the decoder's answer makes no sense")
        return record

    def _check_locks(self, first: Record) -> None:
        if not isinstance(first, Locked):
            raise self._crashed("the decoder does not say what it has given up")
        self.layers = first.layers
        if self._required and (open_layers := unmet(self.layers)):
            self._signal(signal.SIGKILL)
            raise FotogramaError("JAIL_INCOMPLETE", open_layers)

    def _read_record(self) -> Locked | Facts | Picture | Warned | Attempted | Finished:
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
            left = self._allowed_seconds - self._waited_seconds
            if left <= 0:
                raise self._too_long()
            began = time.monotonic()
            watched = [self._channel] + ([self._reads] if self._reads else [])
            ready, _, _ = select.select(watched, [], [], left)
            if self._reads in ready:
                self._answer_read()
            # Reads count too, or it could ask for bytes for ever; time in which the frames' taker is busy does not.
            self._waited_seconds += time.monotonic() - began
            if self._channel in ready:
                return

    def _answer_read(self) -> None:
        assert self._reads is not None
        assert self._reader is not None
        try:
            request = self._reads.recv(READ_REQUEST.size, socket.MSG_DONTWAIT)
        except ConnectionError:
            request = b""
        if len(request) < READ_REQUEST.size:
            self._reads.close()
            self._reads = None
            return
        offset, size = READ_REQUEST.unpack(request)
        if size > _READ_MOST_BYTES or offset > _OFFSET_MOST:
            raise self._crashed("the decoder asks for what can't be")
        try:
            data = self._reader.read_at(offset, size)
        except OSError as error:
            self._signal(signal.SIGKILL)
            raise StorageUnavailable(detail=str(error)) from error
        self._send(self._reads, struct.pack("<I", len(data)) + data)

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

    def _too_long(self) -> FotogramaError:
        self._signal(signal.SIGKILL)
        return LimitExceeded("LIMIT_TIME", f"allowed are {self._allowed_seconds:g} s")

    def _crashed(self, detail: str) -> FotogramaError:
        self._signal(signal.SIGKILL)
        return DecoderCrashed(detail=detail)

    def _signal(self, number: signal.Signals) -> None:
        if self._child.poll() is None:
            try:
                os.killpg(self._child.pid, number)
            except ProcessLookupError:
                # Between its start and its setsid there is no group yet.
                self._child.send_signal(number)


def unmet(layers: dict[str, str]) -> str:
    """The mandatory layers that do not hold, and why; empty where all do."""
    return "; ".join(f"{name}: {why}" for name, why in layers.items() if name in MANDATORY and why != ON)
