"""Those who watch their videos from this process, and what each has yet to be sent.

Changes are heard as ids, read in batches on a thread, and made into text once for all who watch the same video. Of each
video only the newest state waits for a listener: one that is slow misses states between, never the last.
"""

import asyncio
import datetime
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi.sse import ServerSentEvent
from sqlalchemy.exc import SQLAlchemyError

from app import changes
from app.accounts import queries as accounts
from app.accounts.credentials import Credential
from app.api.schemas import VideoView
from app.changes import Change
from app.database import open_session
from app.errors import TooMany
from app.extractions import watching
from app.settings import get_settings

logger = structlog.get_logger()

# What changes together is read together; nobody sees the difference.
BATCH_SECONDS = 0.1
BATCH_CHANGES = 200
BATCH_SNAPSHOTS = 50
# Whose session has ended is sent no more after so long.
CHECK_SECONDS = 5.0
PAUSE_SECONDS = 1.0

RECENTLY = datetime.timedelta(minutes=15)
"""Who says not since when is told what has changed within this time."""
MARGIN = datetime.timedelta(minutes=1)
"""A change counts from when its transaction began and is seen from when it ended: no transaction takes longer."""


class TooManyStreams(TooMany):
    """You are watching from as many places as are allowed; close one of them."""

    code = "TOO_MANY_STREAMS"


