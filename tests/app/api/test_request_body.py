import asyncio
import datetime

import pytest
from fastapi import HTTPException, Request

from app.api.request_body import BATCH_BYTES, batches

MINUTE = datetime.timedelta(minutes=1)


async def read(receive, *, longest: datetime.timedelta = MINUTE) -> list[bytes]:
    request = Request({"type": "http", "headers": []}, receive)
    return [batch async for batch in batches(request, longest=longest)]


def test_a_body_comes_in_large_pieces():
    chunks = [bytes([number % 256]) * 60_000 for number in range(100)]
    messages = iter([*({"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks)])

    async def receive():
        return next(messages, {"type": "http.request", "body": b"", "more_body": False})

    pieces = asyncio.run(read(receive))

    assert b"".join(pieces) == b"".join(chunks)
    assert all(len(piece) >= BATCH_BYTES for piece in pieces[:-1])
    assert max(map(len, pieces)) < 2 * BATCH_BYTES


@pytest.mark.parametrize("pause_seconds", [0.01, 10], ids=["trickles", "stalls"])
def test_a_body_that_does_not_end_in_time_is_broken_off(pause_seconds: float):
    async def receive():
        await asyncio.sleep(pause_seconds)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(HTTPException) as refusal:
        asyncio.run(asyncio.wait_for(read(receive, longest=datetime.timedelta(seconds=0.1)), timeout=5))

    assert refusal.value.status_code == 408
