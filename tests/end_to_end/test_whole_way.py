"""From sign-up to frames, as users go: over HTTP, with a real worker and real mail."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.local_stack.mailbox import first_link
from app.local_stack.processes import PROJECT, Part, Process, free_port
from app.settings import Settings
from app.storage import open_storage
from tests import broken_clips
from tests.clips import Clip, draw_clip
from tests.conftest import command
from tests.end_to_end.archives import manifest_of, pictures_in
from tests.end_to_end.service import Person, Service, answers
from tests.waiting import wait_until


@pytest.fixture(scope="module", autouse=True)
def worker(service: Service) -> Process:
    return service.start_workers()[0]


@pytest.fixture(scope="module")
def flower(service: Service) -> Iterator[str]:
    """The monitor; its address."""
    port = free_port()
    words = f"celery -A app.workers.celery_worker flower --address=127.0.0.1 --port={port}".split()
    environment = {**service.environment, "FLOWER_UNAUTHENTICATED_API": "true"}
    service.begin(
        "flower", Part("Flower", words, lambda _: answers(f"http://127.0.0.1:{port}/healthcheck"), environment)
    )
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def done(person: Person, clip: Clip) -> dict[str, Any]:
    """A video of which each second's frame was taken."""
    return person.wait_for(person.upload(clip.path), "COMPLETED")