class Subscription:
    """One listener."""

    def __init__(self, credential: Credential, *, user_id: uuid.UUID, since: datetime.datetime | None) -> None:
        self.credential = credential
        self.user_id = user_id
        self.since = since
        """What changed before this it knows; None: it knows nothing."""
        self.awaits_snapshot = True
        self._waiting: dict[uuid.UUID | None, ServerSentEvent] = {}
        self._news = asyncio.Event()
        self._has_ended = False

    def put(self, video_id: uuid.UUID | None, event: ServerSentEvent) -> None:
        """Send this, in place of what still waits about the same video."""
        # At the end of the line: an id is sent only when all that came before it was.
        self._waiting.pop(video_id, None)
        self._waiting[video_id] = event
        self._news.set()

    def end(self) -> None:
        """Send nothing more."""
        self._has_ended = True
        self._news.set()

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """What there is to send, as it comes."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting and not self._has_ended:
                yield self._waiting.pop(next(iter(self._waiting)))
            if self._has_ended:
                return


@dataclass(frozen=True)
class _Batch:
    """What is read at once."""

    snapshots: list[Subscription]
    changed: list[Change]


@dataclass(frozen=True)
class _Read:
    """A batch as the database tells it."""

    snapshots: list[dict[uuid.UUID | None, ServerSentEvent]]
    changed: dict[Change, ServerSentEvent]


class Feed:
    """All listeners of this process."""

    def __init__(self) -> None:
        self._subscriptions: dict[uuid.UUID, set[Subscription]] = {}
        self._changed: set[Change] = set()
        self._to_read = asyncio.Event()
        self._has_ended = False
        # Apart from the threads that answer requests: a crowd of those must not hold up the news.
        self._threads = CapacityLimiter(2)

    async def run(self) -> None:
        """Bring the listeners what changes, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(changes.hear(on_connected=self._begin_anew, on_change=self._note))
            tasks.create_task(self._bring_news())
            tasks.create_task(self._end_the_signed_out())

    @contextmanager
    def subscribe(
        self, credential: Credential, *, user_id: uuid.UUID, since: datetime.datetime | None
    ) -> Iterator[Subscription]:
        """Listen, beginning with how things stand."""
        subscription = Subscription(credential, user_id=user_id, since=since)
        of_user = self._subscriptions.setdefault(user_id, set())
        if len(of_user) >= get_settings().user_event_streams:
            raise TooManyStreams
        of_user.add(subscription)
        if self._has_ended:
            subscription.end()
        self._to_read.set()
        try:
            yield subscription
        finally:
            of_user.discard(subscription)
            if not of_user:
                self._subscriptions.pop(user_id, None)

    def end(self) -> None:
        """This process is about to end: so do the streams, which would hold it up."""
        self._has_ended = True
        for subscription in self._all():
            subscription.end()

    def _all(self) -> list[Subscription]:
        return [subscription for of_user in self._subscriptions.values() for subscription in of_user]

    def _begin_anew(self) -> None:
        """Nothing was heard for a while: what may have changed meanwhile is told to everybody."""
        for subscription in self._all():
            subscription.awaits_snapshot = True
        self._to_read.set()

    def _note(self, change: Change) -> None:
        if change.user_id in self._subscriptions:
            self._changed.add(change)
            self._to_read.set()

    async def _bring_news(self) -> None:
        while True:
            await self._to_read.wait()
            await asyncio.sleep(BATCH_SECONDS)
            batch = self._next_batch()
            try:
                read = await to_thread.run_sync(_read, batch, limiter=self._threads)
            except Exception as error:
                # Most likely the database is away. Whatever it is, the listeners wait for what comes after it too.
                logger.warning("events are held up", error=str(error).splitlines()[:1])
                self._changed.update(batch.changed)
                self._to_read.set()
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self._hand_out(batch, read)

    def _next_batch(self) -> _Batch:
        self._to_read.clear()
        snapshots = [subscription for subscription in self._all() if subscription.awaits_snapshot]
        changed = list(self._changed)[:BATCH_CHANGES]
        self._changed.difference_update(changed)
        if self._changed or len(snapshots) > BATCH_SNAPSHOTS:
            self._to_read.set()
        return _Batch(snapshots=snapshots[:BATCH_SNAPSHOTS], changed=changed)

    def _hand_out(self, batch: _Batch, read: _Read) -> None:
        for subscription, events in zip(batch.snapshots, read.snapshots, strict=True):
            subscription.awaits_snapshot = False
            for video_id, event in events.items():
                subscription.put(video_id, event)
        for change, event in read.changed.items():
            for subscription in self._subscriptions.get(change.user_id, ()):
                # Who waits for a snapshot finds it in there; an id that came before would say that it was sent. That
                # something is gone is in no snapshot.
                if not subscription.awaits_snapshot or event.event == "deleted":
                    subscription.put(change.video_id, event)

    async def _end_the_signed_out(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            subscriptions = self._all()
            if not subscriptions:
                continue
            credentials = {subscription.credential for subscription in subscriptions}
            with suppress(SQLAlchemyError):
                good = await to_thread.run_sync(_still_good, credentials, limiter=self._threads)
                for subscription in subscriptions:
                    if subscription.credential not in good:
                        subscription.end()


@asynccontextmanager
async def open_feed() -> AsyncIterator[Feed]:
    """The feed of this process, at work."""
    feed = Feed()
    running = asyncio.create_task(feed.run())
    with _at_signal(feed):
        yield feed
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@contextmanager
def _at_signal(feed: Feed) -> Iterator[None]:
    """End the streams when the server is told to end: it waits for them before it tells us."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def end(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(feed.end)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    try:
        for number in before:
            signal.signal(number, end)
    except ValueError:
        # Not the main thread, which alone hears signals.
        before.clear()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read(batch: _Batch) -> _Read:
    """Snapshots first: a change that is in both is newer as a change."""
    with open_session() as session:
        now = watching.read_clock(session)
        snapshots = []
        for subscription in batch.snapshots:
            since = (subscription.since - MARGIN) if subscription.since else now - RECENTLY
            recent = watching.read_recent(session, user_id=subscription.user_id, since=since)
            events: dict[uuid.UUID | None, ServerSentEvent] = {
                state.video.id: _event("video", VideoView.model_validate(state).model_dump_json())
                for state in recent.states
            }
            complete = "true" if recent.is_complete else "false"
            events[None] = _event("snapshot", f'{{"complete":{complete}}}', at=now)
            snapshots.append(events)
        states = watching.read_changed(session, batch.changed) if batch.changed else {}
    changed = {}
    for change in batch.changed:
        if change in states:
            view = VideoView.model_validate(states[change])
            changed[change] = _event("video", view.model_dump_json(), at=now)
        else:
            changed[change] = _event("deleted", f'{{"id":"{change.video_id}"}}')
    return _Read(snapshots=snapshots, changed=changed)


def _still_good(credentials: set[Credential]) -> set[Credential]:
    with open_session() as session:
        return accounts.still_good(session, credentials)


def _event(kind: str, data: str, *, at: datetime.datetime | None = None) -> ServerSentEvent:
    """With `at`, who comes back with it as its last id is told what has changed since."""
    return ServerSentEvent(event=kind, raw_data=data, id=at.isoformat() if at else None)
