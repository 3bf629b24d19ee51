import re
import threading
import time
from collections import Counter

import pytest

from app.notifications import messages, smtp
from app.notifications.sending import send_due_emails
from app.notifications.smtp import read_server


@pytest.fixture
def send(server_of, signed_url):
    """Send what is due through a sink."""
    return lambda sink: send_due_emails(server=server_of(sink), signed_url=signed_url, timeout_seconds=5)


@pytest.mark.parametrize(
    ("scheme", "login"), [("smtp", False), ("smtp+starttls", False), ("smtp+starttls", True), ("smtps", True)]
)
def test_a_completed_extraction_is_told_with_its_link(outbox, start_sink, send, scheme, login):
    sink = start_sink(scheme, login=login)
    email = outbox.owe("ana@example.com")

    sent = send(sink)

    [message] = sink.messages
    text = message.get_body(("plain",)).get_content()
    assert sent == 1
    assert outbox.now(email).status == "SENT"
    assert sink.encrypted == [scheme != "smtp"]
    assert message["To"] == "ana@example.com"
    assert message["From"] == "Fotograma <no-reply@fotograma.test>"
    assert message["Message-ID"] == email.message_id
    assert message["X-Fotograma-Kind"] == "completed"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime is not None
    assert re.search(r"https?://\S+", text).group() == (
        "https://files.test/results/1/archive.zip?seconds=43200&filename=holiday.zip"
    )


def test_all_that_is_due_is_sent_and_nothing_twice(outbox, start_sink, send):
    sink = start_sink()
    for number in range(3):
        outbox.owe(f"user{number}@example.com")

    assert send(sink) == 3
    assert send(sink) == 0
    assert [message["To"] for message in sink.messages] == [f"user{number}@example.com" for number in range(3)]


def test_two_senders_at_once_send_each_mail_once(outbox, start_sink, send):
    sink = start_sink()
    owed = [outbox.owe(f"user{number}@example.com") for number in range(12)]
    senders = [threading.Thread(target=send, args=(sink,)) for _ in range(2)]

    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert Counter(message["Message-ID"] for message in sink.messages) == Counter(email.message_id for email in owed)


def test_a_mail_whose_sender_died_after_the_servers_yes_comes_again_as_the_same_mail(
    outbox, start_sink, send, server_of, signed_url
):
    sink = start_sink()
    outbox.owe()
    dying = messages.compose(outbox.claim(), signed_url=signed_url)
    smtp.send(server_of(sink), dying, deadline=time.monotonic() + 30, timeout_seconds=5)

    assert send(sink) == 0

    outbox.let_all_fall_due()

    assert send(sink) == 1
    assert send(sink) == 0
    assert len(sink.messages) == 2
    assert sink.messages[0]["Message-ID"] == sink.messages[1]["Message-ID"]


def test_a_server_that_fumbles_its_goodbye_has_taken_the_mail(outbox, start_sink, send):
    sink = start_sink(quit_reply="451 not now")
    email = outbox.owe()

    assert send(sink) == 1
    assert outbox.now(email).status == "SENT"


def test_mail_is_never_sent_in_the_clear_where_starttls_is_asked_for(outbox, start_sink, signed_url):
    sink = start_sink("smtp")
    email = outbox.owe()

    send_due_emails(server=read_server(sink.url.replace("smtp:", "smtp+starttls:")), signed_url=signed_url)

    assert sink.encrypted == []
    assert outbox.now(email).status == "PENDING"
    assert "STARTTLS" in outbox.now(email).error


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_a_server_with_an_unknown_certificate_is_refused_and_tried_again(outbox, start_sink, send, signed_url, scheme):
    sink = start_sink(scheme, login=True)
    email = outbox.owe()

    send_due_emails(server=read_server(sink.url), signed_url=signed_url)
    refused = outbox.now(email)
    outbox.let_all_fall_due()
    send(sink)

    assert refused.status == "PENDING"
    assert "certificate verify failed" in refused.error
    assert outbox.now(email).status == "SENT"
    assert len(sink.messages) == 1


