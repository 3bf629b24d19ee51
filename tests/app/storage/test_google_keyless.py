"""Google's store for a machine that has an account and no key: IAM signs the links, in the account's name."""

import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from app.settings import Settings
from app.storage import Storage, StorageUnavailable, open_storage
from tests.stores.doubles import Double
from tests.stores.google_machine import Machine

HALF_A_DAY = datetime.timedelta(hours=12)


@pytest.fixture
def machine(stores: Callable[[str], Double], tmp_path: Path) -> Iterator[Machine]:
    account = json.loads(Path(stores("google").environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
    with Machine(account, tmp_path) as machine:
        yield machine


@pytest.fixture
def storage(stores: Callable[[str], Double], machine: Machine) -> Iterator[Storage]:
    """Opened and used on that machine."""
    double = stores("google")
    with double.reached(**machine.environment) as patch:
        patch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
        yield open_storage(
            Settings(
                _env_file=None,
                secret_key="a key that only this test knows of",
                storage_url=double.new_folder(),
                storage_public_url=f"http://127.0.0.1:{double.port}",
            )
        )


def test_it_writes_reads_signs_and_deletes_with_the_machines_account(storage: Storage, machine: Machine):
    storage.check()

    assert machine.asked["token"] > 0
    assert machine.asked["signature"] > 0


def test_a_link_is_signed_by_iam_and_promised_for_half_a_day(storage: Storage, machine: Machine):
    with storage.open_writer("a/frames.zip", content_type="application/zip", filename="a.zip") as writer:
        writer.write(b"bytes")
    link = storage.signed_url("a/frames.zip", expires_in=datetime.timedelta(days=7), filename="a.zip")
    changed = link.url.replace("a/frames", "b/frames")

    assert httpx2.get(link.url).content == b"bytes"
    assert httpx2.get(changed).status_code == httpx2.delete(link.url).status_code == 403
    assert "X-Goog-Expires=43200&" in link.url
    assert abs(link.expires_at - datetime.datetime.now(datetime.UTC) - HALF_A_DAY) < datetime.timedelta(minutes=1)
    assert machine.account["client_email"] in link.url.replace("%40", "@")


def test_an_account_that_may_not_sign_is_told_at_the_start(storage: Storage, machine: Machine):
    machine.may_sign = False
    with pytest.raises(StorageUnavailable, match=r"lets us not sign a link to an object: .*signBlob") as told:
        storage.check()

    assert "\n" not in str(told.value)


def test_a_video_lands_in_the_store_by_a_session_of_the_machines_account(storage: Storage):
    landing = storage.open_landing("videos/1/landing", size_bytes=5, expires_in=HALF_A_DAY, origin="https://a.example")
    put = httpx2.put(landing.url, content=b"bytes", headers=landing.headers)

    assert put.status_code == 200
    assert b"".join(storage.read("videos/1/landing")) == b"bytes"
