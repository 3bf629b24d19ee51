"""Reads a video that lies elsewhere by range, several ranges at once, before they are asked for.

What a plan needs is known beforehand (`expect`): it is fetched in that order into memory, a bounded stretch ahead, and
dropped once it is read. All else, such as a container's table, is fetched when it is asked for, more at a time where it
is read on and on, and kept: in memory, from some size on in a temporary file. So no byte of it is fetched twice.
"""

import bisect
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from fotograma import byte_ranges
from fotograma.byte_ranges import PIECE_BYTES, SMALL_BYTES
from fotograma.errors import StorageUnavailable
from fotograma.readers import ByteRange

CONNECTIONS = 8
# Of what is to be read, in memory.
AHEAD_BYTES = 32 * 2**20
# Of what is being read or just was: decoders side by side are at different places.
BEHIND_BYTES = 32 * 2**20
# Of what is kept; more of it goes into a temporary file.
KEPT_BYTES = 32 * 2**20
# The first request: it says what the file is, and where its table.
FIRST_BYTES = 2**16
# Who has read so much one after another reads on.
READ_ON_BYTES = 2**20
# Without a byte, whatever is tried to get it.
SILENCE_SECONDS = 60.0
# What is fetched where only the head of something unforeseen is asked for: as much as FFmpeg reads at a time.
LEAST_BYTES = 2**18
HEAD_BYTES = 2**12

Fetch = Callable[[int, int], Generator[bytes, None, None]]
"""The bytes of a video from an offset, so many, in chunks; called on any thread. What it raises, the reader raises."""


@dataclass(eq=False)
class _Piece:
    """Bytes of the video that are here, or on their way."""

    start: int
    end: int
    place: int | None
    """In the order of what is expected; none for what is kept."""
    data: bytearray = field(default_factory=bytearray)
    come: int = 0
    """How many bytes of it are here."""
    kept_at: int | None = None
    """Where in the store of what is kept."""
    touched: int = 0
    """When it was read last, by the number of that read."""
    error: Exception | None = None
    heard_at: float = field(default_factory=time.monotonic)
    """When a byte of it came last."""

    @property
    def is_whole(self) -> bool:
        return self.come == self.end - self.start


