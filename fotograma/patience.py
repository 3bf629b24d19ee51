"""How long a client goes on without getting anywhere, and with what it ends."""

import time

LONGEST_PAUSE_SECONDS = 8.0
# What passes by itself: another request has the upload, or a part of the service is away.
PASSING = frozenset({408, 423, 429, 460, 500, 502, 503, 504})


class Refused(Exception):
    """The service says no; `code` is stable, the message is for people."""

    def __init__(self, *, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        super().__init__(f"{code}: {message}")


class Unreachable(Exception):
    """Nothing came through for as long as was waited."""


class Passing(Refused):
    """A refusal that passes by itself."""


class Patience:
    """How long to go on without getting anywhere."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._done = -1
        self._deadline = 0.0
        self._pause_seconds = 0.0
        self._begin_anew()

    def heed(self, done: int) -> None:
        """So much is done; if that is more than before, all patience is back."""
        if done > self._done:
            self._done = done
            self._begin_anew()

    def wait(self, error: Exception) -> None:
        """Wait before trying again what ended so, a little longer each time; raise when it was long enough."""
        if time.monotonic() + self._pause_seconds > self._deadline:
            if isinstance(error, Refused):
                raise error
            raise Unreachable(f"The service can't be reached: {error}") from error
        time.sleep(self._pause_seconds)
        self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    def _begin_anew(self) -> None:
        self._deadline = time.monotonic() + self._seconds
        self._pause_seconds = 0.25
