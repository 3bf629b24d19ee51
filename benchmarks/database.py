"""What the service's statements cost in a large database: `python -m benchmarks.database`.

Fills a PostgreSQL of its own and runs the service's own functions there. Each statement they send is then run again
under EXPLAIN ANALYZE, so that what is told is the server's time alone and the way it took.
"""

import hashlib
import json
import os
import secrets
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import create_engine, event, select, text
from sqlalchemy.orm import Session

from app.database import get_engine, open_session
from app.extractions import listing, queries, retention, segment_lifecycle, turns
from app.extractions.models import Extraction
from app.extractions.results import Place
from app.extractions.states import VideoStatus
from app.local_stack import broker, postgres
from app.local_stack.processes import PROJECT, Process, free_port
from app.notifications import queries as notifications
from app.settings import get_settings

ROUNDS = 5

# A large part of what the probe says of a camera's video, so that rows are as wide as true ones.
MEDIA = {
    "name": "a.mp4",
    "bytes": 1_000_000,
    "container": "mov,mp4,m4a,3gp,3g2,mj2",
    "codec": "h264",
    "profile": "High",
    "pixel_format": "yuv420p",
    "width": 1920,
    "height": 1080,
    "rotation": 0,
    "sample_aspect_ratio": "1:1",
    "frame_rate": "30000/1001",
    "variable_frame_rate": False,
    "duration_seconds": 61.2,
    "frames": 1836,
    "bit_depth": 8,
    "color": {"primaries": "bt709", "transfer": "bt709", "matrix": "bt709", "range": "tv"},
    "streams": [{"index": 0, "type": "video", "codec": "h264"}, {"index": 1, "type": "audio", "codec": "aac"}],
}

USERS = """
INSERT INTO users (id, email, password_hash, locale, token_version)
SELECT md5('u' || u)::uuid, 'user' || u || '@example.com', 'none', 'en', 0 FROM generate_series(0, :users - 1) u
"""
# Each user's are spread over the month; the last twentieth are all one user's, who has far more than others.
OWNER = "md5('u' || CASE WHEN v < :videos * 0.95 THEN v % :users ELSE 0 END)::uuid"
VIDEOS = f"""
INSERT INTO videos (id, user_id, filename, object_key, size_bytes, sha256, media, created_at, probed_at, asked_at,
    expires_at)
SELECT md5('v' || v)::uuid, {OWNER}, 'video' || v || '.mp4', 'videos/' || v || '/source', 1000000,
    md5('v' || v) || md5('w' || v), CAST(:media AS jsonb), now() - (:videos - v) * interval '30 days' / :videos, now(),
    now(), now() + interval '1 hour' + v * interval '30 days' / :videos
FROM generate_series(0, :videos - 1) v
"""
# Of a hundred one failed and one was cancelled.
STATUS = "CASE v % 100 WHEN 7 THEN 'FAILED' WHEN 8 THEN 'CANCELLED' ELSE 'COMPLETED' END"
EXTRACTIONS = f"""
INSERT INTO extractions (id, video_id, user_id, plan, status, error_code, frames_total, frames, archive_key,
    archive_bytes, archive_sha256, created_at, started_at, completed_at)
SELECT md5('e' || v)::uuid, md5('v' || v)::uuid, {OWNER}, '{{"mode": "every", "seconds": 1}}', {STATUS},
    CASE WHEN v % 100 = 7 THEN 'NO_FRAMES' END, 61, 61, 'results/' || v || '/archive', 2000000, md5('a' || v),
    now() - (:videos - v) * interval '30 days' / :videos, now(), now()
FROM generate_series(0, :videos - 1) v
"""
SEGMENTS = f"""
INSERT INTO segments (id, video_id, extraction_id, user_id, number, step, status, token, crashes, losses,
    infra_failures, frames_done, frames, created_at, completed_at)
SELECT md5(step || v)::uuid, md5('v' || v)::uuid, md5('e' || v)::uuid, {OWNER}, number, step, {STATUS}, 1, 0, 0, 0,
    61, 61, now() - (:videos - v) * interval '30 days' / :videos, now()
FROM generate_series(0, :videos - 1) v, (VALUES ('FRAMES', 0), ('JOIN', 1)) steps (step, number)
"""
EMAILS = f"""
INSERT INTO emails (id, user_id, extraction_id, kind, recipient, locale, facts, message_id, status, token, attempts,
    created_at, sent_at)
SELECT md5('m' || v)::uuid, {OWNER}, md5('e' || v)::uuid, 'completed', 'user@example.com', 'en', '{{"frames": 61}}',
    'message' || v, 'SENT', 1, 1, now(), now()
FROM generate_series(0, :videos - 1) v
"""
# One user uploads and asks for nothing: as many as the other has that were asked for.
READY = """
INSERT INTO videos (id, user_id, filename, object_key, size_bytes, sha256, media, created_at, probed_at, expires_at)
SELECT md5('rv' || v)::uuid, md5('u2')::uuid, 'ready' || v || '.mp4', 'key', 1000000, md5('v' || v),
    CAST(:media AS jsonb), now() - v * interval '30 days' / (:videos * 0.05), now(),
    now() + interval '1 hour' + v * interval '30 days' / (:videos * 0.05)
FROM generate_series(1, (:videos * 0.05)::integer) v
"""
# Videos whose extractions all wait, each cut into ten: three in four are one user's.
WAITING = (
    """
INSERT INTO videos (id, user_id, filename, object_key, size_bytes, sha256, created_at, probed_at, asked_at, expires_at)
SELECT md5('wv' || v)::uuid, md5('u' || CASE WHEN v % 4 = 0 THEN v % :users ELSE 1 END)::uuid, 'waiting.mp4', 'key',
    1000000, md5('v' || v), now(), now(), now(), now() + interval '30 days'
FROM generate_series(0, :waiting / 10 - 1) v
""",
    """
INSERT INTO extractions (id, video_id, user_id, plan, status, frames_total, created_at, started_at)
SELECT md5('we' || v)::uuid, id, user_id, '{"mode": "every", "seconds": 1}', 'PROCESSING', 61, now(), now()
FROM (SELECT row_number() OVER () v, id, user_id FROM videos WHERE filename = 'waiting.mp4') waiting
""",
    """
INSERT INTO segments (id, video_id, extraction_id, user_id, number, step, status, token, crashes, losses,
    infra_failures, frames_done, created_at)
SELECT gen_random_uuid(), video_id, id, user_id, number, 'FRAMES', 'PENDING', 0, 0, 0, 0, 0,
    now() + random() * interval '1 second'
FROM extractions, generate_series(0, 9) number WHERE status = 'PROCESSING'
""",
)