def test_a_wrong_login_is_told_and_tried_again(outbox, start_sink, send):
    sink = start_sink("smtp+starttls", login=True)
    email = outbox.owe()
    right = sink.url
    sink.url = "smtp+starttls://someone:else@" + right.rpartition("@")[2]

    send(sink)
    refused = outbox.now(email)
    outbox.let_all_fall_due()
    sink.url = right
    send(sink)

    assert refused.status == "PENDING"
    assert refused.error.startswith("535 ")
    assert outbox.now(email).status == "SENT"


@pytest.mark.parametrize(
    "fields", [{"rcpt_reply": lambda _: "451 4.7.1 greylisted"}, {"data_reply": "451 4.7.1 greylisted"}]
)
def test_a_mail_that_is_put_off_is_tried_later_as_the_same_mail(outbox, start_sink, send, fields):
    busy, ready = start_sink(**fields), start_sink()
    email = outbox.owe()

    send(busy)
    put_off = outbox.now(email)

    assert (put_off.status, put_off.error) == ("PENDING", "451 4.7.1 greylisted")
    assert 3 < outbox.pause_seconds(email) < 7
    assert send(ready) == 0

    outbox.let_all_fall_due()

    assert send(ready) == 1
    assert ready.messages[0]["Message-ID"] == email.message_id


@pytest.mark.parametrize("refusal", ["550 5.1.1 No such user", "552 5.2.2 Mailbox full"])
def test_a_refused_recipient_ends_that_mail_only(outbox, start_sink, send, refusal):
    sink = start_sink(rcpt_reply=lambda address: refusal if address.startswith("nobody") else "250 OK")
    refused, other = outbox.owe("nobody@example.com"), outbox.owe("ana@example.com")

    sent = send(sink)
    outbox.let_all_fall_due()

    assert sent == 1
    assert send(sink) == 0
    assert (outbox.now(refused).status, outbox.now(refused).error) == ("FAILED", refusal)
    assert outbox.now(other).status == "SENT"


def test_a_refused_message_ends_with_the_servers_words(outbox, start_sink, send):
    sink = start_sink(data_reply="554 5.7.1 Looks like spam")
    email = outbox.owe()

    send(sink)

    assert (outbox.now(email).status, outbox.now(email).error) == ("FAILED", "554 5.7.1 Looks like spam")


def test_a_refused_sender_can_be_mended_in_the_settings_so_it_is_tried_again(outbox, start_sink, send):
    sink = start_sink(mail_reply="553 5.7.1 Not your address")
    email = outbox.owe()

    send(sink)

    assert (outbox.now(email).status, outbox.now(email).error) == ("PENDING", "553 5.7.1 Not your address")


def test_where_the_server_is_away_one_mail_is_tried_and_the_others_wait_for_the_next_run(
    outbox, start_sink, send, signed_url
):
    first, second = outbox.owe(), outbox.owe()
    sink = start_sink()
    port_of_nobody = read_server("smtp://127.0.0.1:1")

    send_due_emails(server=port_of_nobody, signed_url=signed_url, timeout_seconds=1)

    assert outbox.now(first).attempts == 1
    assert "refused" in outbox.now(first).error
    assert outbox.now(second).attempts == 0

    outbox.let_all_fall_due()

    assert send(sink) == 2


def test_a_mail_that_cant_be_written_keeps_no_other_back(outbox, start_sink, server_of, signed_url):
    def sometimes(key, **more):
        if key == "results/away":
            raise ConnectionError("the storage does not answer")
        return signed_url(key, **more)

    sink = start_sink()
    broken, other = outbox.owe(archive_key="results/away"), outbox.owe()

    sent = send_due_emails(server=server_of(sink), signed_url=sometimes)

    assert sent == 1
    assert outbox.now(other).status == "SENT"
    assert outbox.now(broken).status == "PENDING"
    assert outbox.now(broken).error == "ConnectionError: the storage does not answer"
