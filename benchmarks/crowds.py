"""One API process before many: `python -m benchmarks.crowds listen`, `... trickle` and `... large`.

Each starts a service of its own, and speaks to it over HTTP.
"""

import asyncio
import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx2
import psutil
import typer

from benchmarks import inputs
from benchmarks.load import Load
from benchmarks.service import CLIPS, MEGABYTE, Running, running, sign_up
from fotograma.client import Client

READS = ("/users/me", "/videos/status")
WAIT_SECONDS = 60
CHUNK_BYTES = 16 * MEGABYTE
JOIN_MOST_SECONDS = 600
TUS_JS = Path(__file__).parents[1] / "tests/end_to_end/tus_js/upload.js"

Sending = Callable[[str, Path, dict[str, str], str], Callable[[], object]]
"""Makes ready; what it gives sends."""

app = typer.Typer(help=__doc__)


@dataclass
class Listener:
    """A connection that reads events, and when it heard of which video first."""

    heard: dict[str, float] = field(default_factory=dict)
    is_up_to_date: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self, url: str, authorization: str) -> None:
        """Until cancelled."""
        where = urlsplit(url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(f"GET /events HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: {authorization}\r\n\r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"event: snapshot"):
                self.is_up_to_date.set()
            elif line.startswith(b"data: ") and b'"filename"' in line:
                self.heard.setdefault(json.loads(line[6:])["id"], time.perf_counter())


@app.command()
def listen(
    listeners: Annotated[int, typer.Option(help="Streams at once.")] = 500,
    users: Annotated[int, typer.Option(help="Whose they are, in equal parts.")] = 50,
    changes: Annotated[int, typer.Option(help="Videos that come while they listen.")] = 100,
    rate: Annotated[int, typer.Option(help="Reads a second of others.")] = 20,
) -> None:
    """What listeners cost, how soon they are told, and what others notice."""
    clip = inputs.draw(next(one for one in inputs.INPUTS if one.name == "one_second"), CLIPS, scale=1)
    assert clip is not None
    with running() as found:
        accounts = [sign_up(found.url) for _ in range(users)]
        asyncio.run(_listen(found, accounts, clip.read_bytes(), listeners // users, changes, rate))


async def _listen(
    found: Running, accounts: list[httpx2.Client], clip: bytes, streams: int, changes: int, rate: int
) -> None:
    api = psutil.Process(found.api.pid)
    async with httpx2.AsyncClient(
        base_url=found.url, headers=dict(accounts[0].headers), timeout=30, trust_env=False
    ) as reader:
        await _read(reader, rate, 5)
        print(f"others before: {_told(await _read(reader, rate, 15))}", flush=True)
        before, began = api.memory_info().rss, time.perf_counter()
        crowd = [[Listener() for _ in range(streams)] for _ in accounts]
        listening = [
            asyncio.create_task(listener.listen(found.url, account.headers["Authorization"]))
            for account, its in zip(accounts, crowd, strict=True)
            for listener in its
        ]
        for its in crowd:
            for listener in its:
                await asyncio.wait_for(listener.is_up_to_date.wait(), WAIT_SECONDS)
        print(f"{len(listening)} listeners up to date after {time.perf_counter() - began:.1f} s", flush=True)
        print(f"others while they wait: {_told(await _read(reader, rate, 15))}", flush=True)
        reading = asyncio.create_task(_read(reader, rate, changes // 5))
        delays: list[float] = []
        for number in range(changes):
            # Five a second, each told to all listeners of its user.
            rest = asyncio.create_task(asyncio.sleep(0.2))
            whose = number % len(accounts)
            video_id, answered = await asyncio.to_thread(_upload, accounts[whose], clip)
            for listener in crowd[whose]:
                while video_id not in listener.heard:
                    await asyncio.sleep(0.01)
                    assert time.perf_counter() - answered < WAIT_SECONDS
                delays.append(max(0.0, listener.heard[video_id] - answered))
            await rest
        print(f"others while they are told: {_told(await reading)}", flush=True)
        print(f"told after the upload's answer: {_seconds(delays)}", flush=True)
        rss = api.memory_info().rss
        print(
            f"API's memory: {before / MEGABYTE:.0f} MB before, {rss / MEGABYTE:.0f} MB with them, "
            f"{(rss - before) / 1024 / len(listening):.0f} KB each",
            flush=True,
        )
        for task in listening:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*listening)


def _upload(account: httpx2.Client, clip: bytes) -> tuple[str, float]:
    answer = account.post("/videos/upload", data={"extract": "false"}, files={"file": ("clip.mp4", clip)})
    return answer.raise_for_status().json()["id"], time.perf_counter()


@app.command()
def trickle(
    sockets: Annotated[int, typer.Option(help="Half send a head byte by byte, half a body.")] = 500,
    rate: Annotated[int, typer.Option(help="Reads a second of others.")] = 20,
) -> None:
    """Clients that send a byte a second: when they are let go, and what others notice."""
    with running() as found:
        account = sign_up(found.url)
        asyncio.run(_trickle(found, account, sockets, rate))


async def _trickle(found: Running, account: httpx2.Client, sockets: int, rate: int) -> None:
    headers = dict(account.headers)
    async with httpx2.AsyncClient(base_url=found.url, headers=headers, timeout=30, trust_env=False) as reader:
        await _read(reader, rate, 5)
        print(f"others before: {_told(await _read(reader, rate, 15))}", flush=True)
        long = f"Host: api\r\nAuthorization: {headers['authorization']}\r\nContent-Length: 1000000\r\n"
        form = "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        video = 'Content-Type: multipart/form-data; boundary="b"\r\n\r\n--b\r\n'
        kinds = {
            "heads": "GET /users/me HTTP/1.1\r\nHost: api\r\nX-Slow: ",
            "bodies of forms": f"POST /auth/token HTTP/1.1\r\n{long}{form}",
            "bodies of uploads": f"POST /videos/upload HTTP/1.1\r\n{long}{video}",
        }
        # In a process of their own: what they take of this one would count as the API's.
        with ProcessPoolExecutor(1) as other, ThreadPoolExecutor(1) as thread:
            sending = thread.submit(other.submit(_send_all_slowly, found.url, kinds, sockets).result)
            print(f"others in the first 5 s: {_told(await _read(reader, rate, 5))}", flush=True)
            print(f"others in the next 18 s: {_told(await _read(reader, rate, 18))}", flush=True)
            for kind, lasted in (await asyncio.wrap_future(sending)).items():
                print(f"{kind}: {len(lasted)}, let go after {min(lasted):.1f} to {max(lasted):.1f} s", flush=True)


def _send_all_slowly(url: str, kinds: dict[str, str], sockets: int) -> dict[str, list[float]]:
    """Half of them heads; how long each was listened to."""
    in_turn = ("heads", "bodies of forms", "heads", "bodies of uploads")

    async def send_all() -> dict[str, list[float]]:
        sent = [in_turn[number % len(in_turn)] for number in range(sockets)]
        lasted = await asyncio.gather(*(_send_slowly(url, kinds[kind].encode()) for kind in sent))
        return {kind: [one for its, one in zip(sent, lasted, strict=True) if its == kind] for kind in kinds}

    return asyncio.run(send_all())


async def _send_slowly(url: str, begin: bytes) -> float:
    """Seconds until the server closes."""
    where = urlsplit(url)
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(begin)
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(2 * WAIT_SECONDS):
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        # Also what it says before it closes.
                        await reader.read()
    writer.close()
    return time.perf_counter() - began


async def _read(reader: httpx2.AsyncClient, rate: int, seconds: float) -> Load:
    """Read at a steady rate, whether or not answers come."""
    seen, began = Load(), time.monotonic()
    asking = []
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
        asking.append(asyncio.create_task(seen.ask(reader, "reads", READS[number % len(READS)])))
    await asyncio.gather(*asking)
    return seen


def _told(seen: Load) -> str:
    return f"{_seconds(seen.seconds.get('reads', []))}; errors: {seen.errors or 'none'}"


def _seconds(values: list[float]) -> str:
    ordered = sorted(values)
    median, p95 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.95))
    return f"{len(ordered)}, median {median:.0f} ms, p95 {p95:.0f} ms, at most {ordered[-1] * 1000:.0f} ms"


@app.command()
def large(
    megabytes: Annotated[int, typer.Option(help="Of the upload.")] = 4096,
    ours: Annotated[bool, typer.Option(help="By our client, too.")] = True,
) -> None:
    """One large upload by our client, then by tus-js-client, which NODE_PATH must lead to: is it the same, in how much
    memory?"""
    with tempfile.TemporaryDirectory(prefix="large-", dir=os.environ.get("TMPDIR")) as name, running() as found:
        source, digest = Path(name) / "large.mp4", hashlib.sha256()
        with source.open("wb") as file:
            for _ in range(megabytes):
                block = os.urandom(MEGABYTE)
                digest.update(block)
                file.write(block)
        found.add_worker()
        with _memory(found.api.pid) as seen:
            for send in (by_our_client, by_tus_js_client)[0 if ours else 1 :]:
                print(_large(found, source, digest.hexdigest(), send, seen), flush=True)


@dataclass
class Memory:
    """Of a process, as it was and as it was at most."""

    first_bytes: int
    most_bytes: int


@contextmanager
def _memory(pid: int) -> Iterator[Memory]:
    process, ended = psutil.Process(pid), threading.Event()
    seen = Memory(process.memory_info().rss, 0)

    def look() -> None:
        while not ended.wait(0.1):
            seen.most_bytes = max(seen.most_bytes, process.memory_info().rss)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def _large(found: Running, source: Path, sha256: str, send: Sending, seen: Memory) -> str:
    """Send it by a new user, wait until it is one object, and leave nothing."""
    person = {"email": f"{secrets.token_hex(6)}@example.com", "password": secrets.token_urlsafe(12)}
    objects = found.folder / "objects"
    with httpx2.Client(base_url=found.url, timeout=120, trust_env=False) as account:
        account.post("/users/", json=person).raise_for_status()
        answer = account.post("/auth/token", data={"username": person["email"], "password": person["password"]})
        token = answer.raise_for_status().json()["access_token"]
        account.headers["Authorization"] = f"Bearer {token}"
        go = send(found.url, source, person, token)
        seen.most_bytes, began = 0, time.monotonic()
        go()
        sent_seconds = time.monotonic() - began
        while [file.stat().st_size for file in objects.rglob("*") if file.is_file()] != [source.stat().st_size]:
            if time.monotonic() - began > JOIN_MOST_SECONDS:
                sys.exit("the parts were not put together")
            time.sleep(0.5)
        joined_seconds = time.monotonic() - began
        (stored,) = (file for file in objects.rglob("*") if file.is_file())
        with stored.open("rb") as file:
            is_equal = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        (video,) = account.get("/videos/status").raise_for_status().json()["items"]
        account.delete(f"/videos/{video['id']}").raise_for_status()
        while stored.exists():
            time.sleep(0.5)
    return (
        f"{send.__name__}: sent after {sent_seconds:.0f} s, one object after {joined_seconds:.0f} s; "
        f"sha256 {'equal' if is_equal else 'DIFFERS'}; API's memory {seen.first_bytes / MEGABYTE:.0f} MB before, "
        f"{seen.most_bytes / MEGABYTE:.0f} MB at most"
    )


def by_our_client(url: str, source: Path, person: dict[str, str], _: str) -> Callable[[], object]:
    """By `fotograma.client`."""
    client = Client(url, email=person["email"], password=person["password"])
    # Signs in: a password's hash takes 64 MiB for a moment, and is no part of an upload.
    begun = client.begin_upload(source, None)

    def go() -> None:
        with client:
            client.resume_upload(begun, source)

    return go


def by_tus_js_client(url: str, source: Path, _: dict[str, str], token: str) -> Callable[[], object]:
    """By Node; tus-js-client is found where NODE_PATH says."""
    node = Path(sys.executable).with_name("node")
    return lambda: subprocess.run([node, TUS_JS, f"{url}/uploads/", token, source, str(CHUNK_BYTES)], check=True)


if __name__ == "__main__":
    app()
