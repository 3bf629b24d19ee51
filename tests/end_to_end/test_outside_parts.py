"""The oldest PostgreSQL that is promised and a plain Redis, given by the environment as in production."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.local_stack.mailbox import first_link
from app.local_stack.processes import PROJECT, Part, free_port
from tests.clips import Clip
from tests.conftest import Inbox, command, needs
from tests.end_to_end.archives import pictures_in
from tests.end_to_end.service import QUICK, Foundation, Person, Service, answers_sql, takes_connections

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
def service(
    tmp_path_factory: pytest.TempPathFactory, postgres_15: Foundation, plain_redis: Foundation, mailbox: Inbox
) -> Iterator[Service]:
    """The service on parts that are none of ours."""
    service = Service(tmp_path_factory.mktemp("outside"), database=postgres_15, broker=plain_redis, inbox=mailbox)
    try:
        service.start()
        service.start_workers(**QUICK)
        yield service
    finally:
        service.stop()


def test_the_whole_way_works(service: Service, person: Person, clip: Clip):
    video = person.wait_for(person.upload(clip.path, interval="2"), "COMPLETED")
    mail = service.inbox.wait_for(lambda message: person.email in message["To"])
    ((version,),) = service.rows("SHOW server_version")

    assert version.startswith("15.")
    assert [*pictures_in(person.download(video)).values()] == [0, 50, 100]
    assert person.client.get(first_link(mail)).status_code == 200
    assert person.no_more_mail_comes() == ["completed"]


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
