"""What Prometheus is told, and who is told it."""

import secrets
from collections.abc import Iterator

import httpx2
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app.local_stack.processes import free_port
from app.settings import get_settings
from tests.conftest import MakeUser, StartWorkers


@pytest.fixture
def local(client: TestClient) -> TestClient:
    """The API, asked from this machine."""
    return TestClient(client.app, client=("127.0.0.1", 50000))


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Settings that are read anew, and as they were afterwards."""
    get_settings.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    get_settings.cache_clear()


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_not_by_path(local: TestClient, make_user: MakeUser):
    headers = make_user().headers
    for _ in range(2):
        local.get(f"/videos/{secrets.token_hex(8)}", headers=headers)
    local.get(f"/no/such/{secrets.token_hex(8)}")
    told = samples(local.get("/metrics").text)

    assert told["fotograma_http_request_seconds_count", ("GET", "/videos/{video_id}", "422")] >= 2
    assert told["fotograma_http_request_seconds_count", ("GET", "unmatched", "404")] >= 1
    assert told["fotograma_http_sent_bytes_total", ()] > 0
    assert told["fotograma_database_up", ()] == 1
    assert {labels for name, labels in told if name == "fotograma_segments"} == {
        ("waiting",),
        ("paused",),
        ("running",),
    }


@pytest.mark.parametrize(
    ("client_address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::ffff:10.1.2.3", {}, 200),
        ("203.0.113.9", {}, 404),
        ("203.0.113.9", {"Authorization": "Bearer wrong"}, 404),
        ("203.0.113.9", {"Authorization": "Bearer known-to-prometheus"}, 200),
        # A proxy beside the service: its own address must open nothing to those behind it.
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, 404),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 404),
    ],
)
def test_who_may_read(
    client: TestClient,
    settings: pytest.MonkeyPatch,
    client_address: str,
    headers: dict[str, str],
    status: int,
):
    settings.setenv("METRICS_TOKEN", "known-to-prometheus")
    answer = TestClient(client.app, client=(client_address, 50000)).get("/metrics", headers=headers)

    assert answer.status_code == status


def test_a_worker_tells_on_its_own_port(workers: StartWorkers):
    port = free_port()
    workers(1, WORKER_METRICS_PORT=str(port))
    told = httpx2.get(f"http://127.0.0.1:{port}/metrics")
    through_a_proxy = httpx2.get(f"http://127.0.0.1:{port}/metrics", headers={"X-Forwarded-For": "127.0.0.1"})

    assert "fotograma_frames_total" in told.text
    assert through_a_proxy.status_code == 404
