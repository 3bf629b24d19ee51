"""What a browser is given, and what every other client is still given."""

import gzip
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app import page_folder
from app.api.page import Page
from app.page_folder import PageState
from tests.conftest import MakeUser

BROWSER = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Sec-Fetch-Mode": "navigate",
}
# To plain HTTP on another machine, browsers send no Sec-Fetch-Mode.
BROWSER_WITHOUT_TLS = {"Accept": BROWSER["Accept"]}
SCRIPT_OF_THE_PAGE = {"Accept": "*/*", "Sec-Fetch-Mode": "cors"}
CURL = {"Accept": "*/*"}

INDEX = '<!doctype html><script type="module" src="/assets/index-abc.js"></script>'
SCRIPT = "console.log('hello')" * 50


@pytest.fixture
def folder(environment: dict[str, str]) -> Iterator[Path]:
    """As a build leaves it."""
    folder = Path(environment["PAGE_FOLDER"])
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    script = folder / "assets" / "index-abc.js"
    script.write_text(SCRIPT)
    script.with_name("index-abc.js.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (folder / "favicon.svg").write_text("<svg/>")
    (folder.parent / "secret.txt").write_text("not for you")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def browse(client: TestClient, folder: Path) -> Callable[..., TestClient]:
    """`browse(is_https=True)`: the API with a page from this folder."""

    def browse(*, is_https: bool = False) -> TestClient:
        return TestClient(Page(client.app, folder=folder, is_https=True)) if is_https else client

    return browse


@pytest.mark.parametrize("path", ["/", "/sign-in", f"/videos/{uuid.uuid4()}", f"/extractions/{uuid.uuid4()}", "/admin"])
@pytest.mark.parametrize("browser", [BROWSER, BROWSER_WITHOUT_TLS])
def test_a_browser_that_navigates_is_given_the_index(browse: Callable[..., TestClient], path: str, browser):
    answer = browse().get(path, headers=browser)

    assert (answer.status_code, answer.text) == (200, INDEX)
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("client_headers", [SCRIPT_OF_THE_PAGE, CURL, {"Accept": "application/json"}])
def test_every_other_client_is_given_the_api(
    browse: Callable[..., TestClient], client: TestClient, make_user: MakeUser, client_headers
):
    path, user = f"/videos/{uuid.uuid4()}", make_user()
    answer = browse().get(path, headers=client_headers)
    signed_in = browse().get(path, headers={**user.headers, **client_headers})

    assert answer.status_code == 401
    assert answer.json() == client.get(path).json()
    assert (signed_in.status_code, signed_in.json()["code"]) == (404, "VIDEO_NOT_FOUND")


@pytest.mark.parametrize("headers", [BROWSER, CURL])
def test_a_shared_address_says_what_its_answer_depends_on(browse: Callable[..., TestClient], headers):
    answer = browse().get(f"/extractions/{uuid.uuid4()}", headers=headers)

    assert {"Accept", "Sec-Fetch-Mode"} <= set(re.split(r", *", answer.headers["Vary"]))


def test_a_refusal_is_told_to_a_person_in_words(browse: Callable[..., TestClient]):
    path = "/files/results/frames.zip?expires=1&signature=abc"
    refused = browse().get(path, headers=BROWSER)
    problem = browse().get(path, headers=CURL)

    assert refused.status_code == problem.status_code
    assert refused.headers["Content-Type"] == "text/html; charset=utf-8"
    assert problem.json()["detail"] in refused.text
    assert refused.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_what_a_browser_shall_save_and_not_show_is_the_apis(browse: Callable[..., TestClient]):
    assert "json" in browse().get("/health/live", headers=BROWSER).headers["Content-Type"]
    for path in (f"/videos/download/{uuid.uuid4()}", f"/extractions/{uuid.uuid4()}/download"):
        assert browse().get(path, headers=BROWSER).status_code == 401


def test_assets_are_kept_for_good_and_compressed_where_that_is_taken(browse: Callable[..., TestClient]):
    plain = browse().get("/assets/index-abc.js", headers={"Accept-Encoding": "br, gzip;q=0"})
    packed = browse().get("/assets/index-abc.js", headers={"Accept-Encoding": "br, gzip"})

    assert plain.text == packed.text == SCRIPT
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["ETag"] != packed.headers["ETag"]
    for answer in plain, packed:
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_is_still_the_same_is_not_sent_again(browse: Callable[..., TestClient], folder: Path):
    first = browse().get("/", headers=BROWSER)
    again = browse().get("/", headers={**BROWSER, "If-None-Match": first.headers["ETag"]})
    (folder / "index.html").write_text("another build")
    rebuilt = browse().get("/", headers={**BROWSER, "If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.text, again.headers["ETag"]) == (304, "", first.headers["ETag"])
    assert rebuilt.text == "another build"


def test_an_address_that_is_nobodys_is_told_by_the_page(browse: Callable[..., TestClient]):
    shown = browse().get("/nothing/here", headers=BROWSER)
    other = browse().get("/nothing/here", headers=CURL)

    assert (shown.status_code, shown.text) == (404, INDEX)
    assert (other.status_code, other.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt", "/assets/..%2f..%2fsecret.txt", "/x.js"],
)
def test_only_files_of_the_build_are_given(browse: Callable[..., TestClient], path: str):
    assert browse().get(path, headers=CURL).status_code == 404


def test_the_page_may_run_nothing_but_itself_and_be_framed_by_nobody(browse: Callable[..., TestClient]):
    answer = browse(is_https=True).get("/", headers=BROWSER)
    policy = dict(directive.split(" ", 1) for directive in answer.headers["Content-Security-Policy"].split("; "))

    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]


def test_the_page_may_send_to_the_store_where_that_takes_videos(client: TestClient, folder: Path):
    page = TestClient(Page(client.app, folder=folder, is_https=False, store_origin="https://frames.s3.example"))
    policies = [page.get(path, headers=BROWSER).headers["Content-Security-Policy"] for path in ("/", "/docs")]

    assert ["connect-src 'self' https://frames.s3.example;" in policy for policy in policies] == [True, False]


def test_only_https_is_promised_to_last(browse: Callable[..., TestClient]):
    assert "Strict-Transport-Security" not in browse().get("/health/live").headers
    assert browse(is_https=True).get("/health/live").headers["Strict-Transport-Security"] == "max-age=31536000"


def test_the_apis_documentation_loads_nothing_from_elsewhere(browse: Callable[..., TestClient]):
    answer = browse().get("/docs", headers=BROWSER)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)

    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert loaded
    for address in loaded:
        assert browse().get(address).status_code == 200, address


@pytest.mark.parametrize("state", [PageState("building"), PageState("failed", "npm ci ended"), None])
def test_what_stands_there_until_the_page_is_built(
    browse: Callable[..., TestClient], tmp_path: Path, folder: Path, state: PageState | None
):
    folder.rename(tmp_path / "elsewhere")
    if state:
        page_folder.say(folder, state)
    waiting = browse().get("/", headers=BROWSER)
    (tmp_path / "elsewhere").rename(folder)
    built = browse().get("/", headers=BROWSER)

    assert (waiting.status_code, waiting.headers["Cache-Control"]) == (503, "no-store")
    assert ('http-equiv="refresh"' in waiting.text) == (state == PageState("building"))
    assert ((state and state.detail) or "") in waiting.text
    assert built.text == INDEX
