"""Calling webhooks with what is owed to them."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import structlog

from app import metrics
from app.database import open_session
from app.outbound import AddressRefused, Outbound, Unreachable
from app.webhooks import delivery_lifecycle, signing
from app.webhooks.delivery_lifecycle import Claim

logger = structlog.get_logger()

SEND_SECONDS = 15.0
"""Counted from before the claim, so that a sender that was stopped meanwhile sends nothing that another has sent."""
ROUND_SECONDS = 30.0
"""A round takes a thread that could decode: it ends, and is rung for again, however much is owed."""
# As many receivers may be slow, one call of each, before anybody waits for them.
AT_ONCE = 16

_round = threading.Lock()


def send_due_deliveries(*, outbound: Outbound, stopping: threading.Event | None = None) -> int:
    """Call with every message that is due, unless told to stop, and tell how many were taken.

    Safe to run twice and side by side: each message is claimed, and the claim committed, before the receiver hears of
    it. Who dies between the receiver's yes and the commit causes one more call, with the same webhook-id.
    """
    if not _round.acquire(blocking=False):
        # One round of a process is enough: it goes on until nothing is due.
        return 0
    try:
        end = time.monotonic() + ROUND_SECONDS
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhooks") as threads:
            senders = [threads.submit(_send_until, end, outbound, stopping) for _ in range(AT_ONCE)]
        return sum(sender.result() for sender in senders)
    finally:
        _round.release()


def _send_until(end: float, outbound: Outbound, stopping: threading.Event | None) -> int:
    taken = 0
    while time.monotonic() < end and not (stopping and stopping.is_set()):
        deadline = time.monotonic() + SEND_SECONDS
        with open_session() as session:
            claim = delivery_lifecycle.claim_delivery(session)
        if claim is None:
            break
        taken += _send(claim, outbound, deadline=deadline)
    return taken


def _send(claim: Claim, outbound: Outbound, *, deadline: float) -> bool:
    log = logger.bind(delivery_id=str(claim.delivery_id), webhook_id=str(claim.webhook_id), attempt=claim.attempts)
    status = None
    try:
        status = _call(claim, outbound, deadline=deadline)
        error = None if 200 <= status < 300 else f"It answered {status}, not 2xx. Redirects are not followed."
    except (AddressRefused, Unreachable) as refusal:
        error = str(refusal)
    except Exception as unexpected:
        # Whatever is wrong with one message must not keep back the others.
        log.exception("webhook could not be called")
        error = type(unexpected).__name__
    with open_session() as session:
        if error is None and status is not None:
            delivery_lifecycle.mark_delivered(session, claim, response_status=status)
        else:
            delivery_lifecycle.mark_retry(session, claim, error=error or "", response_status=status)
    log.info("webhook called", status=status, error=error)
    metrics.webhook_calls.labels("taken" if error is None else "not taken").inc()
    return error is None


def _call(claim: Claim, outbound: Outbound, *, deadline: float) -> int:
    """The status it answers; the rest of the answer is of no interest and not read."""
    body = json.dumps(claim.payload, separators=(",", ":")).encode()
    message_id, timestamp = str(claim.delivery_id), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Fotograma",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.sign(body, message_id=message_id, timestamp=timestamp, secrets=claim.secrets),
    }
    left = deadline - time.monotonic()
    with outbound.request("POST", claim.url, headers=headers, content=body, within_seconds=left) as answer:
        return answer.status