@pytest.fixture
def shell(tmp_path: Path) -> Callable[[str], str]:
    """`shell("curl ...")`: what it prints; files are beside it."""
    if not shutil.which("curl"):
        if os.environ.get("CI"):
            pytest.fail("CI must have curl")
        pytest.skip("there is no curl here")

    def run(words: str) -> str:
        return subprocess.run(shlex.split(words), cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    return run


def test_lines_of_a_worker_name_the_request_that_asked_for_it(person: Person, worker: Process, clip: Clip):
    answer = person.try_upload(clip.path)
    person.wait_for(answer.json(), "COMPLETED")

    def events() -> list[str]:
        return [line for line in worker.output().splitlines() if answer.headers["X-Request-Id"] in line]

    assert wait_until(lambda: "extraction completed" in "".join(events()))
    assert "segment claimed" in events()[0]


def test_five_calls_of_curl_bring_the_frames(service: Service, clip: Clip, tmp_path: Path, shell):
    shutil.copy(clip.path, tmp_path / "video.mp4")
    url = service.url

    shell(
        f"""curl -sSf {url}/users/ -H "Content-Type: application/json"
        -d '{{"email": "me@example.com", "password": "correct horse"}}'"""
    )
    signed_in = shell(f"curl -sSf {url}/auth/token -d username=me@example.com -d 'password=correct horse'")
    sign = f'-H "Authorization: Bearer {json.loads(signed_in)["access_token"]}"'
    uploaded = json.loads(shell(f"curl -sSf {url}/videos/upload {sign} -F file=@video.mp4 -F interval=2"))
    wait_until(lambda: '"COMPLETED"' in shell(f"curl -sSf {url}/videos/status {sign}"), 30)
    shell(f"curl -sSf {url}/videos/download/{uploaded['id']} {sign} --output frames.zip")

    assert uploaded["status"] == "PENDING"
    assert pictures_in((tmp_path / "frames.zip").read_bytes()) == {
        "frame_00h00m00.000s.jpg": 0,
        "frame_00h00m02.000s.jpg": 50,
        "frame_00h00m04.000s.jpg": 100,
    }


def test_one_mail_comes_and_its_link_needs_no_login(person: Person, done: dict[str, Any]):
    mail = person.service.inbox.wait_for(lambda message: person.email in message["To"])
    link = first_link(mail)
    archive = httpx2.get(link)

    assert archive.status_code == 200
    assert archive.headers["Content-Type"] == "application/zip"
    assert archive.content == person.download(done)
    assert person.no_more_mail_comes() == ["completed"]


def test_a_link_that_was_changed_or_is_past_opens_nothing(person: Person, done: dict[str, Any]):
    link = person.call("get", f"/videos/{done['id']}/download-url", 200)["url"]
    key = re.search(r"/files/([^?]+)", link)[1]
    names = {name.lower(): value for name, value in person.service.environment.items()}
    storage = open_storage(Settings(_env_file=None, **names))
    past = storage.signed_url(key, expires_in=timedelta(seconds=-2), filename="frames.zip").url
    signed = re.search(r"signature=([0-9a-f]+)", link)[1]
    forged = link.replace(signed, signed[:-1] + ("0" if signed[-1] != "0" else "1"))

    assert httpx2.get(link).status_code == 200
    assert httpx2.get(forged).status_code == 403
    assert httpx2.get(re.sub(r"expires=(\d+)", r"expires=9\1", link)).status_code == 403
    assert httpx2.get(past).status_code == 410


def test_nobody_else_finds_anything(make_person: Callable[[], Person], done: dict[str, Any]):
    other = make_person()
    video, extraction = f"/videos/{done['id']}", f"/extractions/{done['extraction_id']}"

    for path in (video, f"{video}/extractions", f"/videos/download/{done['id']}", f"{video}/download-url"):
        other.call("get", path, 404)
    for path in (extraction, f"{extraction}/download", f"{extraction}/download-url"):
        other.call("get", path, 404)
    for path in (f"{video}/extractions", f"{video}/estimate"):
        other.call("post", path, 404, json={"mode": "all"})
    other.call("post", f"{extraction}/cancel", 404)
    other.call("delete", video, 404)
    assert other.call("get", "/videos/status", 200)["items"] == []


def test_the_archive_is_what_the_status_says(person: Person, done: dict[str, Any]):
    archive = person.download(done)
    manifest = manifest_of(archive)

    assert (len(archive), len(manifest["frames"])) == (done["archive_bytes"], done["frames"])
    assert [*pictures_in(archive)] == [frame["name"] for frame in manifest["frames"]]
    assert [*pictures_in(archive).values()] == [0, 25, 50, 75, 100]
    assert [frame["sequence"] for frame in manifest["frames"]] == [0, 1, 2, 3, 4]
    assert manifest["source"] == done["media"]
    assert done["progress"] == {"frames_done": 5, "frames_total": 5, "fraction": 1.0, "seconds_left": None}
    assert done["warnings"] == []


def test_a_video_can_be_looked_at_first_and_asked_of_later(person: Person, clip: Clip):
    video = person.wait_for(person.upload(clip.path, extract="false"), "READY")
    plan = {"mode": "every", "seconds": 2.5}
    told = person.call("post", f"/videos/{video['id']}/estimate", 200, json=plan)
    extraction = person.call("post", f"/videos/{video['id']}/extractions", 202, json=plan)
    person.wait_for(video, "COMPLETED")
    archive = person.client.get(f"/extractions/{extraction['id']}/download").content

    assert video["media"]["frames"] == 125
    assert [*pictures_in(archive).values()] == [0, 62]
    assert (told["frames"], told["times"]) == (2, [0, 2.48])
    assert person.no_more_mail_comes() == ["completed"]


@pytest.fixture(scope="module")
def bad_inputs(clips: Path, clip: Clip) -> dict[str, tuple[Path, str]]:
    """Files that are no good, and the code that says so."""

    def file(name: str, content: bytes) -> Path:
        path = clips / name
        path.write_bytes(content)
        return path

    return {
        "empty": (file("empty.mp4", b""), "NOT_A_VIDEO"),
        "text": (file("text.mp4", b"ffconcat version 1.0\nfile clip.mp4\n"), "NOT_A_VIDEO"),
        "picture": (file("picture.mp4", broken_clips.picture_file(".jpg")), "NOT_A_VIDEO"),
        "sound": (broken_clips.draw_sound(clips / "sound.mkv", cover=True), "NO_VIDEO_STREAM"),
        "encrypted": (broken_clips.encrypt(clip.path, clips / "encrypted.mp4"), "ENCRYPTED"),
    }


@pytest.mark.parametrize("name", ["empty", "text", "picture", "sound", "encrypted"])
def test_a_bad_file_is_told_and_harms_nothing(person: Person, worker: Process, bad_inputs, name: str):
    path, code = bad_inputs[name]
    video = person.wait_for(person.upload(path), "FAILED")
    mail = person.service.inbox.wait_for(lambda message: person.email in message["To"])

    assert video["error"]["code"] == code
    assert video["error"]["message"] in mail.get_body(("plain",)).get_content()
    assert person.no_more_mail_comes() == ["failed"]
    assert person.client.get(f"/videos/download/{video['id']}").status_code == 409
    assert worker.is_running()


def test_what_is_left_of_a_truncated_file_is_given_with_a_warning(person: Person, worker: Process, clips: Path):
    whole = draw_clip(clips / "whole.mkv", frames=125)
    cut = broken_clips.truncate(whole.path, clips / "cut.mkv", keep=0.6)
    video = person.wait_for(person.upload(cut), "COMPLETED")
    numbers = [*pictures_in(person.download(video)).values()]

    assert numbers == [0, 25, 50, 75, 100][: len(numbers)]
    assert 1 <= len(numbers) < 5
    assert "TRUNCATED" in [warning["code"] for warning in video["warnings"]]
    assert person.no_more_mail_comes() == ["completed"]
    assert worker.is_running()


def test_what_a_user_deletes_is_gone(person: Person, done: dict[str, Any]):
    before = person.service.objects_of(done)
    person.call("delete", f"/videos/{done['id']}", 204)

    assert {path.name for path in before} == {"source", "frames.zip", "rows", "thumbnails"}
    person.call("get", f"/videos/{done['id']}", 404)
    wait_until(lambda: not [path for path in before if path.exists()], 20)


def test_who_leaves_takes_everything_along(make_person: Callable[[], Person], clip: Clip):
    person = make_person()
    video = person.wait_for(person.upload(clip.path), "COMPLETED")
    before = person.service.objects_of(video)
    person.call("delete", "/users/me", 204)

    person.call("get", "/videos/status", 401)
    wait_until(lambda: not [path for path in before if path.exists()], 20)
    wait_until(lambda: not person.service.rows("SELECT 1 FROM videos WHERE id = %s", video["id"]), 10)


@pytest.mark.usefixtures("worker")
def test_a_worker_runs_a_segment_for_each_core(service: Service):
    words = ["-A", "app.workers.celery_worker", "inspect", "stats", "--json", "--timeout=5"]
    environment = {**os.environ, **service.environment}
    said = subprocess.run([command("celery"), *words], cwd=PROJECT, env=environment, capture_output=True, check=True)
    (stats,) = json.loads(said.stdout.splitlines()[0]).values()

    assert stats["pool"]["implementation"].endswith("thread:TaskPool")
    assert stats["pool"]["max-concurrency"] == os.cpu_count()


def test_the_monitor_shows_the_tasks(flower: str, person: Person, clip: Clip):
    person.wait_for(person.upload(clip.path), "COMPLETED")

    def succeeded() -> set[str]:
        tasks = httpx2.get(f"{flower}/api/tasks").json().values()
        return {task["name"] for task in tasks if task["state"] == "SUCCESS"}

    wait_until(lambda: succeeded() >= {"fotograma.segment", "fotograma.email"}, 15)
