"""What a bucket does by itself: our rules are shown, and added to those of others, once."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import httpx2
import pytest
from typer.testing import CliRunner, Result

from app.admin.__main__ import app
from app.settings import get_settings
from app.storage.rules import google, unfinished_stay
from tests.stores.doubles import Double

Stores = Callable[[str], Double]
PAGE = "https://frames.example"
OTHERS_CORS = {"AllowedOrigins": ["https://other.example"], "AllowedMethods": ["GET"], "AllowedHeaders": ["*"]}
OTHERS_LIFECYCLE = {"ID": "logs", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", "Expiration": {"Days": 30}}


@dataclass(frozen=True)
class Ours:
    """The command, on a store."""

    double: Double

    def run(self, verb: str, **more: str) -> Result:
        settings = {"STORAGE_URL": f"{self.double.url}/ours", "PUBLIC_URL": f"{PAGE}/with/path", **more}
        with self.double.reached(**settings):
            get_settings.cache_clear()
            return CliRunner().invoke(app, ["storage-rules", verb])

    def keeps_unfinished(self, **more: str) -> bool:
        with self.double.reached(STORAGE_URL=f"{self.double.url}/ours", **more):
            get_settings.cache_clear()
            return unfinished_stay(get_settings())

    def apply(self, **more: str) -> list[str]:
        done = self.run("apply", **more)
        assert done.exit_code == 0, done.exception
        return done.stdout.splitlines()


@pytest.fixture
def ours(environment: dict[str, str], stores: Stores) -> Iterator[Callable[[str], Ours]]:  # noqa: ARG001
    """`ours("moto")`: the command, where the page is at another address than the store."""
    yield lambda name: Ours(stores(name))
    get_settings.cache_clear()


@pytest.fixture
def bucket(stores: Stores) -> Any:
    """The bucket of the S3, by Amazon's own library."""
    environment = stores("moto").environment
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    client.put_bucket_cors(Bucket="frames", CORSConfiguration={"CORSRules": [OTHERS_CORS]})
    client.put_bucket_lifecycle_configuration(Bucket="frames", LifecycleConfiguration={"Rules": [OTHERS_LIFECYCLE]})
    return client


def test_s3_gets_ours_beside_what_it_has_and_once(ours: Callable[[str], Ours], bucket: Any):
    first, second = ours("moto").apply(), ours("moto").apply()
    of_cors = bucket.get_bucket_cors(Bucket="frames")["CORSRules"]
    of_lifecycle = bucket.get_bucket_lifecycle_configuration(Bucket="frames")["Rules"]

    assert first == ["cors: added, beside 1 others", "lifecycle: added, beside 1 others"]
    assert second == ["cors: is there, beside 1 others", "lifecycle: is there, beside 1 others"]
    assert OTHERS_CORS.items() <= of_cors[0].items()
    assert of_cors[1]["AllowedOrigins"] == [PAGE]
    assert of_lifecycle[0] == OTHERS_LIFECYCLE
    assert of_lifecycle[1]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    assert (len(of_cors), len(of_lifecycle)) == (2, 2)


def test_an_s3_without_rules_gets_them(ours: Callable[[str], Ours], bucket: Any):
    bucket.delete_bucket_cors(Bucket="frames")
    bucket.delete_bucket_lifecycle(Bucket="frames")

    assert ours("moto").apply() == ["cors: added, beside 0 others", "lifecycle: added, beside 0 others"]
    assert bucket.get_bucket_lifecycle_configuration(Bucket="frames")["Rules"][0]["Filter"] == {"Prefix": "ours/"}


def test_our_older_rule_is_changed_and_not_doubled(ours: Callable[[str], Ours], bucket: Any):
    old = {"ID": "fotograma", "Filter": {"Prefix": "ours/"}, "Status": "Disabled", "Expiration": {"Days": 9}}
    bucket.put_bucket_lifecycle_configuration(
        Bucket="frames", LifecycleConfiguration={"Rules": [old, OTHERS_LIFECYCLE]}
    )

    assert "lifecycle: changed, beside 1 others" in ours("moto").apply()
    rules = bucket.get_bucket_lifecycle_configuration(Bucket="frames")["Rules"]
    assert [(rule["ID"], rule["Status"]) for rule in rules] == [("logs", "Enabled"), ("fotograma", "Enabled")]


