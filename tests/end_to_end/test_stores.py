"""The whole way on a store that checks each token and signature: Google's, by its double."""

import re
from collections.abc import Callable, Iterator

import httpx2
import pytest

from app.local_stack.mailbox import first_link
from tests.clips import Clip
from tests.conftest import Inbox
from tests.end_to_end.archives import pictures_in
from tests.end_to_end.service import QUICK, Person, Service
from tests.stores.doubles import Double


@pytest.fixture(scope="module")
def google(stores: Callable[[str], Double]) -> Double:
    return stores("google")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, mailbox: Inbox, google: Double) -> Iterator[Service]:
    service = Service.embedded(tmp_path_factory.mktemp("stores"), inbox=mailbox)
    service.more = {**google.environment, "STORAGE_URL": google.new_folder()}
    try:
        service.start()
        service.start_workers(**QUICK)
        yield service
    finally:
        service.stop()


def test_the_mails_link_leads_straight_to_the_store(service: Service, google: Double, person: Person, clip: Clip):
    video = person.wait_for(person.upload(clip.path, interval="2"), "COMPLETED")
    mail = service.inbox.wait_for(lambda message: person.email in message["To"])
    link = first_link(mail)
    archive = httpx2.get(link)
    part = httpx2.get(link, headers={"Range": "bytes=0-3"})
    fresh = person.call("get", f"/videos/{video['id']}/download-url", 200)
    signature = re.search(r"X-Goog-Signature=([0-9a-f]+)", link)[1]

    assert link.startswith(f"{google.environment['STORAGE_PUBLIC_URL']}/frames/")
    assert [*pictures_in(archive.content).values()] == [0, 50, 100]
    assert archive.headers["Content-Disposition"].endswith("; filename*=UTF-8''clip-frames.zip")
    assert (part.status_code, part.content) == (206, archive.content[:4])
    assert person.download(video) == archive.content
    assert httpx2.get(fresh["url"]).content == archive.content
    assert httpx2.get(link.replace(signature, signature[::-1])).status_code == 403
    assert httpx2.get(re.sub(r"X-Goog-Expires=\d+", "X-Goog-Expires=604800", link)).status_code == 403
    assert google.unfinished() == []
