"""What is owed to webhooks reaches them once, signed, and leads nowhere it must not."""

import datetime
import json
import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, select, update
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from app import task_queue
from app.accounts.models import User
from app.database import open_session
from app.extractions import lifecycle as extractions
from app.outbound import Outbound
from app.settings import get_settings
from app.webhooks import delivery_lifecycle, lifecycle, queries, sending, signing
from app.webhooks.models import Delivery, Webhook
from app.webhooks.sending import send_due_deliveries
from tests.app.receiving import LOOPBACK, PUBLIC, Names, Receiver
from tests.conftest import StartWorkers
from tests.waiting import wait_until

HERE = Outbound(allowed=LOOPBACK)


@pytest.fixture
def receiver():
    receiver = Receiver()
    receiver.begin()
    yield receiver
    receiver.end()


@pytest.fixture
def slow_receiver():
    receiver = Receiver()
    receiver.begin()
    receiver.may_answer.clear()
    yield receiver
    receiver.may_answer.set()
    receiver.end()


other_slow_receiver = slow_receiver


@pytest.fixture
def webhook(user: User, receiver: Receiver) -> Webhook:
    return add(user, receiver.url)


def add(user: User, url: str, outbound: Outbound = HERE) -> Webhook:
    with open_session() as session:
        return lifecycle.add_webhook(session, user_id=user.id, url=url, outbound=outbound)


def owe(user: User, **data: object) -> uuid.UUID:
    with open_session() as session:
        return delivery_lifecycle.owe(session, user_id=user.id, kind="webhook.test", data=data)[0].id


def delivery(delivery_id: uuid.UUID) -> Delivery:
    with open_session() as session:
        return session.get_one(Delivery, delivery_id)


def make_due(webhook: Webhook) -> None:
    """Its pauses are over."""
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    with open_session() as session:
        session.execute(update(Webhook).where(Webhook.id == webhook.id).values(not_before=past))
        session.execute(update(Delivery).where(Delivery.webhook_id == webhook.id).values(not_before=past))


def now(webhook: Webhook) -> Webhook:
    with open_session() as session:
        return session.get_one(Webhook, webhook.id)


@pytest.mark.usefixtures("webhook")
@pytest.mark.parametrize("end", ["COMPLETED", "FAILED", "CANCELLED"])
def test_end_of_an_extraction_is_told(user: User, ask, receiver: Receiver, end: str) -> None:
    asked = ask(user)
    with open_session() as session:
        if end == "COMPLETED":
            archive = extractions.Archive(key=str(asked.extraction_id), size_bytes=9, sha256="0", frames=3, warnings=[])
            extractions.complete(session, asked.extraction_id, archive)
        elif end == "FAILED":
            extractions.fail(session, asked.extraction_id, code="NO_FRAMES", message="No frames.")
        else:
            extractions.cancel(session, asked.extraction)

    send_due_deliveries(outbound=HERE)

    (call,) = receiver.calls
    told = json.loads(call.body)
    assert told["type"] == f"extraction.{end.lower()}"
    assert told["data"] == {
        "extraction_id": str(asked.extraction_id),
        "video_id": str(asked.video.id),
        "filename": "a.mp4",
        "status": end,
        "frames": 3 if end == "COMPLETED" else None,
        "archive_bytes": 9 if end == "COMPLETED" else None,
        "error": {"code": "NO_FRAMES", "message": "No frames."} if end == "FAILED" else None,
        "url": f"{get_settings().public_url}/extractions/{asked.extraction_id}",
    }


def test_nothing_is_owed_for_what_was_not_committed(user: User, ask, webhook: Webhook) -> None:
    asked = ask(user)

    with open_session() as session:
        extractions.fail(session, asked.extraction_id, code="NO_FRAMES", message="No frames.")
        session.rollback()

    with open_session() as session:
        assert session.scalars(select(Delivery).where(Delivery.webhook_id == webhook.id)).all() == []


