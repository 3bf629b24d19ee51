"""The whole way on each cloud's store that checks who asks, by its double; links in mails lead straight there."""

import datetime
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import httpx2
import pytest

from app.local_stack.mailbox import first_link
from tests.clips import Clip
from tests.conftest import Inbox
from tests.end_to_end.archives import pictures_in
from tests.end_to_end.service import QUICK, Person, Service
from tests.stores.doubles import Double
from tests.stores.faults import Faults
from tests.waiting import wait_until

LATER = {"google": r"(X-Goog-Expires=)\d+", "rclone": r"(X-Amz-Expires=)\d+", "azurite": r"([?&]se=)\d{4}"}
LATEST = {"google": "604800", "rclone": "604800", "azurite": "2039"}

REFUSED = (400, 401, 403, 404)


@pytest.fixture(scope="module", params=[*LATER])
def double(request: pytest.FixtureRequest, stores: Callable[[str], Double]) -> Iterator[Double]:
    double = stores(request.param)
    with ExitStack() as stack:
        if request.param == "rclone":
            # It gives ranges as they are asked for, and calls them whole; on this way they are called what they are.
            faults = stack.enter_context(Faults(double.port))
            address = f"http://127.0.0.1:{faults.port}"
            double = replace(double, environment={**double.environment, "AWS_ENDPOINT_URL": address})
        yield replace(double, url=double.new_folder())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, mailbox: Inbox, double: Double) -> Iterator[Service]:
    service = Service.embedded(tmp_path_factory.mktemp("stores"), inbox=mailbox)
    service.more = {**double.environment, "STORAGE_URL": double.url}
    try:
        service.start()
        service.start_workers(**QUICK)
        yield service
    finally:
        service.stop()


def test_the_mails_link_leads_straight_to_the_store(service: Service, double: Double, person: Person, clip: Clip):
    video = person.wait_for(person.upload(clip.path, interval="2"), "COMPLETED")
    mail = service.inbox.wait_for(lambda message: person.email in message["To"])
    link = first_link(mail)
    downloaded = person.download(video)
    fresh = person.call("get", f"/videos/{video['id']}/download-url", 200)
    service.processes["api"].kill()
    archive = httpx2.get(link)
    part = httpx2.get(link, headers={"Range": "bytes=0-3"})
    service.begin_again("api")
    kept = {key.rpartition("/")[2] for key in double.open(double.url).list("")}

    assert not link.startswith(service.url)
    assert [*pictures_in(archive.content).values()] == [0, 50, 100]
    assert archive.headers["Content-Disposition"].endswith("; filename*=UTF-8''clip-frames.zip")
    assert (part.status_code, part.content) == (206, archive.content[:4])
    assert archive.content == downloaded
    assert httpx2.get(fresh["url"]).content == downloaded
    assert person.no_more_mail_comes() == ["completed"]
    assert kept == {"source", "frames.zip", "rows", "thumbnails"}


def test_a_changed_link_or_one_of_yesterday_is_refused(
    request: pytest.FixtureRequest, service: Service, double: Double, person: Person, clip: Clip
):
    name = request.node.callspec.params["double"]
    video = person.wait_for(person.upload(clip.path, interval="2"), "COMPLETED")
    link = first_link(service.inbox.wait_for(lambda message: person.email in message["To"]))
    signature = re.search(r"(?:Signature|sig)=([^&]+)", link)[1]
    forged = ("0" if signature[0] != "0" else "1") + signature[1:]
    source = link.replace(f"results/{video['extraction_id']}", f"videos/{video['id']}")
    later = re.sub(LATER[name], rf"\g<1>{LATEST[name]}", link)
    key = unquote(urlsplit(link).path).partition(f"{urlsplit(double.url).path}/")[2]
    storage = double.open(double.url)
    storage.stat(key)
    short = storage.signed_url(key, expires_in=datetime.timedelta(seconds=2), filename="a.zip").url

    assert link not in (source, later)
    for changed in (source, later, link.replace(signature, forged), link.partition("?")[0]):
        assert httpx2.get(changed).status_code in REFUSED, changed
    assert httpx2.delete(link).status_code in REFUSED
    wait_until(lambda: httpx2.get(short).status_code in REFUSED, 10)
    assert httpx2.get(link).status_code == 200
