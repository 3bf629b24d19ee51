"""A body that does not come to its end is answered, and one that has does not hurry its answer."""

import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from app.api.body_limit import BodyLimit

SCOPE = {"type": "http", "path": "/users/", "headers": []}


def run(app, receive, *, seconds: float) -> None:
    async def send(_) -> None:
        """Nobody listens."""

    asyncio.run(asyncio.wait_for(BodyLimit(app, seconds=seconds)(SCOPE, receive, send), timeout=5))


@pytest.mark.parametrize("pause_seconds", [0.01, 10], ids=["trickles", "stalls"])
def test_a_slow_body_is_refused(pause_seconds: float):
    async def receive():
        await asyncio.sleep(pause_seconds)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def app(scope, receive, _):
        await Request(scope, receive).body()

    with pytest.raises(HTTPException) as refusal:
        run(app, receive, seconds=0.1)

    assert (refusal.value.status_code, refusal.value.headers) == (408, {"Connection": "close"})


def test_an_answer_may_take_its_time():
    messages = iter([{"type": "http.request", "body": b"{}", "more_body": False}])

    async def receive():
        if message := next(messages, None):
            return message
        await asyncio.sleep(0.2)
        return {"type": "http.disconnect"}

    async def app(scope, receive, _):
        assert await Request(scope, receive).body() == b"{}"
        assert await receive() == {"type": "http.disconnect"}

    run(app, receive, seconds=0.1)
