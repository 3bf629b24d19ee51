"""Working off the outbox."""

import threading
import time

import structlog

from app import audit, metrics
from app.database import open_session
from app.notifications import lifecycle, messages, smtp

logger = structlog.get_logger()

SEND_SECONDS = 30.0
"""Counted from before the claim, so that a sender that was stopped meanwhile sends nothing that another has sent."""

ANSWER_SECONDS = 10.0


def send_due_emails(
    *,
    server: smtp.Server,
    signed_url: messages.SignUrl,
    timeout_seconds: float = ANSWER_SECONDS,
    stopping: threading.Event | None = None,
) -> int:
    """Send every mail that is due, unless told to stop between two, and tell how many were sent.

    Safe to run twice and side by side: each mail is claimed, and the claim committed, before the server hears of it.
    Who dies between the server's yes and the commit causes one more mail, with the same Message-ID.
    """
    sent = 0
    while stopping is None or not stopping.is_set():
        deadline = time.monotonic() + SEND_SECONDS
        with open_session() as session:
            email = lifecycle.claim_email(session)
        if email is None:
            return sent
        log = logger.bind(email_id=str(email.id), kind=email.kind, attempt=email.attempts)
        try:
            message = messages.compose(email, signed_url=signed_url)
            smtp.send(server, message, deadline=deadline, timeout_seconds=timeout_seconds)
        except smtp.MailRefused as refusal:
            mark = lifecycle.mark_failed if refusal.is_final else lifecycle.mark_retry
            with open_session() as session:
                mark(session, email, error=str(refusal))
            log.warning("email refused", error=str(refusal), final=refusal.is_final)
            metrics.mails.labels("refused for good" if refusal.is_final else "refused for now").inc()
        except smtp.ServerUnavailable as error:
            with open_session() as session:
                lifecycle.mark_retry(session, email, error=str(error))
            log.warning("mail server unavailable", error=str(error))
            metrics.mails.labels("server unavailable").inc()
            # The others wait for the next ring instead of each spending a timeout here.
            return sent
        except Exception as error:
            # Whatever is wrong with one mail must not keep back the others.
            log.exception("email could not be sent")
            metrics.mails.labels("unexpected").inc()
            with open_session() as session:
                lifecycle.mark_retry(session, email, error=f"{type(error).__name__}: {error}")
        else:
            with open_session() as session:
                lifecycle.mark_sent(session, email)
                if email.kind in ("completed", "expiring"):
                    thing = {"name": email.facts["download_name"], "video_id": email.facts["video_id"]}
                    audit.record(session, "link_mailed", user_id=email.user_id, **thing)
            log.info("email sent")
            metrics.mails.labels("sent").inc()
            sent += 1
    return sent
