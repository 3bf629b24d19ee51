"""The same through the running service: uploaded by one user, beside the videos of another."""

from pathlib import Path
from typing import Any

import psutil

from tests.attacks import bombs, disguises, encryption
from tests.attacks.bait import Bait
from tests.attacks.references import SECRET, Victim, references
from tests.end_to_end.archives import pictures_in
from tests.end_to_end.service import ENDED, Person, Service, all_gone, decoders
from tests.fotograma.conftest import Draw
from tests.waiting import wait_until

MOST_SECONDS = 60


def test_hostile_uploads_fail_by_themselves_and_harm_nobody(
    service: Service, person: Person, victim: Victim, bait: Bait, draw: Draw, tmp_path: Path
) -> None:
    [worker] = service.start_workers(SEGMENT_WALL_SECONDS="3")
    naming = references(victim, bait.url)
    own = draw("own.mp4", frames=5)
    attacks: dict[str, tuple[bytes, str]] = {
        "concat.mp4": (naming["concat-from-the-root"], "NOT_A_VIDEO"),
        "%2e%2e%2flist.m3u8": (naming["hls-http"], "NOT_A_VIDEO"),
        "img%03d.jpg": (naming["hls-file-url"], "NOT_A_VIDEO"),
        "notes.txt": (naming["tty"], "NOT_A_VIDEO"),
        "screen.gif": (bombs.gif(16_000, 16_000, pictures=2000), "LIMIT_PIXELS"),
        "dots.gif": (bombs.gif(8000, 8000, pictures=20_000), "LIMIT_TIME"),
        "secret.mp4": (encryption.draw_encrypted(tmp_path / "s.mp4").read_bytes(), "ENCRYPTED"),
        "<script>.mp4": (disguises.tagged_movie(own, disguises.HOSTILE_TEXTS["controls"]), ""),
        "concat:a|b": (own.path.read_bytes(), ""),
    }
    uploads = {}
    for name, (data, _) in attacks.items():
        answer = person.call("post", "/videos/upload", 202, files={"file": (name, data)}, data={"interval": "1"})
        uploads[name] = answer

    ended = {name: _end_of(person, upload) for name, upload in uploads.items()}

    assert {name: (video["error"] or {}).get("code", "") for name, video in ended.items()} == {
        name: code for name, (_, code) in attacks.items()
    }
    assert bait.calls == []
    assert all(SECRET not in str(video) for video in ended.values())
    for name in ("<script>.mp4", "concat:a|b"):
        assert list(pictures_in(person.download(ended[name])).values()) == [0]
    # The worker is the one that was started, has no decoder left, and takes the next video.
    assert psutil.Process(worker.pid).is_running()
    wait_until(lambda: all_gone(decoders(worker)), 5)
    assert person.wait_for(person.upload(own.path), "COMPLETED")["frames"] == 1


def _end_of(person: Person, upload: dict[str, Any]) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        now = person.video(upload)
        return now if now["status"] in ENDED else None

    ended = wait_until(look, MOST_SECONDS)
    assert ended is not None
    return ended