@dataclass
class Watch:
    """The statements that a piece of work sends."""

    sent: list[tuple[str, Any]] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: Any) -> None:
            self.sent.append((statement, parameters))

        event.listen(get_engine(), "before_cursor_execute", note)
        try:
            yield
        finally:
            event.remove(get_engine(), "before_cursor_execute", note)


def main(
    folder: Annotated[Path, typer.Option(help="Where the database is kept; filled once.")] = Path(
        ".fotograma/benchmarks/database"
    ),
    videos: Annotated[int, typer.Option(help="Videos that have had their frames taken.")] = 1_000_000,
    users: Annotated[int, typer.Option(help="Whose they are.")] = 1_000,
    waiting: Annotated[int, typer.Option(help="Segments that wait.")] = 50_000,
    plans: Annotated[bool, typer.Option("--plans", help="Print the plan of each statement, too.")] = False,
    only: Annotated[str, typer.Option(help="Only works whose name holds this.")] = "",
) -> None:
    """Tell what statements cost in a large database."""
    with _running(folder.resolve()):
        _fill(videos=videos, users=users, waiting=waiting)
        for name, work in _works().items():
            if only in name:
                _tell(name, work, plans=plans)
        if only in "claims":
            for threads in (1, 4, 16, 64):
                _tell_claims(threads)


def _works() -> dict[str, Callable[[Session], object]]:
    usual, heavy, busy, idle = (uuid.UUID(_md5(f"u{number}")) for number in (17, 0, 1, 2))

    def page(user_id: uuid.UUID, status: VideoStatus | None = None) -> Callable[[Session], object]:
        return lambda session: listing.list_videos(session, user_id=user_id, status=status, cursor=None, limit=50)

    def next_page(session: Session) -> object:
        first = listing.list_videos(session, user_id=usual, status=None, cursor=None, limit=200)
        return listing.list_videos(session, user_id=usual, status=None, cursor=first.next_cursor, limit=200)

    def wanted_results(session: Session) -> object:
        ids = session.scalars(select(Extraction.id).limit(retention.PAGE_KEYS))
        places = [Place(extraction_id, uuid.uuid4(), 1) for extraction_id in ids]
        return retention.wanted(session, {place.archive: place for place in places})

    works: dict[str, Callable[[Session], object]] = {
        "status page": page(usual),
        "status page, many videos": page(heavy),
    }
    for status in VideoStatus:
        works[f"status page, {status}"] = page(usual, status)
    for status in VideoStatus:
        works[f"status page, many videos, {status}"] = page(heavy, status)
    return works | {
        "status page, many videos that nothing was asked of": page(idle),
        "status page, many videos that nothing was asked of, READY": page(idle, VideoStatus.READY),
        "next page of 200": next_page,
        "quota": lambda session: queries.stored_bytes(session, user_id=usual),
        "quota, many videos": lambda session: queries.stored_bytes(session, user_id=heavy),
        "waiting extractions": lambda session: queries.count_waiting(session, user_id=busy),
        "wanted results": wanted_results,
        "sweep: leases": segment_lifecycle.expire_leases,
        "sweep: claimable": turns.claimable,
        "sweep: mails": notifications.due,
        "claim": lambda session: segment_lifecycle.claim_segment(session, worker="benchmark"),
    }


