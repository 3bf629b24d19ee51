"""What this process counts and times for Prometheus, and who may read it.

Each process counts for itself since its start; what all share, as the queue, the API reads from the database
(`app.api.metrics`). No label has more values than this code has routes, codes or states.
"""

import hmac
import ipaddress
import threading
from collections.abc import Iterable
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import ThreadingWSGIServer, make_wsgi_app

from app.settings import get_settings
from fotograma.errors import CODES, Cause

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

# From an answer out of a cache to an upload that takes its hour.
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600, 3600)
WORK_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)

request_seconds = Histogram(
    "fotograma_http_request_seconds",
    "Time from a request's head to the last byte of its answer, by the route's template.",
    ["method", "route", "status"],
    buckets=REQUEST_BUCKETS,
    registry=REGISTRY,
)
received_bytes = Counter("fotograma_http_received_bytes", "Bytes of request bodies.", registry=REGISTRY)
sent_bytes = Counter("fotograma_http_sent_bytes", "Bytes of answers' bodies.", registry=REGISTRY)

segments_claimed = Counter("fotograma_segments_claimed", "Segments that workers took.", ["step"], registry=REGISTRY)
segment_seconds = Histogram(
    "fotograma_segment_seconds",
    "Time a worker had a segment, by how that ended.",
    ["step", "outcome"],
    buckets=WORK_BUCKETS,
    registry=REGISTRY,
)
retries = Counter(
    "fotograma_segment_retries",
    "Segments that wait for another try, by what is counted against them.",
    ["counter"],
    registry=REGISTRY,
)
recoveries = Counter(
    "fotograma_segment_recoveries",
    "Segments taken from a worker that fell silent or ended.",
    ["how"],
    registry=REGISTRY,
)
extractions_ended = Counter(
    "fotograma_extractions_ended", "Extractions that ended, by status and code.", ["status", "code"], registry=REGISTRY
)
frames = Counter("fotograma_frames", "Frames that were written.", registry=REGISTRY)
source_bytes = Counter("fotograma_source_bytes", "Bytes of the videos that were opened.", registry=REGISTRY)
fetched_bytes = Counter(
    "fotograma_fetched_bytes", "Bytes of videos that were fetched from a store by range.", registry=REGISTRY
)
fetches = Counter("fotograma_fetches", "Ranges of videos that were fetched from a store.", registry=REGISTRY)
fetch_retries = Counter(
    "fotograma_fetch_retries", "Ranges of videos that had to be asked for again.", registry=REGISTRY
)
archive_bytes = Counter("fotograma_archive_bytes", "Bytes of the archives that were written.", registry=REGISTRY)
jail_failures = Counter(
    "fotograma_jail_failures",
    "Decoders that were stopped or died: by what stopped them, and the code.",
    ["layer", "code"],
    registry=REGISTRY,
)
mails = Counter("fotograma_mails", "Tries to send a mail, by outcome.", ["outcome"], registry=REGISTRY)
webhook_calls = Counter("fotograma_webhook_calls", "Calls of webhooks, by outcome.", ["outcome"], registry=REGISTRY)

# What alerts look at is there from the start: a count that first appears as 1 has not risen, for Prometheus.
jail_failures.labels("seccomp", "DECODER_CRASHED")
for _how in ("lease ran out", "given back"):
    recoveries.labels(_how)
for _code in CODES.values():
    if _code.cause in (Cause.CRASH, Cause.INFRA):
        extractions_ended.labels("FAILED", _code.name)


def may_read(address: str, *, authorization: str, came_by_proxy: bool) -> bool:
    """Whether who asks knows METRICS_TOKEN, or asks from METRICS_NETWORKS without a proxy between.

    A proxy's address says nothing of who is behind it, so that what comes through one needs the token.
    """
    settings = get_settings()
    token = settings.metrics_token.get_secret_value()
    if token and hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
        return True
    try:
        asker = ipaddress.ip_address(address)
    except ValueError:
        return False
    # On a socket of both kinds, IPv4 addresses come as IPv6 ones.
    asker = getattr(asker, "ipv4_mapped", None) or asker
    return not came_by_proxy and any(asker in network for network in settings.metrics_allowed)


def serve(*, port: int) -> None:
    """Answer Prometheus on a port of this process, from a thread of its own."""
    tell = make_wsgi_app(REGISTRY)

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        allowed = may_read(
            environ["REMOTE_ADDR"],
            authorization=environ.get("HTTP_AUTHORIZATION", ""),
            came_by_proxy="HTTP_X_FORWARDED_FOR" in environ or "HTTP_FORWARDED" in environ,
        )
        if allowed and environ["PATH_INFO"] == "/metrics":
            answer: Iterable[bytes] = tell(environ, start_response)
            return answer
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not found\n"]

    server = make_server("", port, guarded, ThreadingWSGIServer, handler_class=_Silent)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _Silent(WSGIRequestHandler):
    """Says nothing of each request, which would be a line every few seconds."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its parent's name)
        """Nothing."""
