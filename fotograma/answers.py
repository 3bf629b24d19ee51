"""The trusted side of a jailed child's reads: bytes by offset and size, answered on a thread of their own.

So a child reads on while its parent is busy with its pictures. What it asks for must lie within the video, and only
once it has taken one answer it may ask for another.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextvars import copy_context

from fotograma.errors import DecoderCrashed
from fotograma.readers import READ_ANSWER, READ_MOST_BYTES, READ_REQUEST, RandomReader, read_some

# For a read that is on its way when the child has ended; who lends a reader may close it then.
_END_SECONDS = 5.0


class Answers:
    """Answers the reads of one child until it ends."""

    def __init__(self, reader: RandomReader, channel: socket.socket, *, on_failure: Callable[[], None]) -> None:
        """
        Args:
            reader: the video.
            channel: to the child; closed at the end.
            on_failure: called once there is an `error`, from the thread that answers.
        """
        self.error: Exception | None = None
        """Why no more is answered, where that is not the child's end."""
        self._reader = reader
        self._channel = channel
        self._on_failure = on_failure
        # Together, so that nobody sees the one without the other.
        self._read_seconds: tuple[float, float | None] = (0.0, None)
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="reads", daemon=True)

    def start(self) -> None:
        """Tell the child the video's size, and answer from now on."""
        self._channel.sendall(self._reader.size.to_bytes(8, "little"))
        self._thread.start()

    def close(self) -> None:
        """End; the child has ended before."""
        if self._thread.ident is not None:
            self._channel.shutdown(socket.SHUT_RDWR)
            self._thread.join(_END_SECONDS)
        self._channel.close()

    @property
    def read_seconds(self) -> float:
        """For how long the child has waited for the reader."""
        seconds, since = self._read_seconds
        return seconds + (0.0 if since is None else time.monotonic() - since)

    def _run(self) -> None:
        try:
            while self._answer_next():
                pass
        except Exception as error:
            # Of the reader's own making, too: whoever waits for the child is to hear of it.
            self.error = error
            self._on_failure()

    def _answer_next(self) -> bool:
        """False: the child has ended."""
        try:
            request = self._channel.recv(READ_REQUEST.size, socket.MSG_WAITALL)
        except OSError:
            return False
        if len(request) < READ_REQUEST.size:
            return False
        offset, size = READ_REQUEST.unpack(request)
        if not 0 < size <= READ_MOST_BYTES or offset + size > self._reader.size:
            raise DecoderCrashed(detail="the decoder asks for what can't be")
        self._read_seconds = self.read_seconds, time.monotonic()
        try:
            data = read_some(self._reader, offset, size)
        finally:
            self._read_seconds = self.read_seconds, None
        try:
            if self._asks_on():
                raise DecoderCrashed(detail="the decoder asks without end")
            self._channel.sendall(READ_ANSWER.pack(len(data)) + data)
        except OSError:
            return False
        return True

    def _asks_on(self) -> bool:
        try:
            return bool(self._channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False