def test_signature_is_what_the_standards_own_library_takes(user: User, receiver: Receiver, webhook: Webhook) -> None:
    delivery_id = owe(user, word="ação")

    send_due_deliveries(outbound=HERE)

    (call,) = receiver.calls
    assert Verifier(signing.spell(webhook.secret)).verify(call.body, call.headers)["data"] == {"word": "ação"}
    assert call.headers["webhook-id"] == str(delivery_id)
    with pytest.raises(WebhookVerificationError):
        Verifier(signing.spell(webhook.secret)).verify(call.body + b" ", call.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(signing.spell(signing.new_secret())).verify(call.body, call.headers)


def test_old_secret_signs_beside_the_new_one_for_a_while(user: User, receiver: Receiver, webhook: Webhook) -> None:
    with open_session() as session:
        renewed = lifecycle.rotate_secret(session, session.get_one(Webhook, webhook.id))
    owe(user)
    send_due_deliveries(outbound=HERE)
    with open_session() as session:
        over = datetime.datetime.now(datetime.UTC)
        session.execute(update(Webhook).where(Webhook.id == webhook.id).values(old_secret_until=over))
    owe(user)
    send_due_deliveries(outbound=HERE)

    during, after = receiver.calls
    for secret in (webhook.secret, renewed.secret):
        Verifier(signing.spell(secret)).verify(during.body, during.headers)
    Verifier(signing.spell(renewed.secret)).verify(after.body, after.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(signing.spell(webhook.secret)).verify(after.body, after.headers)


@pytest.mark.parametrize("status", [200, 204, 299])
def test_what_is_taken_is_not_sent_again(user: User, receiver: Receiver, webhook: Webhook, status: int) -> None:
    receiver.status = status
    delivery_id = owe(user)

    taken = send_due_deliveries(outbound=HERE)
    make_due(webhook)
    send_due_deliveries(outbound=HERE)

    assert taken == len(receiver.calls) == 1
    assert (delivery(delivery_id).status, delivery(delivery_id).response_status) == ("DELIVERED", status)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_what_is_not_taken_is_sent_again_under_the_same_id(
    user: User, receiver: Receiver, webhook: Webhook, status: int
) -> None:
    receiver.status = status
    delivery_id = owe(user)
    send_due_deliveries(outbound=HERE)
    waiting = delivery(delivery_id)
    too_soon = send_due_deliveries(outbound=HERE)
    failing_since = now(webhook).failing_since
    receiver.status = 200
    make_due(webhook)
    send_due_deliveries(outbound=HERE)

    assert (waiting.status, waiting.response_status, too_soon) == ("PENDING", status, 0)
    assert waiting.not_before > datetime.datetime.now(datetime.UTC)
    assert [call.headers["webhook-id"] for call in receiver.calls] == [str(delivery_id)] * 2
    assert delivery(delivery_id).status == "DELIVERED"
    assert failing_since is not None
    assert now(webhook).failing_since is None


@pytest.mark.usefixtures("webhook")
def test_receiver_that_is_away_is_called_once_however_much_is_owed(user: User, receiver: Receiver) -> None:
    receiver.status = 500
    for _ in range(5):
        owe(user)

    send_due_deliveries(outbound=HERE)

    assert len(receiver.calls) == 1


def test_ten_failures_are_enough(user: User, receiver: Receiver, webhook: Webhook) -> None:
    receiver.status = 500
    delivery_id = owe(user)
    for _ in range(delivery_lifecycle.TRIES + 2):
        make_due(webhook)
        send_due_deliveries(outbound=HERE)

    assert len(receiver.calls) == delivery_lifecycle.TRIES
    assert delivery(delivery_id).status == "FAILED"
    assert now(webhook).disabled_at is None


def test_webhook_that_took_nothing_for_days_is_disabled(user: User, receiver: Receiver, webhook: Webhook) -> None:
    receiver.status = 500
    with open_session() as session:
        days_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=3)
        session.execute(update(Webhook).where(Webhook.id == webhook.id).values(failing_since=days_ago, failures=9))
    first, second = owe(user), owe(user)

    send_due_deliveries(outbound=HERE)

    assert now(webhook).disabled_because.startswith("It has taken nothing for 3 days")
    assert {delivery(first).status, delivery(second).status} == {"FAILED"}


def test_receiver_that_is_gone_is_called_no_more(user: User, receiver: Receiver, webhook: Webhook) -> None:
    receiver.status = 410
    delivery_id = owe(user)

    send_due_deliveries(outbound=HERE)
    with open_session() as session:
        owed = delivery_lifecycle.owe(session, user_id=user.id, kind="webhook.test", data={})

    assert owed == []
    assert delivery(delivery_id).status == "FAILED"
    assert "410" in now(webhook).disabled_because


@pytest.mark.usefixtures("webhook")
def test_many_senders_at_once_call_once(user: User, receiver: Receiver) -> None:
    ids = [owe(user) for _ in range(10)]
    threads = [threading.Thread(target=send_due_deliveries, kwargs={"outbound": HERE}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(call.headers["webhook-id"] for call in receiver.calls) == sorted(map(str, ids))


@pytest.mark.usefixtures("webhook")
def test_who_does_not_answer_holds_nobody_else_up(user: User, make_owner) -> None:
    other = make_owner()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        silent = add(other, f"http://127.0.0.1:{nobody.getsockname()[1]}/")
        older = owe(other)
        send_due_deliveries(outbound=HERE)
    make_due(silent)
    newer = owe(user)
    with open_session() as session:
        first = delivery_lifecycle.claim_delivery(session)
    with open_session() as session:
        second = delivery_lifecycle.claim_delivery(session)

    assert now(silent).failures == 1
    assert (first.delivery_id, second.delivery_id) == (newer, older)


def test_crowd_that_is_slow_to_answer_holds_nobody_else_up(
    user: User, make_owner, receiver: Receiver, slow_receiver: Receiver, other_slow_receiver: Receiver
) -> None:
    """More of them than there are senders, of many users; and what comes due only while they are called."""
    for number in range(sending.AT_ONCE + 4):
        owner = make_owner()
        add(owner, (slow_receiver, other_slow_receiver)[number % 2].url)
        owe(owner)
    add(user, receiver.url)
    with ThreadPoolExecutor() as threads:
        round_of_calls = threads.submit(send_due_deliveries, outbound=HERE)
        wait_until(lambda: slow_receiver.calls and other_slow_receiver.calls)
        owe(user)
        wait_until(lambda: receiver.calls)
        called = len(slow_receiver.calls), len(other_slow_receiver.calls)
        slow_receiver.may_answer.set()
        other_slow_receiver.may_answer.set()
        taken = round_of_calls.result()

    assert max(called) <= sending.AT_ONCE_EACH
    assert taken == sending.AT_ONCE + 5


def test_user_with_many_slow_receivers_does_not_get_all_senders(
    user: User, make_owner, receiver: Receiver, slow_receiver: Receiver
) -> None:
    other = make_owner()
    outbound = Outbound(allowed=LOOPBACK, resolve=Names(["127.0.0.1"]))
    for number in range(get_settings().user_webhooks):
        # Each a host of its own, as far as can be seen.
        add(other, f"http://host{number}.example:{slow_receiver.port}/", outbound)
    owe(other)
    add(user, receiver.url)
    with ThreadPoolExecutor() as threads:
        round_of_calls = threads.submit(send_due_deliveries, outbound=outbound)
        wait_until(lambda: slow_receiver.calls)
        owe(user)
        wait_until(lambda: receiver.calls)
        called = len(slow_receiver.calls)
        slow_receiver.may_answer.set()
        round_of_calls.result()

    assert called <= sending.AT_ONCE_EACH


def test_who_is_known_to_be_slow_leaves_senders_to_the_others(user: User, webhook: Webhook) -> None:
    with open_session() as session:
        session.execute(update(Webhook).where(Webhook.id == webhook.id).values(is_slow=True))
    delivery_id = owe(user)

    with open_session() as session:
        assert delivery_lifecycle.claim_delivery(session, is_quick=True) is None
        claim = delivery_lifecycle.claim_delivery(session)
        assert claim.delivery_id == delivery_id
        delivery_lifecycle.mark_delivered(session, claim, response_status=200, seconds=0.1)
        owe(user)
    with open_session() as session:
        assert delivery_lifecycle.claim_delivery(session, is_quick=True) is not None


def test_sender_that_lost_its_hold_changes_nothing(user: User, webhook: Webhook) -> None:
    delivery_id = owe(user)
    with open_session() as session:
        held = delivery_lifecycle.claim_delivery(session)
    make_due(webhook)
    send_due_deliveries(outbound=HERE)
    with open_session() as session:
        delivery_lifecycle.mark_retry(session, held, error="late")

    assert held.delivery_id == delivery_id
    assert delivery(delivery_id).status == "DELIVERED"


@pytest.mark.usefixtures("webhook")
def test_who_owes_rings(user: User) -> None:
    before = task_queue.waiting_rings(task_queue.WEBHOOK_TASK)

    owe(user)

    wait_until(lambda: task_queue.waiting_rings(task_queue.WEBHOOK_TASK) > before)


def test_webhook_may_be_disabled_and_deleted_at_any_moment(user: User, receiver: Receiver) -> None:
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            webhook = add(user, receiver.url)
            with open_session() as session:
                lifecycle.change_webhook(session, webhook.id, user_id=user.id, url=None, enabled=False, outbound=HERE)
            webhook = add(user, receiver.url)
            with open_session() as session:
                session.delete(queries.get_webhook(session, webhook.id, user_id=user.id, for_update=True))
            with open_session() as session:
                session.execute(delete(Webhook).where(Webhook.user_id == user.id))

    def owe_much() -> None:
        try:
            for _ in range(200):
                with open_session() as session:
                    delivery_lifecycle.owe(session, user_id=user.id, kind="webhook.test", data={})
        finally:
            ended.set()

    def send() -> None:
        while not ended.is_set():
            send_due_deliveries(outbound=HERE)

    with ThreadPoolExecutor() as threads:
        work = [threads.submit(call) for call in (come_and_go, owe_much, send)]

    assert [done.exception() for done in work] == [None] * 3


def test_name_that_came_to_mean_this_machine_is_not_called(user: User, receiver: Receiver) -> None:
    url = f"http://rebinding.example:{receiver.port}/"
    rebinding = Outbound(resolve=Names([PUBLIC], ["127.0.0.1"]))
    add(user, url, rebinding)
    delivery_id = owe(user)

    send_due_deliveries(outbound=rebinding)

    assert receiver.calls == []
    assert delivery(delivery_id).error.startswith("That address is not called from here")


def test_redirect_to_this_machine_is_not_followed(user: User, receiver: Receiver) -> None:
    bait = Receiver()
    bait.begin()
    receiver.status, receiver.location = 307, bait.url
    add(user, receiver.url)
    owe(user)

    send_due_deliveries(outbound=HERE)
    bait.end()

    assert len(receiver.calls) == 1
    assert bait.calls == []


@pytest.mark.usefixtures("webhook")
def test_address_that_is_allowed_no_more_is_not_called(user: User, receiver: Receiver) -> None:
    owe(user)

    send_due_deliveries(outbound=Outbound())

    assert receiver.calls == []


def test_old_deliveries_are_forgotten_and_owed_ones_kept(user: User, webhook: Webhook) -> None:
    ended, owed = owe(user), owe(user)
    with open_session() as session:
        old = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=31)
        session.execute(update(Delivery).where(Delivery.webhook_id == webhook.id).values(created_at=old))
        session.execute(update(Delivery).where(Delivery.id == ended).values(status="DELIVERED"))
        delivery_lifecycle.forget_ended(session)

    with open_session() as session:
        assert session.scalars(select(Delivery.id).where(Delivery.webhook_id == webhook.id)).all() == [owed]


@pytest.mark.usefixtures("webhook")
def test_worker_calls_what_is_owed(user: User, receiver: Receiver, workers: StartWorkers) -> None:
    workers(1, OUTBOUND_NETWORKS="127.0.0.0/8")

    delivery_id = owe(user)

    wait_until(lambda: [call.headers["webhook-id"] for call in receiver.calls] == [str(delivery_id)])
    wait_until(lambda: delivery(delivery_id).status == "DELIVERED")