def test_what_s3_shows_is_what_its_own_library_takes(ours: Callable[[str], Ours], bucket: Any):
    files, shown = _files(ours("moto").run("show").stdout), ours("moto").run("show").stdout
    bucket.put_bucket_cors(Bucket="frames", CORSConfiguration=files["cors.json"])
    bucket.put_bucket_lifecycle_configuration(Bucket="frames", LifecycleConfiguration=files["lifecycle.json"])

    assert ours("moto").apply() == ["cors: is there, beside 0 others", "lifecycle: is there, beside 0 others"]
    assert "aws s3api put-bucket-cors --bucket frames --cors-configuration file://cors.json" in shown


def test_s3_requests_are_signed_as_a_strict_store_wants_them(ours: Callable[[str], Ours]):
    """It knows no such rules, and says so only to whom it believes."""
    believed = ours("rclone").run("apply").exception
    other = ours("rclone").run("apply", AWS_SECRET_ACCESS_KEY="another").exception

    assert "SignatureDoesNotMatch" not in str(believed)
    assert "SignatureDoesNotMatch" in str(other)


def test_google_gets_ours_beside_what_it_has_and_once(ours: Callable[[str], Ours]):
    double = ours("google").double
    url = f"http://127.0.0.1:{double.port}/storage/v1/b/frames"
    others: dict[str, Any] = {
        "cors": [{"origin": ["https://other.example"], "method": ["GET"], "maxAgeSeconds": 60}],
        "lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"age": 9, "matchesPrefix": ["logs/"]}}]},
    }
    with double.reached():
        headers = {"Authorization": f"Bearer {google._token()}"}
    httpx2.patch(url, json=others, headers=headers).raise_for_status()
    first, second = ours("google").apply(), ours("google").apply()
    kept = httpx2.get(url, headers=headers).json()

    assert first == ["cors: added, beside 1 others", "lifecycle: added, beside 1 others"]
    assert second == ["cors: is there, beside 1 others", "lifecycle: is there, beside 1 others"]
    assert [rule["origin"] for rule in kept["cors"]] == [["https://other.example"], [PAGE]]
    assert kept["lifecycle"]["rule"] == [
        *others["lifecycle"]["rule"],
        {
            "action": {"type": "AbortIncompleteMultipartUpload"},
            "condition": {"age": 2, "matchesPrefix": ["ours/"]},
        },
    ]
    assert _files(ours("google").run("show").stdout)["cors.json"] == [kept["cors"][1]]


ABORT = {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}


@pytest.mark.parametrize(
    ("rule", "stay"),
    [
        ({**OTHERS_LIFECYCLE}, True),
        ({**ABORT, "Filter": {"Prefix": "others/"}}, True),
        ({**ABORT, "Filter": {"Prefix": ""}, "Status": "Disabled"}, True),
        ({**ABORT, "Filter": {"Prefix": ""}}, False),
        ({**ABORT, "Filter": {"Prefix": "ours/"}}, False),
        ({**ABORT, "Prefix": "ou"}, False),
    ],
)
def test_whether_an_s3_removes_unfinished_uploads_is_known(
    ours: Callable[[str], Ours], bucket: Any, rule: dict[str, Any], stay: bool
):
    bucket.put_bucket_lifecycle_configuration(
        Bucket="frames", LifecycleConfiguration={"Rules": [{"ID": "others", **rule}]}
    )
    before = ours("moto").keeps_unfinished()
    ours("moto").apply()

    assert before == stay
    assert not ours("moto").keeps_unfinished()


