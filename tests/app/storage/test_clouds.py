"""What only clouds' stores can do or get wrong: links of their own, parts, and the network in between."""

import datetime
import os
import re
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

from app.storage import Storage, StorageUnavailable
from app.storage.clouds import CloudStorage
from app.storage.credentials import RETRY, clouds_store
from tests.stores.doubles import Double
from tests.stores.faults import Faults
from tests.waiting import wait_until

MEGABYTE = 2**20
HOUR = datetime.timedelta(hours=1)
VIRTUAL = {"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}
STRICT = ["rclone", "google", "azurite"]

Stores = Callable[[str], Double]


def write(storage: Storage, key: str, content: bytes) -> None:
    with storage.open_writer(key, content_type="application/zip", filename="férias & mar.zip") as writer:
        for start in range(0, len(content), MEGABYTE):
            writer.write(content[start : start + MEGABYTE])


@pytest.mark.parametrize("name", STRICT)
def test_a_link_opens_its_object_for_anybody_under_its_name(stores: Stores, name: str):
    storage = stores(name).open()
    write(storage, "a/frames.zip", b"bytes")
    link = storage.signed_url("a/frames.zip", expires_in=HOUR, filename="férias & mar.zip")
    answer = httpx2.get(link.url)

    assert (answer.status_code, answer.content) == (200, b"bytes")
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"].endswith("; filename*=UTF-8''f%C3%A9rias%20%26%20mar.zip")
    assert abs(link.expires_at - datetime.datetime.now(datetime.UTC) - HOUR) < datetime.timedelta(minutes=1)


@pytest.mark.parametrize("name", STRICT)
def test_a_changed_link_opens_nothing(stores: Stores, name: str):
    storage = stores(name).open()
    for key in ("a/frames.zip", "b/frames.zip"):
        write(storage, key, b"bytes")
    url = storage.signed_url("a/frames.zip", expires_in=HOUR, filename="a.zip").url
    signature = re.search(r"(?:Signature|sig)=([^&]+)", url)[1]
    forged = ("0" if signature[0] != "0" else "1") + signature[1:]
    later = re.sub(r"(X-\w+-Expires=)3600", r"\g<1>7200", re.sub(r"([?&]se=)\d{4}", r"\g<1>2039", url))
    changed = [url.replace("a/frames", "b/frames"), url.replace(signature, forged), later]

    assert url not in changed
    assert [httpx2.get(link).status_code for link in changed] == [403, 403, 403]
    assert httpx2.put(url, content=b"x").status_code in (400, 403)
    assert httpx2.get(url).content == b"bytes"


@pytest.mark.parametrize("name", ["moto", "google", "azurite"])
@pytest.mark.parametrize("more", [{}, {"AWS_ENDPOINT_URL": "http://frames.localhost:9", **VIRTUAL}])
def test_the_site_that_pages_send_to_is_told_before(stores: Stores, name: str, more: dict[str, str]):
    double = stores(name)
    with double.reached(**more):
        storage = double.open(**more)
        origin = storage.landing_origin()
        landing = storage.open_landing("a", size_bytes=5, expires_in=HOUR, origin="https://frames.example")
        if landing.is_resumable:
            storage.end_landing(landing.url)

    assert origin == "{0.scheme}://{0.netloc}".format(urlsplit(landing.url))


@pytest.mark.parametrize("name", STRICT)
def test_an_expired_link_opens_nothing(stores: Stores, name: str):
    storage = stores(name).open()
    write(storage, "a", b"bytes")
    url = storage.signed_url("a", expires_in=datetime.timedelta(seconds=2), filename="a.zip").url

    wait_until(lambda: httpx2.get(url).status_code in (400, 403), 10)


def break_off(storage: Storage, double: Double) -> None:
    before = double.unfinished()
    with storage.open_writer("a", content_type="application/zip", filename="a.zip") as writer:
        for _ in range(20):
            writer.write(bytes(MEGABYTE))
        assert len(double.unfinished()) == len(before) + 1
        raise ConnectionResetError


@pytest.mark.parametrize("name", ["moto", "google"])
def test_what_breaks_off_leaves_no_part(stores: Stores, name: str):
    storage = stores(name).open()
    # Other tests leave sessions that nobody ends.
    before = stores(name).unfinished()
    with pytest.raises(ConnectionResetError):
        break_off(storage, stores(name))

    assert stores(name).unfinished() == before
    assert list(storage.list("")) == []


@pytest.fixture
def faults(stores: Stores) -> Iterator[Faults]:
    with Faults(stores("moto").port) as faults:
        yield faults


@pytest.fixture
def storage(stores: Stores, faults: Faults) -> Storage:
    """S3 on a way that can fail."""
    return stores("moto").open(AWS_ENDPOINT_URL=f"http://127.0.0.1:{faults.port}")


def test_what_fails_now_and_then_is_asked_again(storage: Storage, faults: Faults):
    faults.failing = 0.3
    contents = {f"results/{number}": os.urandom(number * 3 * MEGABYTE + 1) for number in range(8)}
    for key, content in contents.items():
        write(storage, key, content)

    assert {key: b"".join(storage.read(key)) for key in storage.list("results")} == contents
    storage.delete_prefix("results")
    assert list(storage.list("")) == []
    assert faults.faults["before"] + faults.faults["after"] > 5


def test_an_answer_that_breaks_off_goes_on_where_it_did(storage: Storage, faults: Faults):
    content = os.urandom(5 * MEGABYTE)
    write(storage, "a", content)
    faults.cut = 0.5

    for start in range(0, len(content), MEGABYTE):
        assert b"".join(storage.read("a", start=start)) == content[start:]
    assert faults.faults["cut"]


@pytest.mark.parametrize("name", ["moto", "google"])
def test_an_upload_whose_end_was_not_answered_is_there(stores: Stores, name: str):
    """What is asked to end again has ended, so that the store knows nothing of it."""
    double = stores(name)
    content = os.urandom(20 * MEGABYTE)
    with Faults(double.port) as faults:
        way = f"http://127.0.0.1:{faults.port}"
        storage = double.open(AWS_ENDPOINT_URL=way, GOOGLE_BASE_URL=way)
        faults.lost_answer = re.compile(r"POST .*[?&](uploadId|upload_id)=")
        write(storage, "a", content)
        kept = b"".join(storage.read("a"))

    assert faults.lost_answer is None
    assert kept == content


def open_hasty(double: Double, faults: Faults, *, most_retries: int) -> CloudStorage:
    """Of which obstore asks for next to nothing again."""
    with double.reached(AWS_ENDPOINT_URL=f"http://127.0.0.1:{faults.port}"):
        store = clouds_store(double.new_folder(), retry={**RETRY, "max_retries": most_retries})
    return CloudStorage(store, patient_store=store, signer=store, name=double.url, link_longest=HOUR)


def test_a_long_read_outlasts_more_cuts_than_obstore_does(stores: Stores, faults: Faults):
    """It counts them from the beginning of a stream, and seconds, too."""
    hasty = open_hasty(stores("moto"), faults, most_retries=1)
    content = os.urandom(20 * MEGABYTE)
    write(hasty, "a", content)
    faults.cut, faults.cut_from_bytes = 1, MEGABYTE // 2

    assert b"".join(hasty.read("a", start=5)) == content[5:]
    assert b"".join(hasty.read("a", start=7, length=9 * MEGABYTE)) == content[7 : 7 + 9 * MEGABYTE]
    assert faults.faults["cut"] > 8


def test_a_long_read_goes_on_with_no_other_object(stores: Stores, faults: Faults):
    hasty = open_hasty(stores("moto"), faults, most_retries=0)
    write(hasty, "a", bytes(8 * MEGABYTE))
    faults.cut = 1
    chunks = hasty.read("a")
    next(chunks)
    faults.cut = 0
    write(hasty, "a", os.urandom(8 * MEGABYTE))

    with pytest.raises(StorageUnavailable, match="replaced"):
        b"".join(chunks)


def test_for_how_long_a_store_asks_to_be_left_alone_is_known(storage: Storage, faults: Faults):
    asked = {storage.asked_pause()}
    for status in (429, 503):
        faults.throttled, faults.throttled_status, faults.retry_after_seconds = 1, status, status
        asked.add(storage.asked_pause())
    faults.throttled, faults.throttled_status = 1, 500
    asked.add(storage.asked_pause())

    assert asked == {datetime.timedelta(0), datetime.timedelta(seconds=429), datetime.timedelta(seconds=503)}


@pytest.mark.parametrize("status", [429, 503])
def test_a_store_that_asks_for_patience_gets_it(storage: Storage, faults: Faults, status: int):
    """It says for how long, which nobody reads: it is left alone by pauses that grow."""
    write(storage, "a", b"bytes")
    faults.throttled_status, faults.retry_after_seconds = status, 4
    faults.throttled_until = time.monotonic() + 4

    assert b"".join(storage.read("a")) == b"bytes"
    assert 3 <= faults.faults["throttled"] <= 12


def test_a_place_to_land_is_asked_for_again_and_let_go_again(stores: Stores):
    google = stores("google")
    with Faults(google.port) as faults:
        way = f"http://127.0.0.1:{faults.port}"
        more = {"GOOGLE_BASE_URL": way, "STORAGE_PUBLIC_URL": way}
        storage = google.open(**more)
        with google.reached(**more):
            faults.throttled, faults.throttled_status = 2, 503
            landing = storage.open_landing("a", size_bytes=5, expires_in=HOUR, origin="https://frames.example")
            faults.throttled = 2
            storage.end_landing(landing.url)
        put = httpx2.put(landing.url, content=b"bytes", headers=landing.headers)
        kept = list(storage.list(""))

    assert faults.faults["throttled"] == 4
    assert put.is_client_error
    assert kept == []


def lose_the_store(storage: Storage, faults: Faults) -> None:
    with storage.open_writer("a", content_type="application/zip", filename="a.zip") as writer:
        for _ in range(20):
            writer.write(bytes(MEGABYTE))
        faults.failing = 2
        for _ in range(40):
            writer.write(bytes(MEGABYTE))


def test_a_store_that_is_away_is_told_in_time_and_keeps_nothing(stores: Stores, faults: Faults):
    """Half of the archive is there when the store goes."""
    hasty = open_hasty(stores("moto"), faults, most_retries=4)
    started = time.monotonic()
    with pytest.raises(StorageUnavailable):
        lose_the_store(hasty, faults)
    faults.failing = 0

    assert time.monotonic() - started < 30
    assert list(hasty.list("")) == []


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("rclone", {"AWS_SECRET_ACCESS_KEY": "another"}, "lets us not write an object: .*SignatureDoesNotMatch"),
        ("azurite", {"AZURE_STORAGE_ACCOUNT_KEY": "bm8="}, "lets us not write an object: .*403"),
        ("google", {"STORAGE_PUBLIC_URL": "http://127.0.0.1:1"}, "lets us not fetch by its signed link an object"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(stores: Stores, name: str, wrong: dict[str, str], sentence: str):
    with pytest.raises(StorageUnavailable, match=sentence) as told:
        stores(name).open(**wrong).check()

    assert "\n" not in str(told.value)
    assert "ignature=" not in str(told.value)


def test_a_bucket_that_is_not_there_is_told(stores: Stores):
    with pytest.raises(StorageUnavailable, match=r"lets us not write an object: .*NoSuchBucket"):
        stores("moto").open("s3://nothing/a").check()


@pytest.mark.parametrize("url", ["s3://", "gs://bucket/../x", "az:///folder", "s3://bucket/a?b=c"])
def test_a_url_that_names_no_bucket_is_told(stores: Stores, url: str):
    with pytest.raises(ValueError, match="STORAGE_URL is"):
        stores("moto").open(url)


@pytest.mark.parametrize(
    ("name", "more", "longest"),
    [
        ("moto", {}, datetime.timedelta(days=7)),
        ("moto", {"AWS_SESSION_TOKEN": "of a role"}, HOUR),
        ("google", {}, datetime.timedelta(days=7)),
    ],
)
def test_a_link_is_promised_for_no_longer_than_it_works(
    stores: Stores, name: str, more: dict[str, str], longest: datetime.timedelta
):
    link = stores(name).open(**more).signed_url("a", expires_in=datetime.timedelta(days=30), filename="a.zip")

    assert f"-Expires={longest.total_seconds():.0f}&" in link.url
    assert abs(link.expires_at - datetime.datetime.now(datetime.UTC) - longest) < datetime.timedelta(minutes=1)
