"""Videos from elsewhere, with a real worker that fetches them."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.local_stack.processes import Part
from tests.clips import Clip
from tests.end_to_end.archives import pictures_in
from tests.end_to_end.service import Person, Service, answers

OPEN = {"IMPORT_BY_URL": "true", "OUTBOUND_NETWORKS": "127.0.0.1/32", "USER_STORED_MAX_BYTES": "3000000"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def imports(service: Service) -> Iterator[None]:
    """The service lets its users import, as long as these tests last."""
    usual = service.processes["api"]
    words = f"uvicorn main:app --port {service.port}".split()
    usual.stop()
    service.begin(
        "api", Part("API", words, lambda _: answers(f"{service.url}/health/live"), {**service.environment, **OPEN})
    )
    service.start_workers(**OPEN)
    yield
    service.processes["api"].stop()
    service.begin("api", usual.part)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A folder as a web site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_video_from_elsewhere_gives_its_frames(person: Person, site: str, clip: Clip, tmp_path: Path):
    (tmp_path / "clip.mp4").write_bytes(clip.path.read_bytes())
    asked = {"url": f"{site}/clip.mp4", "plan": {"mode": "every", "seconds": 2}}
    video = person.wait_for(person.call("post", "/videos/import", 202, json=asked), "COMPLETED")

    assert video["bytes"] == clip.path.stat().st_size
    assert [*pictures_in(person.download(video)).values()] == [0, 50, 100]
    assert person.no_more_mail_comes() == ["completed"]


def test_what_is_not_there_or_too_large_fails_and_leaves_nothing(
    service: Service, person: Person, site: str, tmp_path: Path
):
    (tmp_path / "large.mp4").write_bytes(bytes(3_000_001))
    failed = {
        name: person.wait_for(person.call("post", "/videos/import", 202, json={"url": f"{site}/{name}"}), "FAILED")
        for name in ("missing.mp4", "large.mp4")
    }

    assert failed["missing.mp4"]["error"]["code"] == "IMPORT_REFUSED"
    assert failed["large.mp4"]["error"]["code"] == "IMPORT_LIMIT"
    assert [service.objects_of(video) for video in failed.values()] == [[], []]
