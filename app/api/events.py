"""Watching videos as they change."""

import datetime
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api.dependencies import AskerDep, CurrentUser
from app.api.error_responses import documented
from app.api.event_feed import Feed, Subscription, TooManyStreams
from app.errors import Unauthenticated

AWAY_LONGEST = datetime.timedelta(days=30)

router = APIRouter(tags=["videos"])


async def subscribe(
    request: Request,
    asker: AskerDep,
    user: CurrentUser,
    last_event_id: Annotated[
        str | None, Header(description="The id that came last, to be told what has changed since.")
    ] = None,
) -> AsyncIterator[Subscription]:
    """A listener for as long as the request lasts."""
    feed: Feed = request.state.feed
    with feed.subscribe(asker.credential, user_id=user.id, since=_moment(last_event_id)) as subscription:
        yield subscription


@router.get("/events", response_class=EventSourceResponse, responses=documented(Unauthenticated, TooManyStreams))
async def stream_events(
    subscription: Annotated[Subscription, Depends(subscribe)],
) -> AsyncIterator[ServerSentEvent]:
    """Your videos as they change, as server-sent events; `docs/events.md` tells how to listen.

    First comes a `video` for each that has not ended or has changed lately, then `snapshot`; from then on a `video` for
    each that changes, its data what `GET /videos/{id}` answers, and `deleted` for each that is gone.
    """
    async for event in subscription.events():
        yield event


def _moment(event_id: str | None) -> datetime.datetime | None:
    """Who comes with an id that is none of ours knows nothing, nor does who was away for ages."""
    try:
        moment = datetime.datetime.fromisoformat(event_id or "")
        away = datetime.datetime.now(datetime.UTC) - moment
    except (ValueError, TypeError):
        return None
    return moment if abs(away) < AWAY_LONGEST else None
