"""The oldest PostgreSQL that is promised, a plain Redis and an S3, given by the environment as in production: two APIs
and three workers, none of which has a file of another."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from app.local_stack.mailbox import first_link
from app.local_stack.processes import PROJECT, Part, free_port
from tests.clips import Clip
from tests.conftest import Inbox, command, needs
from tests.end_to_end.archives import pictures_in
from tests.end_to_end.service import QUICK, Foundation, Person, Service, answers, answers_sql, takes_connections
from tests.stores.doubles import Double
from tests.waiting import wait_until

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="module")
def postgres_15() -> Iterator[Foundation]:
    needs(POSTGRES_15.exists(), "PostgreSQL 15")
    # Not under pytest's own folder, which is closed to the user that PostgreSQL runs as when we are root.
    folder = Path(tempfile.mkdtemp(prefix="postgres-15-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_user = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--"]
    port, password = free_port(), "a password with spaces @ and /"
    (folder / "password").write_text(password)
    words = f"-D {folder}/data -U frames -A scram-sha-256 --pwfile={folder}/password".split()
    subprocess.run([*as_user, POSTGRES_15 / "initdb", *words], check=True, capture_output=True, cwd="/")
    environment = {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(port),
        "DB_USER": "frames",
        "DB_PASSWORD": password,
        "DB_NAME": "postgres",
    }
    words = f"-D {folder}/data -p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off".split()
    part = Part(
        "PostgreSQL 15",
        [*as_user, str(POSTGRES_15 / "postgres"), *words],
        lambda _: answers_sql(environment),
        stop_signal=signal.SIGINT,
    )
    yield Foundation(part, environment)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def plain_redis(tmp_path_factory: pytest.TempPathFactory) -> Foundation:
    needs(shutil.which("redis-server"), "Redis")
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    folder = tmp_path_factory.mktemp("redis")
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    return Foundation(Part("Redis", words, lambda _: takes_connections(url)), {"REDIS_URL": url})


@pytest.fixture(scope="module")
def objects(stores: Callable[[str], Double]) -> tuple[Double, str]:
    """An S3, and the STORAGE_URL of a folder in it."""
    return stores("moto"), stores("moto").new_folder()


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_15: Foundation,
    plain_redis: Foundation,
    objects: tuple[Double, str],
    mailbox: Inbox,
) -> Iterator[Service]:
    """The service on parts that are none of ours."""
    double, url = objects
    service = Service(
        tmp_path_factory.mktemp("outside"),
        database=postgres_15,
        broker=plain_redis,
        inbox=mailbox,
        more={**double.environment, "STORAGE_URL": url},
    )
    try:
        service.start()
        service.start_workers(3, **QUICK)
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def second_api(service: Service) -> str:
    """The address of another API."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = f"uvicorn main:app --port {port}".split()
    is_live = f"{url}/health/live"
    second = Part("Second API", words, lambda _: answers(is_live), service.environment, healthy_within_seconds=90)
    service.begin("second api", second)
    return url


def test_the_whole_way_works(service: Service, second_api: str, person: Person, clip: Clip):
    video = person.wait_for(person.upload(clip.path, interval="2"), "COMPLETED")
    mail = service.inbox.wait_for(lambda message: person.email in message["To"])
    archive = person.download(video)
    asked = {"Authorization": person.client.headers["Authorization"], "Range": "bytes=10-"}
    rest = httpx2.get(f"{second_api}/videos/download/{video['id']}", headers=asked)
    ((version,),) = service.rows("SHOW server_version")

    assert version.startswith("15.")
    assert [*pictures_in(archive).values()] == [0, 50, 100]
    assert (rest.status_code, rest.content) == (206, archive[10:])
    assert httpx2.get(first_link(mail)).content == archive
    assert person.no_more_mail_comes() == ["completed"]


def test_an_upload_goes_on_at_another_api_and_is_cut_for_all_workers(
    service: Service, second_api: str, person: Person, long_clip: Clip
):
    content = long_clip.path.read_bytes()
    half = len(content) // 2
    tus = {"Tus-Resumable": "1.0.0"}
    plan = b64encode(b'{"mode": "every", "seconds": 1}').decode()
    begun = {**tus, "Upload-Length": str(len(content)), "Upload-Metadata": f"plan {plan}"}
    place = person.client.post("/uploads/", headers=begun).headers["Location"]
    for url, start, piece in ((service.url, 0, content[:half]), (second_api, half, content[half:])):
        body = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(start)}
        answer = person.client.patch(f"{url}{place}", headers={**tus, **body}, content=piece)
        assert answer.status_code == 204
    video = person.wait_for({"id": place.rpartition("/")[2]}, "COMPLETED", within_seconds=120)

    assert video["bytes"] == len(content)
    assert len(pictures_in(person.download(video))) == video["frames"]


def test_what_is_deleted_is_gone_from_the_store(objects: tuple[Double, str], person: Person, clip: Clip):
    double, url = objects
    storage = double.open(url)
    unfinished_before = set(double.unfinished())
    video = person.wait_for(person.upload(clip.path), "COMPLETED")
    held = [key for key in storage.list("") if video["id"] in key or video["extraction_id"] in key]
    person.call("delete", f"/videos/{video['id']}", 204)

    assert {key.rpartition("/")[2] for key in held} == {"source", "frames.zip", "rows", "thumbnails"}
    wait_until(lambda: not set(held) & set(storage.list("")), 30)
    assert set(double.unfinished()) <= unfinished_before


def test_the_tables_are_those_of_the_code(service: Service):
    environment = {"PATH": os.environ["PATH"], **service.environment}
    said = subprocess.run([command("alembic"), "check"], cwd=PROJECT, env=environment, check=True, capture_output=True)

    assert b"No new upgrade operations" in said.stdout + said.stderr


def test_a_redis_that_forgets_everything_costs_no_work(service: Service, person: Person, clip: Clip):
    service.processes["broker"].kill()
    videos = [person.upload(clip.path) for _ in range(3)]
    service.begin("broker", service.broker.part)

    for video in videos:
        assert person.wait_for(video, "COMPLETED")["frames"] == 5
