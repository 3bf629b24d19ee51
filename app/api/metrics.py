"""What Prometheus asks: this process's counts, and how much work there is in all."""

import threading
import time
from collections.abc import Iterator
from functools import lru_cache

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app import fleet, metrics
from app.api.dependencies import address_of
from app.database import DATABASE_AWAY, open_session
from app.errors import NotFound
from app.extractions.backlog import read_backlog
from app.notifications import queries as notifications
from app.webhooks import queries as webhooks
from fotograma.records import LAYERS, ON

logger = structlog.get_logger()

router = APIRouter(tags=["health"])

# However many ask, and however often, the database is asked so seldom.
KEEP_SECONDS = 5.0


class Work(Collector):
    """How much there is to do and who is there to do it: the same from every API process, so take the maximum."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._read_at = -KEEP_SECONDS

    def describe(self) -> list[Metric]:
        """Nothing in advance, so that registering asks no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What was read a moment ago, or is read now."""
        with self._lock:
            if time.monotonic() - self._read_at >= KEEP_SECONDS:
                self._kept = _read()
                self._read_at = time.monotonic()
            yield from self._kept


def _read() -> list[Metric]:
    is_up = GaugeMetricFamily("fotograma_database_up", "Whether the database answers.")
    try:
        with open_session() as session:
            backlog = read_backlog(session)
            mails, calls = notifications.due(session), webhooks.due(session)
            workers = fleet.present(session)
    except DATABASE_AWAY as error:
        logger.warning("metrics without a database", error=str(error).splitlines()[0])
        is_up.add_metric([], 0)
        return [is_up]
    is_up.add_metric([], 1)
    segments = GaugeMetricFamily("fotograma_segments", "Segments that are not finished, by state.", labels=["state"])
    for state, count in (("waiting", backlog.waiting), ("paused", backlog.paused), ("running", backlog.running)):
        segments.add_metric([state], count)
    without = GaugeMetricFamily(
        "fotograma_workers_without_layer", "Workers whose decoders lack a layer of the jail.", labels=["layer"]
    )
    for layer in LAYERS:
        without.add_metric([layer], sum(worker.layers.get(layer) != ON for worker in workers))
    return [
        is_up,
        segments,
        GaugeMetricFamily(
            "fotograma_queue_age_seconds", "How long the oldest waiting segment waits.", value=backlog.oldest_seconds
        ),
        GaugeMetricFamily("fotograma_mails_due", "Mails that wait for a sender.", value=mails),
        GaugeMetricFamily("fotograma_webhook_calls_due", "Calls of webhooks that wait.", value=calls),
        GaugeMetricFamily("fotograma_workers", "Workers that are there.", value=len(workers)),
        without,
    ]


@lru_cache
def _register() -> None:
    metrics.REGISTRY.register(Work())


@router.get("/metrics", response_class=Response, include_in_schema=False)
def read_metrics(request: Request) -> Response:
    """For Prometheus, from METRICS_NETWORKS or with METRICS_TOKEN; others find nothing here."""
    headers = request.headers
    allowed = metrics.may_read(
        address_of(request),
        authorization=headers.get("Authorization", ""),
        came_by_proxy="X-Forwarded-For" in headers or "Forwarded" in headers,
    )
    if not allowed:
        raise NotFound
    _register()
    return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)
