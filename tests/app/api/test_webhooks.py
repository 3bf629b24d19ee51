"""Webhooks as their owner keeps them."""

import pytest
from fastapi.testclient import TestClient

from app.database import open_session
from app.webhooks import delivery_lifecycle
from app.webhooks.models import Delivery

PUBLIC_URL = "https://93.184.215.14/hook"


@pytest.fixture
def user(make_user):
    return make_user()


@pytest.fixture
def ask(client: TestClient, user):
    """`ask("post", "/webhooks", 201, json=...)`: the answer, which must have that status."""

    def ask(method: str, path: str, status: int, *, by=user, **more):
        answer = client.request(method, path, headers=by.headers, **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    return ask


@pytest.fixture
def webhook(ask) -> dict:
    return ask("post", "/webhooks", 201, json={"url": PUBLIC_URL})


def test_secret_is_told_once(ask, webhook: dict) -> None:
    assert webhook["secret"].startswith("whsec_")

    kept = {key: value for key, value in webhook.items() if key != "secret"}
    assert ask("get", f"/webhooks/{webhook['id']}", 200) == kept
    assert ask("get", "/webhooks", 200) == [kept]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::ffff:10.0.0.1]/",
        "http://localhost/",
        "file:///etc/passwd",
        "http://user:password@93.184.215.14/",
        "no address",
    ],
)
def test_address_that_is_not_public_is_refused(ask, webhook: dict, url: str) -> None:
    new = ask("post", "/webhooks", 422, json={"url": url})
    moved = ask("patch", f"/webhooks/{webhook['id']}", 422, json={"url": url})

    assert new["code"] == moved["code"] == "ADDRESS_REFUSED"
    assert [kept["url"] for kept in ask("get", "/webhooks", 200)] == [PUBLIC_URL]


def test_webhooks_of_one_user_are_limited(ask, make_user) -> None:
    for _ in range(10):
        ask("post", "/webhooks", 201, json={"url": PUBLIC_URL})

    refused = ask("post", "/webhooks", 409, json={"url": PUBLIC_URL})

    assert refused["code"] == "TOO_MANY_WEBHOOKS"
    ask("post", "/webhooks", 201, json={"url": PUBLIC_URL}, by=make_user())


def test_webhook_moves_and_is_disabled_and_enabled(ask, webhook: dict) -> None:
    path = f"/webhooks/{webhook['id']}"

    moved = ask("patch", path, 200, json={"url": f"{PUBLIC_URL}/2"})
    disabled = ask("patch", path, 200, json={"enabled": False})
    refused = ask("post", f"{path}/test", 409)
    enabled = ask("patch", path, 200, json={"enabled": True})

    assert moved["url"] == f"{PUBLIC_URL}/2"
    assert disabled["disabled_at"] is not None
    assert disabled["disabled_because"] == "You disabled it."
    assert refused["code"] == "WEBHOOK_DISABLED"
    assert enabled["disabled_at"] is None
    ask("post", f"{path}/test", 202)


def test_disabling_drops_what_is_owed(ask, webhook: dict) -> None:
    path = f"/webhooks/{webhook['id']}"
    ask("post", f"{path}/test", 202)

    ask("patch", path, 200, json={"enabled": False})

    (delivery,) = ask("get", f"{path}/deliveries", 200)
    assert (delivery["status"], delivery["error"]) == ("FAILED", "The webhook was disabled.")
    ask("post", f"{path}/deliveries/{delivery['id']}/resend", 409)


def test_deliveries_are_listed_newest_first_by_page(ask, webhook: dict) -> None:
    path = f"/webhooks/{webhook['id']}"
    sent = [ask("post", f"{path}/test", 202)["id"] for _ in range(3)]

    first = ask("get", f"{path}/deliveries?limit=2", 200)
    second = ask("get", f"{path}/deliveries?limit=2&before={first[-1]['id']}", 200)

    assert [delivery["id"] for delivery in first + second] == sent[::-1]
    assert first[0]["payload"]["type"] == "webhook.test"


def test_message_is_sent_again_on_demand(ask, webhook: dict) -> None:
    path = f"/webhooks/{webhook['id']}"
    delivery_id = ask("post", f"{path}/test", 202)["id"]
    with open_session() as session:
        delivery = session.get_one(Delivery, delivery_id)
        delivery.status, delivery.attempts, delivery.error = "FAILED", delivery_lifecycle.TRIES, "It answered 500."

    again = ask("post", f"{path}/deliveries/{delivery_id}/resend", 202)

    assert (again["id"], again["status"], again["attempts"], again["error"]) == (delivery_id, "PENDING", 0, None)


def test_secret_is_renewed(ask, webhook: dict) -> None:
    renewed = ask("post", f"/webhooks/{webhook['id']}/secret", 200)

    assert renewed["secret"] != webhook["secret"]
    assert renewed["old_secret_until"] is not None


def test_deleted_webhook_is_gone(ask, webhook: dict) -> None:
    ask("delete", f"/webhooks/{webhook['id']}", 204)

    ask("get", f"/webhooks/{webhook['id']}", 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", ""),
        ("patch", ""),
        ("delete", ""),
        ("post", "/secret"),
        ("post", "/test"),
        ("get", "/deliveries"),
        ("post", "/deliveries/{delivery}/resend"),
    ],
)
def test_another_users_webhook_is_not_there(ask, make_user, webhook: dict, method: str, path: str) -> None:
    delivery = ask("post", f"/webhooks/{webhook['id']}/test", 202)["id"]
    more = {"json": {"enabled": False}} if method == "patch" else {}

    refused = ask(method, f"/webhooks/{webhook['id']}{path.format(delivery=delivery)}", 404, by=make_user(), **more)

    assert refused["code"] == "WEBHOOK_NOT_FOUND"