def _md5(word: str) -> str:
    return hashlib.md5(word.encode(), usedforsecurity=False).hexdigest()


def _tell(name: str, work: Callable[[Session], object], *, plans: bool) -> None:
    watch = Watch()
    with Session(get_engine()) as session:
        with watch.watching():
            work(session)
        session.rollback()
        for statement, parameters in watch.sent:
            if "SAVEPOINT" in statement:
                # Costs nothing, and has no plan.
                continue
            costs, plan = [], ""
            for _ in range(ROUNDS):
                rows = session.connection().exec_driver_sql(
                    f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
                )
                explained = rows.scalar_one()[0]
                costs.append(explained["Planning Time"] + explained["Execution Time"])
                session.rollback()
            if plans:
                rows = session.connection().exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
                plan = "\n".join(row[0] for row in rows)
                session.rollback()
            print(
                f"{name}: {statistics.median(costs):.1f} ms (first {costs[0]:.1f}) {' '.join(statement.split())[:60]}"
            )
            if plan:
                print(plan)


def _tell_claims(threads: int) -> None:
    """Claims each second, each ended at once, as short segments would be."""
    os.environ["USER_EXTRACTIONS_RUNNING"] = "100"
    get_settings.cache_clear()
    ended = time.monotonic() + 10
    counts, misses, seconds = [0] * threads, [0] * threads, [[0.0] for _ in range(threads)]
    gate = threading.Barrier(threads)

    def work(number: int) -> None:
        gate.wait()
        while time.monotonic() < ended:
            began = time.perf_counter()
            with open_session() as session:
                claim = segment_lifecycle.claim_segment(session, worker=str(number))
            seconds[number].append(time.perf_counter() - began)
            if claim is None:
                misses[number] += 1
                continue
            counts[number] += 1
            with open_session() as session:
                session.execute(
                    text("UPDATE segments SET status = 'COMPLETED' WHERE id = :id"), {"id": claim.segment_id}
                )

    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    took = time.monotonic() - began
    all_seconds = sorted(second for own in seconds for second in own[1:])
    with open_session() as session:
        session.execute(text("UPDATE segments SET status = 'PENDING' WHERE worker IS NOT NULL"))
    print(
        f"claims, {threads} at once: {sum(counts) / took:.0f} a second, {sum(misses)} came back empty, "
        f"median {statistics.median(all_seconds) * 1000:.1f} ms, "
        f"p99 {all_seconds[int(len(all_seconds) * 0.99)] * 1000:.1f} ms",
        flush=True,
    )


@contextmanager
def _running(folder: Path) -> Iterator[None]:
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    postgres.prepare(folder)
    # As an outside server of this size would be set up; durable, so that commits cost what they cost.
    part = postgres.part(folder, port=port, settings=("shared_buffers=1GB", "max_wal_size=8GB"))
    process = Process(part, log=folder / "postgres.log")
    broker.prepare(folder / "broker")
    doorbell = Process(broker.part(folder / "broker", port=(broker_port := free_port())), log=folder / "broker.log")
    try:
        process.wait_until_healthy()
        doorbell.wait_until_healthy()
        postgres.create_database(folder, port=port)
        os.environ.update(
            postgres.environment(folder, port=port)
            | broker.environment(folder / "broker", port=broker_port)
            | {"SECRET_KEY": secrets.token_urlsafe(48), "DB_POOL_SIZE": "64"}
        )
        subprocess.run([Path(sys.executable).with_name("alembic"), "upgrade", "head"], cwd=PROJECT, check=True)
        yield
    finally:
        get_engine().dispose()
        doorbell.stop()
        process.stop()


def _fill(*, videos: int, users: int, waiting: int) -> None:
    # Of its own: the service's connections give a statement up that takes as long as these.
    engine = create_engine(get_settings().database_url)
    words = {"videos": videos, "users": users, "waiting": waiting, "media": json.dumps(MEDIA)}
    with engine.begin() as connection:
        if connection.scalar(text("SELECT count(*) FROM users")):
            return
        for statement in (USERS, VIDEOS, EXTRACTIONS, SEGMENTS, EMAILS, READY, *WAITING):
            began = time.monotonic()
            connection.execute(text(statement), {name: words[name] for name in words if f":{name}" in statement})
            print(f"{statement.split()[2]}: {time.monotonic() - began:.0f} s", flush=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


if __name__ == "__main__":
    typer.run(main)
