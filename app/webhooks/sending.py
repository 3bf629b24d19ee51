"""Calling webhooks with what is owed to them."""

import json
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import structlog

from app import metrics
from app.database import open_session
from app.outbound import AddressRefused, Outbound, Unreachable
from app.webhooks import delivery_lifecycle, signing
from app.webhooks.delivery_lifecycle import Claim

logger = structlog.get_logger()

SEND_SECONDS = 10.0
"""Counted from before the claim, so that a sender that was stopped meanwhile sends nothing that another has sent."""
ROUND_SECONDS = 30.0
"""A round takes a thread that could decode: it ends, and is rung for again, however much is owed."""
LOOK_SECONDS = 1.0
"""What comes due while others are still being called waits no longer than this for a sender with nothing to do."""

AT_ONCE = 16
# Slow and failing receivers have the others: however many there are, these are left to those that answer soon.
QUICK_ONLY = 8
# Of one user or one host, known to be slow or not: nobody gets hold of all senders at once.
AT_ONCE_EACH = 4

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
        senders = _Senders(outbound, end=time.monotonic() + ROUND_SECONDS, stopping=stopping or threading.Event())
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhooks") as threads:
            sending = [threads.submit(senders.send, is_quick=number < QUICK_ONLY) for number in range(AT_ONCE)]
        return sum(one.result() for one in sending)
    finally:
        _round.release()


class _Senders:
    """The senders of one round: whom they are calling now, and how many have something to do."""

    def __init__(self, outbound: Outbound, *, end: float, stopping: threading.Event) -> None:
        self._outbound = outbound
        self._end = end
        self._stopping = stopping
        self._claiming = threading.Lock()
        self._users: Counter[uuid.UUID] = Counter()
        self._hosts: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._working = AT_ONCE

    def send(self, *, is_quick: bool) -> int:
        """Call until nothing is due and nobody else calls any more; how many were taken."""
        taken = 0
        try:
            while time.monotonic() < self._end and not self._stopping.is_set():
                deadline = time.monotonic() + SEND_SECONDS
                claim = self._claim(is_quick=is_quick)
                if claim is None:
                    if not self._rest():
                        break
                    continue
                try:
                    taken += _send(claim, self._outbound, deadline=deadline)
                finally:
                    self._let_go(claim)
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()
        return taken

    def _claim(self, *, is_quick: bool) -> Claim | None:
        # One at a time: what is counted here is what the next one must not exceed.
        with self._claiming, open_session() as session:
            claim = delivery_lifecycle.claim_delivery(
                session,
                is_quick=is_quick,
                without_users=[user for user, calls in self._users.items() if calls >= AT_ONCE_EACH],
                without_hosts=[host for host, calls in self._hosts.items() if calls >= AT_ONCE_EACH],
            )
            if claim is not None:
                self._users[claim.user_id] += 1
                self._hosts[claim.host] += 1
        return claim

    def _let_go(self, claim: Claim) -> None:
        with self._claiming:
            self._users[claim.user_id] -= 1
            self._hosts[claim.host] -= 1

    def _rest(self) -> bool:
        """Wait while others call, for what comes due meanwhile; False once nobody calls any more."""
        with self._changed:
            self._working -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._working, timeout=LOOK_SECONDS)
            may_go_on = self._working > 0
            self._working += 1
        return may_go_on


def _send(claim: Claim, outbound: Outbound, *, deadline: float) -> bool:
    log = logger.bind(delivery_id=str(claim.delivery_id), webhook_id=str(claim.webhook_id), attempt=claim.attempts)
    status, began = None, time.monotonic()
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
            delivery_lifecycle.mark_delivered(session, claim, response_status=status, seconds=time.monotonic() - began)
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
