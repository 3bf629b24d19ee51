from app import task_queue
from app.database import open_session
from app.notifications import lifecycle


def test_a_mail_is_owed_once_for_each_extraction_and_kind(outbox):
    first = outbox.owe("ana@example.com")
    again = outbox.owe("other@example.com", extraction_id=first.extraction_id)
    other_kind = outbox.owe(kind="failed", extraction_id=first.extraction_id)

    assert again.id == first.id
    assert again.recipient == "ana@example.com"
    assert again.message_id == first.message_id
    assert other_kind.message_id != first.message_id
    assert first.message_id.startswith("<")
    assert first.message_id.endswith("@fotograma.test>")


def test_a_mail_is_rung_for_once_it_is_committed(outbox, wait_until):
    before = task_queue.waiting_rings(task_queue.EMAIL_TASK)

    outbox.owe()

    wait_until(lambda: task_queue.waiting_rings(task_queue.EMAIL_TASK) > before)


def test_the_mail_due_longest_is_claimed_first_and_then_held(outbox):
    first, second = outbox.owe(), outbox.owe()

    assert outbox.claim().id == first.id
    assert outbox.claim().id == second.id
    assert outbox.claim() is None
    assert lifecycle.HOLD.total_seconds() - 5 < outbox.pause_seconds(first) <= lifecycle.HOLD.total_seconds()


def test_a_claim_passes_over_a_mail_that_another_is_just_claiming(outbox):
    first, second = outbox.owe(), outbox.owe()

    with open_session() as one, open_session() as other:
        claimed = [lifecycle.claim_email(one).id, lifecycle.claim_email(other).id]

    assert claimed == [first.id, second.id]


def test_a_sender_that_lost_its_mail_changes_nothing(outbox):
    outbox.owe()
    slow = outbox.claim()
    outbox.let_all_fall_due()
    quick = outbox.claim()

    with open_session() as session:
        lifecycle.mark_failed(session, slow, error="too late")
        lifecycle.mark_retry(session, slow, error="too late")
        lifecycle.mark_sent(session, slow)
    untouched = outbox.now(slow)
    with open_session() as session:
        lifecycle.mark_sent(session, quick)
        lifecycle.mark_failed(session, quick, error="after the end")
    sent = outbox.now(quick)

    assert (untouched.status, untouched.error, untouched.sent_at) == ("PENDING", None, None)
    assert (sent.status, sent.error) == ("SENT", None)
    assert sent.sent_at is not None


def test_tries_come_slower_and_slower_and_end_after_ten(outbox):
    email = outbox.owe()
    pauses = []

    for _ in range(lifecycle.TRIES - 1):
        outbox.let_all_fall_due()
        claimed = outbox.claim()
        with open_session() as session:
            lifecycle.mark_retry(session, claimed, error="421 busy")
        pauses.append(outbox.pause_seconds(email))
    still = outbox.now(email)
    outbox.let_all_fall_due()
    with open_session() as session:
        lifecycle.mark_retry(session, lifecycle.claim_email(session), error="421 still busy")

    assert pauses == sorted(pauses)
    assert 3 < pauses[0] < 7
    assert sum(pauses) > 8 * 3600
    assert (still.status, still.error) == ("PENDING", "421 busy")
    assert (outbox.now(email).status, outbox.now(email).error) == ("FAILED", "421 still busy")


def test_what_a_server_says_is_stored_short_and_clean(outbox):
    email = outbox.owe()
    claimed = outbox.claim()

    with open_session() as session:
        lifecycle.mark_failed(session, claimed, error="550 no\x00\r\n\x1b[31m" + "x" * 10_000)

    assert outbox.now(email).error.startswith("550 no")
    assert outbox.now(email).error.isprintable()
    assert len(outbox.now(email).error) == 500