class AheadReader:
    """A video of which any range can be fetched, as a reader for `extract` and `probe`. Close it in the end."""

    def __init__(self, fetch: Fetch, *, size: int, silence_seconds: float = SILENCE_SECONDS) -> None:
        self.size = size
        self._silence_seconds = silence_seconds
        self.bytes_fetched = 0
        self.requests = 0
        self._fetch = fetch
        self._changed = threading.Condition()
        self._closed = False
        # In the order of the file; none overlaps another.
        self._pieces: list[_Piece] = []
        self._expected: deque[tuple[int, ByteRange]] = deque()
        # Number of the piece that was read farthest.
        self._front = -1
        self._under_way = 0
        self._reads = 0
        self._sequence_end = self._in_sequence = 0
        # Closed with the reader, not with a block.
        self._kept = tempfile.SpooledTemporaryFile(max_size=KEPT_BYTES)  # noqa: SIM115
        self._kept_bytes = 0
        with self._changed:
            first = size if size <= SMALL_BYTES else FIRST_BYTES
            for part in byte_ranges.pieces([ByteRange(0, first)]):
                self._start(part, place=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all; may be called from any thread, and whoever reads then is told so."""
        with self._changed:
            self._closed = True
            self._pieces.clear()
            self._expected.clear()
            self._kept.close()
            self._changed.notify_all()

    def expect(self, ranges: Sequence[ByteRange]) -> None:
        """Fetch these ahead, in this order; or the whole file where that takes no longer."""
        whole = ByteRange(0, self.size)
        if any(part != whole for part in ranges) and byte_ranges.is_whole_cheaper(self.size, set(ranges)):
            ranges = [whole]
        with self._changed:
            self._expected = deque(enumerate(byte_ranges.pieces(ranges), start=self._front + 1))
            self._go_on()

    def read_at(self, offset: int, size: int) -> bytes:
        """Some of these bytes, at least one: as many as are here.

        Raises:
            StorageUnavailable: they can't be fetched, or the reader was closed.
        """
        with self._changed:
            piece = self._piece_at(offset) or self._start_at(offset, size)
            while piece.start + piece.come <= offset and piece.error is None and not self._closed:
                left_seconds = piece.heard_at + self._silence_seconds - time.monotonic()
                if left_seconds <= 0:
                    raise StorageUnavailable(detail=f"no byte came for {self._silence_seconds:g} s")
                self._changed.wait(left_seconds)
            if self._closed:
                raise StorageUnavailable(detail="the video is read no more")
            if piece.error is not None:
                raise piece.error
            data = self._bytes_of(piece, offset, size)
            self._reads += 1
            piece.touched = self._reads
            if piece.place is None:
                self._read_on(offset, len(data))
            elif piece.place > self._front:
                self._front = piece.place
                self._go_on()
            return data

    def _bytes_of(self, piece: _Piece, offset: int, size: int) -> bytes:
        begin = offset - piece.start
        size = min(size, piece.come - begin)
        if piece.kept_at is None:
            return bytes(memoryview(piece.data)[begin : begin + size])
        self._kept.seek(piece.kept_at + begin)
        return self._kept.read(size)

    def _piece_at(self, offset: int) -> _Piece | None:
        place = bisect.bisect_right(self._pieces, offset, key=lambda piece: piece.start) - 1
        return self._pieces[place] if place >= 0 and offset < self._pieces[place].end else None

    def _next_start(self, offset: int) -> int:
        """Where the first piece behind `offset` begins."""
        place = bisect.bisect_right(self._pieces, offset, key=lambda piece: piece.start)
        return self._pieces[place].start if place < len(self._pieces) else self.size

    def _start_at(self, offset: int, size: int) -> _Piece:
        """Fetch what was not foreseen, or not so soon; no more than is asked for, if that is no mere head."""
        step = self._step_bytes(offset)
        if step == LEAST_BYTES and size > HEAD_BYTES:
            step = size
        end = min(offset + max(step, size), self._next_start(offset))
        return self._start(ByteRange(offset, end), place=None)

    def _step_bytes(self, offset: int) -> int:
        if offset != self._sequence_end:
            return LEAST_BYTES
        return max(LEAST_BYTES, min(self._in_sequence // 4, PIECE_BYTES))

    def _read_on(self, offset: int, size: int) -> None:
        """The more was read one after another, the more is fetched ahead."""
        self._in_sequence = self._in_sequence + size if offset == self._sequence_end else size
        self._sequence_end = offset + size
        step = self._step_bytes(self._sequence_end)
        until = min(self._sequence_end + min(AHEAD_BYTES, self._in_sequence - READ_ON_BYTES), self.size)
        place = self._sequence_end
        while place + step <= until or place < until == self.size:
            piece = self._piece_at(place)
            if piece is None:
                piece = self._start(ByteRange(place, min(place + step, self._next_start(place))), place=None)
            place = piece.end

    def _go_on(self) -> None:
        """Fetch of what is expected as much as there is room for, and drop what is behind."""
        expected = [(piece.place, piece) for piece in self._pieces if piece.place is not None]
        ahead = sum(piece.end - piece.start for place, piece in expected if place > self._front)
        while self._expected and self._under_way < CONNECTIONS and ahead < AHEAD_BYTES:
            place, part = self._expected.popleft()
            at = part.start
            while at < part.end:
                known = self._piece_at(at)
                if known is None:
                    known = self._start(ByteRange(at, min(part.end, self._next_start(at))), place=place)
                    ahead += known.end - at
                at = known.end
        behind = [piece for place, piece in expected if place <= self._front and piece.is_whole]
        too_many = sum(piece.end - piece.start for piece in behind) - BEHIND_BYTES
        for piece in sorted(behind, key=lambda piece: piece.touched):
            if too_many <= 0:
                break
            too_many -= piece.end - piece.start
            self._pieces.remove(piece)

    def _start(self, part: ByteRange, *, place: int | None) -> _Piece:
        piece = _Piece(*part, place=place, touched=self._reads)
        bisect.insort(self._pieces, piece, key=lambda piece: piece.start)
        self.requests += 1
        self._under_way += place is not None
        # In the context of who asks, so that what is logged there says for whom it was.
        run = copy_context().run
        threading.Thread(target=run, args=(self._run, piece), name="fetch", daemon=True).start()
        return piece

    def _run(self, piece: _Piece) -> None:
        """Fetch a piece, on a thread of its own."""
        size = piece.end - piece.start
        try:
            with closing(self._fetch(piece.start, size)) as chunks:
                for chunk in chunks:
                    with self._changed:
                        if self._closed:
                            return
                        piece.data += chunk
                        piece.come = min(len(piece.data), size)
                        piece.heard_at = time.monotonic()
                        self.bytes_fetched += len(chunk)
                        self._changed.notify_all()
            if len(piece.data) != size:
                raise StorageUnavailable(detail=f"of {size} bytes at {piece.start} came {len(piece.data)}")
            with self._changed:
                if piece.place is None and not self._closed:
                    self._keep(piece)
        except OSError as error:
            piece.error = StorageUnavailable(detail=str(error))
        except Exception as error:
            piece.error = error
        finally:
            with self._changed:
                self._under_way -= piece.place is not None
                if not self._closed:
                    self._go_on()
                self._changed.notify_all()

    def _keep(self, piece: _Piece) -> None:
        self._kept.seek(self._kept_bytes)
        self._kept.write(piece.data)
        piece.kept_at, piece.data = self._kept_bytes, bytearray()
        self._kept_bytes += piece.end - piece.start
