"""What holds of the service whatever happened to it. docs/reliability.md tells it to those who rely on it."""

import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from fotograma.extraction import extract
from fotograma.plan import Plan
from tests.end_to_end.service import ENDED, QUICK, Person, Service, all_gone, decoders_left
from tests.waiting import wait_until

Note = Callable[[str, object], None]

# As many plans of a scenario are compared with what the engine alone gives: each is as much work again.
MOST_REFERENCES = 20

# A mail whose sender died falls due again after 45 s.
MAIL_SECONDS = 75


@dataclass
class References:
    """What the engine alone makes of a file."""

    folder: Path
    _made: dict[tuple[Path, str], tuple[str, int, int]] = field(default_factory=dict)

    def of(self, path: Path, plan: dict[str, Any]) -> tuple[str, int, int]:
        """Hash, size and frames of the archive."""
        key = path, str(plan)
        if key not in self._made:
            sink = self.folder / f"{len(self._made)}.zip"
            summary = extract(path, Plan.from_json(plan), sink=sink)
            archive = sink.read_bytes()
            self._made[key] = hashlib.sha256(archive).hexdigest(), len(archive), summary.frames
            sink.unlink()
        return self._made[key]


@dataclass
class Promises:
    """Of one service, to the people who have signed up since the last look."""

    service: Service
    references: References
    note: Note

    def check(self, *, copies_of_a_mail: int = 1, within_seconds: float = 120) -> None:
        """Wait until the service has come to rest, then look at everything."""
        deadline = time.monotonic() + within_seconds
        if not any(worker.is_running() for worker in self.service.workers):
            self.service.start_workers(**QUICK)
        people = [*self.service.people]
        acknowledged = sum(len(person.acknowledged) for person in people)
        videos = {person: self._ended(person, deadline) for person in people}
        compared: set[str] = set()
        for person in people:
            for video in videos[person]:
                if video["status"] == "COMPLETED":
                    asked = f"{video['filename']}: {video['plan']}"
                    if len(compared) < MOST_REFERENCES:
                        compared.add(asked)
                    self._is_the_one_archive(person, video, compare=asked in compared)
            self._has_the_mails(person, videos[person], copies=copies_of_a_mail)
        self._others_see_nothing(people, videos)
        self._nothing_is_left()
        self._health_answers()
        self.note("acknowledged", acknowledged)
        self.service.people.clear()

    def _ended(self, person: Person, deadline: float) -> list[dict[str, Any]]:
        """All that was acknowledged is there and has ended, and so has what was taken without our hearing of it."""

        def look() -> list[dict[str, Any]]:
            videos = person.videos()
            assert person.acknowledged <= {video["id"] for video in videos}, "an acknowledged upload is gone"
            return videos if all(video["status"] in (*ENDED, "READY") for video in videos) else []

        if not person.videos():
            return []
        return wait_until(look, max(deadline - time.monotonic(), 1))

    def _is_the_one_archive(self, person: Person, video: dict[str, Any], *, compare: bool) -> None:
        archive = person.download(video)
        found = hashlib.sha256(archive).hexdigest(), len(archive), video["frames"]
        ((kept,),) = self.service.rows(
            "SELECT archive_sha256 FROM extractions WHERE id = %s AND status = 'COMPLETED'", video["extraction_id"]
        )

        assert (found[0], found[1]) == (kept, video["archive_bytes"])
        if compare:
            assert found == self.references.of(person.files[video["filename"]], video["plan"])

    def _has_the_mails(self, person: Person, videos: list[dict[str, Any]], *, copies: int) -> None:
        owed = "SELECT 1 FROM emails WHERE status = 'PENDING' AND recipient = %s"
        wait_until(lambda: not self.service.rows(owed, person.email), MAIL_SECONDS)
        mails = self.service.inbox.to(person.email)
        each = Counter(str(mail["Message-ID"]) for mail in mails)
        kinds = Counter({str(mail["Message-ID"]): str(mail["X-Fotograma-Kind"]) for mail in mails}.values())
        ended = [
            extraction["status"]
            for video in videos
            for extraction in person.call("get", f"/videos/{video['id']}/extractions", 200)
        ]
        expected = Counter(status.lower() for status in ended if status in ("COMPLETED", "FAILED"))
        undeliverable = "SELECT kind FROM emails WHERE status = 'FAILED' AND recipient = %s"
        expected -= Counter(kind for (kind,) in self.service.rows(undeliverable, person.email))

        # Of what was deleted since, nobody can tell any more whether its mail had gone out.
        assert expected <= kinds if person.has_deleted else expected == kinds
        assert not each or max(each.values()) <= copies, each
        if again := each.total() - len(each):
            self.note("mails that came again", again)

    def _others_see_nothing(self, people: list[Person], videos: dict[Person, list[dict[str, Any]]]) -> None:
        for person, other in itertools.pairwise(people):
            for video in videos[person][:1]:
                other.call("get", f"/videos/{video['id']}", 404)
                other.call("get", f"/videos/download/{video['id']}", 404)

    def _nothing_is_left(self) -> None:
        """No object without a row and no row without its object; no lease, decoder or temporary file."""
        if not _within(3, self._storage_is_as_told):
            # What the dead have left is found on the hourly round, with which a worker begins.
            self.service.start_workers(**QUICK)
            wait_until(self._storage_is_as_told, 20)
        held = "SELECT 1 FROM segments WHERE status IN ('PENDING', 'PROCESSING') OR lease_expires_at IS NOT NULL"
        wait_until(lambda: not self.service.rows(held), 15)
        wait_until(lambda: all_gone(decoders_left(self.service)), 15)
        # To ask after the storage's health is to write an object, and each writer clears up after dead ones.
        self._health_answers()
        wait_until(lambda: not [*(self.service.objects / ".staging").glob("*")], 5)

        assert not [*self.service.temporary.iterdir()]

    def _storage_is_as_told(self) -> bool:
        keys = self.service.object_keys()
        videos = self.service.rows("SELECT object_key FROM videos")
        archives = self.service.rows("SELECT archive_key FROM extractions WHERE archive_key IS NOT NULL")
        told = {key for (key,) in videos}
        for (key,) in archives:
            told |= {key.replace("frames.zip", name) for name in ("frames.zip", "rows", "thumbnails")}
        # An upload that broke off keeps its row for a day; its object may be there or not.
        broken_off = self.service.rows("SELECT object_key FROM uploads")
        return {key for key in keys if key[0] != "."} - {key for (key,) in broken_off} == told

    def _health_answers(self) -> None:
        """Within a second."""
        for path in ("live", "ready"):
            answer = httpx2.get(f"{self.service.url}/health/{path}", timeout=5)
            assert answer.status_code == 200, answer.text
            assert answer.elapsed.total_seconds() < 1


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
