"""Decoding in a locked child process.

The parent never parses media. It starts the child with the video as a descriptor (or answers the child's reads where
the video is elsewhere), asks for records, checks their form and size, and kills what oversteps (`fotograma.channel`).
"""

import base64
import sys
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self

from fotograma import byte_ranges, calls
from fotograma.channel import Channel
from fotograma.errors import FotogramaError, LimitExceeded
from fotograma.limits import Limits
from fotograma.packets import PacketIndex
from fotograma.plan import Plan
from fotograma.readers import Expecting, Source
from fotograma.records import (
    ON,
    Attempted,
    Facts,
    Failed,
    Finished,
    Locked,
    Picture,
    Record,
    Warned,
)
from fotograma.wire import ProtocolError, read_record

_MOST_WARNINGS = 100

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
        self._channel = Channel(source, limits=limits)
        self._expecting = source if isinstance(source, Expecting) else None
        self._facts: Facts | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    @property
    def pid(self) -> int:
        """The child's process, which is its session too."""
        return self._channel.pid

    def probe(self, *, stream: int | None = None, packet_index: bytes | None = None) -> Facts:
        """What the video is.

        Args:
            stream: another than the first video stream.
            packet_index: what an earlier probe of that stream has found, so that a container without a table need not
                be read through once more. It is checked against the packets as such a table is.

        Raises:
            FotogramaError: what the table of codes says of it.
        """
        known = None if packet_index is None else base64.b64encode(packet_index).decode()
        self._channel.ask({"ask": "probe", "stream": stream, "packet_index": known})
        record = self._next_record()
        if not isinstance(record, Facts):
            raise self._channel.crashed("the decoder's answer makes no sense")
        try:
            PacketIndex.from_bytes(record.packet_index)
        except ValueError as error:
            raise self._channel.crashed(str(error)) from error
        self._facts = record
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
        self._channel.ask(
            {
                "ask": "pictures",
                "plan": plan.to_json(),
                "start_pts": start_pts,
                "end_pts": end_pts,
                "thumbnails": thumbnails,
                "raw": raw,
            }
        )
        if self._expecting is not None and self._facts is not None:
            # While the child does the same sums.
            size = self._expecting.size
            self._expecting.expect(
                byte_ranges.needed(plan, self._facts, size=size, start_pts=start_pts, end_pts=end_pts)
            )
        given_frames = given_bytes = warnings = 0
        while True:
            record = self._next_record()
            if isinstance(record, Facts | Attempted):
                raise self._channel.crashed("the decoder's answer makes no sense")
            if isinstance(record, Warned):
                warnings += 1
                if warnings > _MOST_WARNINGS:
                    raise self._channel.crashed("the decoder warns without end")
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
        self._channel.ask({"ask": "attempt", "what": what, "words": words}, wall_seconds=wall_seconds)
        record = self._next_record()
        if not isinstance(record, Attempted):
            raise self._channel.crashed("the decoder's answer makes no sense")
        return record

    def kill(self) -> None:
        """Stop at once; may be called from any thread. Whoever waits for a record gets `Cancelled`."""
        self._channel.kill()

    def _next_record(self) -> Facts | Picture | Warned | Attempted | Finished:
        if not self.layers:
            # Only now, so that the child loads its libraries while its parent does something else.
            self._check_locks(self._read_record())
        record = self._read_record()
        if isinstance(record, Locked):
            raise self._channel.crashed("the decoder's answer makes no sense")
        return record

    def _check_locks(self, first: Record) -> None:
        if not isinstance(first, Locked):
            raise self._channel.crashed("the decoder does not say what it has given up")
        self.layers = first.layers
        if self._required and (open_layers := unmet(self.layers)):
            self._channel.kill()
            raise FotogramaError("JAIL_INCOMPLETE", open_layers)

    def _read_record(self) -> Locked | Facts | Picture | Warned | Attempted | Finished:
        try:
            record: Record = read_record(self._channel.receive)
        except ProtocolError as error:
            raise self._channel.crashed(str(error)) from error
        if isinstance(record, Failed):
            raise FotogramaError.of(record.code, record.detail)
        return record


def unmet(layers: dict[str, str]) -> str:
    """The mandatory layers that do not hold, and why; empty where all do."""
    return "; ".join(f"{name}: {why}" for name, why in layers.items() if name in MANDATORY and why != ON)
