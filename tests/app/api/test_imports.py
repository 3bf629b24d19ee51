"""Asking for an import: off unless switched on, and judged before anything is written."""

import httpx2
import pytest

pytestmark = pytest.mark.usefixtures("leaves_no_work")


@pytest.fixture(scope="module")
def api(start_api):
    return start_api(IMPORT_BY_URL="true", OUTBOUND_NETWORKS="127.0.0.1/32", USER_STORED_MAX_BYTES="1000")


@pytest.fixture
def post(api, make_user):
    user = make_user()

    def post(**asked):
        return httpx2.post(f"{api.url}/videos/import", json=asked, headers=user.headers, timeout=20)

    return post


def test_it_is_off_unless_switched_on(client, make_user):
    answer = client.post("/videos/import", json={"url": "https://example.com/a.mp4"}, headers=make_user().headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "IMPORTS_OFF")


def test_the_row_is_there_before_the_bytes(post):
    answer = post(url="http://127.0.0.1:1/films/f%C3%A9rias.mp4?token=x", plan={"mode": "count", "n": 3})
    video = answer.json()

    assert answer.status_code == 202
    assert answer.headers["location"] == f"/videos/{video['id']}"
    assert (video["filename"], video["bytes"], video["status"]) == ("férias.mp4", 0, "PENDING")
    assert video["plan"] == {"mode": "count", "n": 3}


def test_it_may_be_looked_at_only(post):
    assert post(url="http://127.0.0.1:1/a.mp4", extract=False).json()["extraction_id"] is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2/a.mp4",
        "http://2130706434/a.mp4",
        "http://0x7f000002/a.mp4",
        "http://[::1]/a.mp4",
        "http://[::ffff:127.0.0.2]/a.mp4",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "ftp://example.com/a.mp4",
        "a.mp4",
    ],
)
def test_addresses_inside_are_refused(post, url: str):
    answer = post(url=url)

    assert (answer.status_code, answer.json()["code"]) == (422, "ADDRESS_REFUSED")


def test_a_plan_that_can_not_be_is_refused(post):
    assert post(url="http://127.0.0.1:1/a.mp4", plan={"mode": "often"}).status_code == 422