@pytest.mark.parametrize(
    ("action", "condition", "stay"),
    [
        ("Delete", {"age": 9}, True),
        ("AbortIncompleteMultipartUpload", {"age": 9, "matchesPrefix": ["others/"]}, True),
        ("AbortIncompleteMultipartUpload", {"age": 9, "matchesSuffix": [".zip"]}, True),
        ("AbortIncompleteMultipartUpload", {"age": 9}, False),
        ("AbortIncompleteMultipartUpload", {"age": 9, "matchesPrefix": ["others/", "ours/"]}, False),
    ],
)
def test_whether_google_removes_unfinished_uploads_is_known(
    ours: Callable[[str], Ours], action: str, condition: dict[str, Any], stay: bool
):
    double = ours("google").double
    with double.reached():
        headers = {"Authorization": f"Bearer {google._token()}"}
    rules = {"lifecycle": {"rule": [{"action": {"type": action}, "condition": condition}]}}
    url = f"http://127.0.0.1:{double.port}/storage/v1/b/frames"
    httpx2.patch(url, json=rules, headers=headers).raise_for_status()
    before = ours("google").keeps_unfinished()
    ours("google").apply()

    assert before == stay
    assert not ours("google").keeps_unfinished()


def test_azure_and_files_of_this_machine_keep_nothing_unfinished(ours: Callable[[str], Ours]):
    assert not ours("azurite").keeps_unfinished(AZURE_STORAGE_ACCOUNT_KEY="")
    with ours("azurite").double.reached(STORAGE_URL="file:///objects"):
        get_settings.cache_clear()
        assert not unfinished_stay(get_settings())


class MinIO(BaseHTTPRequestHandler):
    """It takes rules for unfinished uploads and forgets them."""

    server_version, sys_version = "MinIO", ""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(404 if self.command == "GET" else 200)
        self.end_headers()

    do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def test_a_minio_needs_no_rule_and_would_keep_none(ours: Callable[[str], Ours]):
    with HTTPServer(("127.0.0.1", 0), MinIO) as minio:
        threading.Thread(target=minio.serve_forever, daemon=True).start()
        reached = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{minio.server_port}"}
        told, keeps = ours("moto").apply(**reached), ours("moto").keeps_unfinished(**reached)
        minio.shutdown()

    assert told[1] == "lifecycle: none is needed, MinIO removes unfinished uploads after a day"
    assert not keeps


def test_azure_lets_the_page_in_beside_others_and_once(ours: Callable[[str], Ours]):
    double = ours("azurite").double
    first, second = ours("azurite").apply(), ours("azurite").apply()
    moved = ours("azurite").apply(AZURE_STORAGE_ENDPOINT=f"{double.environment['AZURE_STORAGE_ENDPOINT']}/")
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-ms-blob-type"}
    allowed, refused = (
        httpx2.options(f"{double.environment['AZURE_STORAGE_ENDPOINT']}/frames/a", headers={"Origin": origin, **asked})
        for origin in (PAGE, "https://stranger.example")
    )

    assert first[0] == "cors: added, beside 0 others"
    assert second[0] == moved[0] == "cors: is there, beside 0 others"
    assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert refused.status_code == 403
    assert "after a week" in first[1]
    assert f"--origins '{PAGE}'" in ours("azurite").run("show").stdout


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("moto", {"AWS_ACCESS_KEY_ID": ""}),
        ("google", {"GOOGLE_APPLICATION_CREDENTIALS": ""}),
        ("azurite", {"AZURE_STORAGE_ACCOUNT_KEY": ""}),
    ],
)
def test_without_a_key_it_says_what_to_do(ours: Callable[[str], Ours], name: str, missing: dict[str, str]):
    told = ours(name).run("apply", **missing).exception

    assert "or run what `show` says" in str(told)
    assert ours(name).run("show", **missing).exit_code == 0


def test_a_bucket_that_is_not_there_is_told(ours: Callable[[str], Ours]):
    told = ours("moto").run("apply", STORAGE_URL="s3://nothing").exception

    assert str(told) == "Storage: there is no bucket nothing."


def _files(shown: str) -> dict[str, Any]:
    """What is shown, by the file's name."""
    parts = [part.split("\n", 1) for part in shown.split("# ")]
    return {part[0]: json.loads(part[1]) for part in parts if part[0].endswith(".json")}
