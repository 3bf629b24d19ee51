"""Somebody who listens to `/events` and remembers what came."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2

from tests.waiting import wait_until


@dataclass(frozen=True)
class Event:
    """One event as it came."""

    kind: str
    data: Any
    id: str | None


@dataclass
class Listener:
    """Listens from a thread until it is cut off, or the server ends the stream; then it may listen again."""

    url: str
    headers: dict[str, str]
    events: list[Event] = field(default_factory=list)
    comments: int = 0
    last_id: str | None = None
    has_ended: bool = False

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def listen(self, url: str | None = None) -> None:
        """Connect, as an EventSource does: with the id that came last."""
        self.has_ended = False
        headers = {**self.headers, **({"Last-Event-ID": self.last_id} if self.last_id else {})}
        self._client = httpx2.Client(timeout=httpx2.Timeout(5, read=60))
        request = self._client.build_request("GET", f"{url or self.url}/events", headers=headers)
        self._answer = self._client.send(request, stream=True)
        assert self._answer.status_code == 200, self._answer.read()
        assert self._answer.headers["Content-Type"].startswith("text/event-stream")
        self._thread = threading.Thread(target=self._run, args=(self._answer,), daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break the connection off."""
        stream = self._answer.extensions["network_stream"]
        with suppress(OSError):
            stream.get_extra_info("socket").shutdown(2)
        self._thread.join()
        self._answer.close()
        self._client.close()

    @property
    def videos(self) -> dict[str, dict[str, Any]]:
        """The last state of each video that came."""
        return {event.data["id"]: event.data for event in list(self.events) if event.kind == "video"}

    def wait_for(self, fits: Callable[[Event], bool], within_seconds: float = 10) -> Event:
        """The first event that fits, once it is there."""
        return wait_until(lambda: [*filter(fits, list(self.events))], within_seconds)[0]

    def wait_for_status(self, video: dict[str, Any], status: str, within_seconds: float = 10) -> dict[str, Any]:
        """A video's state, once it is told to be so."""
        event = self.wait_for(
            lambda event: event.kind == "video" and event.data["id"] == video["id"] and event.data["status"] == status,
            within_seconds,
        )
        return event.data

    def wait_for_snapshot(self, number: int = 1) -> Event:
        """The end of how things stood."""
        return wait_until(lambda: [event for event in list(self.events) if event.kind == "snapshot"][number - 1 :])[0]

    def _run(self, answer: httpx2.Response) -> None:
        lines: dict[str, str] = {}
        with suppress(httpx2.TransportError):
            for line in answer.iter_lines():
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    lines[name] = value
                elif lines:
                    self.last_id = lines.get("id", self.last_id)
                    self.events.append(Event(lines["event"], json.loads(lines["data"]), lines.get("id")))
                    lines = {}
        self.has_ended = True
