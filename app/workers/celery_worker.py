"""The worker's entry: `celery -A app.workers.celery_worker worker --loglevel=info`. Names the tasks, no more."""

import os
import threading
from typing import Any

import structlog
from celery import signals
from celery.worker.consumer.gossip import Gossip

from app import metrics, task_queue
from app.logs import set_up_logs
from app.notifications import sending, smtp
from app.outbound import get_outbound
from app.settings import get_settings
from app.storage import get_storage, prove_storage
from app.webhooks import sending as calling
from app.workers import extraction, jail, maintenance, presence

app = task_queue.get_celery()
# Workers know of each other by the database, and Celery's gossip leaves two connections open each time the broker goes.
Gossip.compatible_transports = frozenset()
logger = structlog.get_logger()

_stopping = threading.Event()
# Ten are promised. Whoever hangs then, in a mail server or a frozen database, is left: leases and holds run out.
END_SECONDS = 9.0
# To say that this worker is there no more, which takes a moment.
LEAVE_SECONDS = 2.0


@app.task(name=task_queue.SEGMENT_TASK)
def segment() -> None:
    """Work on the segment whose turn it is."""
    if extraction.work_on_next_segment(stopping=_stopping):
        # Where its user's limit held others back, their rings were spent in vain: this one is sooner than the sweep's.
        task_queue.ring(task_queue.SEGMENT_TASK)
    if not _stopping.is_set():
        jail.start_ahead()


@app.task(name=task_queue.EMAIL_TASK)
def email() -> None:
    """Send the mails that are due."""
    sending.send_due_emails(server=smtp.get_server(), signed_url=get_storage().signed_url, stopping=_stopping)


@app.task(name=task_queue.WEBHOOK_TASK)
def webhook() -> None:
    """Call webhooks with what is due."""
    calling.send_due_deliveries(outbound=get_outbound(), stopping=_stopping)


@signals.celeryd_init.connect
def _begin(**_: Any) -> None:
    set_up_logs(as_json=get_settings().log_json)
    # What is wrong with these settings or this machine ends the start, rather than the first mail or video.
    smtp.get_server()
    prove_storage()
    jail.tried_layers()


@signals.worker_ready.connect
def _begin_rounds(**_: Any) -> None:
    threading.Thread(target=maintenance.sweep_until, args=(_stopping,), name="sweep", daemon=True).start()
    _answer_prometheus()
    jail.start_ahead()
    presence_words = {"layers": jail.tried_layers()}
    telling = threading.Thread(
        target=presence.tell_until, args=(_stopping,), kwargs=presence_words, name="presence", daemon=True
    )
    telling.start()
    signals.worker_shutdown.connect(lambda **_: telling.join(LEAVE_SECONDS), weak=False)


def _answer_prometheus() -> None:
    if port := get_settings().worker_metrics_port:
        try:
            metrics.serve(port=port)
        except OSError as error:
            # Another worker of this machine has it; work is more than being watched.
            logger.warning("metrics not served", port=port, error=str(error))


@signals.worker_shutting_down.connect
def _stop(**_: Any) -> None:
    # Celery waits for its tasks; each sees this, kills its decoder and gives its segment back.
    _stopping.set()
    end = threading.Timer(END_SECONDS, os._exit, [1])
    end.daemon = True
    end.start()
