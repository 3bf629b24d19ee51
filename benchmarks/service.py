"""What the running service does on this machine: `python -m benchmarks.service workers` and `... load`.

Each starts a service of its own, as `uv run main.py` does, and speaks to it over HTTP.
"""

import asyncio
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated

import av
import httpx2
import psutil
import typer

from app.local_stack import broker, postgres, service
from app.local_stack.mailbox import Mailbox
from app.local_stack.processes import PROJECT, Part, Process, free_port
from benchmarks import inputs

CLIPS = Path(".fotograma/benchmarks/clips")
MEGABYTE = 2**20

app = typer.Typer(help=__doc__)


@dataclass
class Running:
    """A service and its processes."""

    url: str
    folder: Path
    api: Process
    workers: list[Process] = field(default_factory=list)

    def add_worker(self, *, core: int | None = None, **settings: str) -> None:
        """Start a worker; with a core, it and its decoders have that one alone."""
        part = service.worker(len(self.workers) + 1)
        pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
        worker = Process(
            Part(
                name=part.name,
                command=[*pinned, *part.command],
                is_healthy=lambda process: " ready." in process.output(),
                environment=settings,
            ),
            log=self.folder / f"worker{len(self.workers) + 1}.log",
        )
        self.workers.append(worker)
        worker.wait_until_healthy()

    def stop_workers(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.stop()
        self.workers.clear()


@contextmanager
def running() -> Iterator[Running]:
    """A service without workers, in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=os.environ.get("TMPDIR")) as name, ExitStack() as started:
        folder, port, database_port, broker_port = Path(name), free_port(), free_port(), free_port()
        folder.chmod(0o755)
        postgres.prepare(folder / "postgres")
        broker.prepare(folder / "broker")
        mailbox = Mailbox(folder / "mail", port=free_port(), on_arrival=lambda _: None)
        mailbox.start()
        started.callback(mailbox.stop)
        os.environ.update(
            postgres.environment(folder / "postgres", port=database_port)
            | broker.environment(folder / "broker", port=broker_port)
            | {
                "SECRET_KEY": secrets.token_urlsafe(48),
                "SMTP_URL": mailbox.url,
                "STORAGE_URL": (folder / "objects").as_uri(),
                "PUBLIC_URL": f"http://127.0.0.1:{port}",
                # What is measured is the service and not its patience with one user.
                "USER_REQUESTS_A_MINUTE": "1000000",
                "USER_UPLOAD_REQUESTS_A_MINUTE": "1000000",
            }
        )

        def start(part: Part) -> Process:
            process = Process(part, log=folder / f"{part.name}.log")
            started.callback(process.stop)
            process.wait_until_healthy()
            return process

        start(postgres.part(folder / "postgres", port=database_port))
        postgres.create_database(folder / "postgres", port=database_port)
        start(broker.part(folder / "broker", port=broker_port))
        subprocess.run([Path(sys.executable).with_name("alembic"), "upgrade", "head"], cwd=PROJECT, check=True)
        found = Running(f"http://127.0.0.1:{port}", folder, start(service.api(port=port)))
        started.callback(found.stop_workers)
        yield found


def sign_up(url: str) -> httpx2.Client:
    """A client that is signed in as a new user."""
    client = httpx2.Client(base_url=url, timeout=120, trust_env=False)
    person = {"email": f"{secrets.token_hex(6)}@example.com", "password": secrets.token_urlsafe(12)}
    client.post("/users/", json=person).raise_for_status()
    signed_in = client.post("/auth/token", data={"username": person["email"], "password": person["password"]})
    client.headers["Authorization"] = f"Bearer {signed_in.raise_for_status().json()['access_token']}"
    return client


def repeated(clip: Path, times: int) -> Path:
    """The clip so many times over, as one video; nothing is encoded again."""
    path = clip.with_name(f"{clip.stem}_x{times}{clip.suffix}")
    with av.open(path, "w") as long:
        offset, out = 0, None
        for _ in range(times):
            with av.open(clip) as container:
                stream = container.streams.video[0]
                out = out or long.add_stream_from_template(stream)
                end = 0
                for packet in container.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, out
                    long.mux(packet)
                offset += end
    return path


@app.command()
def workers(
    times: Annotated[int, typer.Option(help="How often a clip of 15 s is repeated.")] = 16,
    seconds: Annotated[float, typer.Option(help="Seconds between frames.")] = 0.5,
    segment_seconds: Annotated[float, typer.Option(help="SEGMENT_SECONDS.")] = 5,
) -> None:
    """One long video, by one worker with one core and by two with one each."""
    clip = inputs.draw(next(one for one in inputs.INPUTS if one.name == "h264_720p"), CLIPS, scale=0.5)
    assert clip is not None
    video = repeated(clip, times)
    print(f"{video.name}: {video.stat().st_size / MEGABYTE:.0f} MB", flush=True)
    settings = {"WORKER_THREADS": "1", "SEGMENT_SECONDS": str(segment_seconds)}
    took = []
    with running() as found:
        for count in (1, 2):
            for core in range(count):
                found.add_worker(core=core, **settings)
            # Another user each time: the same again would be answered from what is there.
            with closing(sign_up(found.url)) as client, video.open("rb") as content:
                uploaded = client.post("/videos/upload", data={"interval": str(seconds)}, files={"file": content})
                video_id = uploaded.raise_for_status().json()["id"]
                # Asked seldom, for asking takes the same cores; how long it took is what the service says.
                while (seen := client.get(f"/videos/{video_id}").json())["status"] in ("PENDING", "PROCESSING"):
                    time.sleep(1)
            took.append(_seconds_between(seen["created_at"], seen["completed_at"]))
            print(f"{count} workers: {took[-1]:.1f} s, {seen['status']}, {seen['frames']} frames", flush=True)
            for worker in found.workers:
                print(f"  {worker.part.name}: {worker.output().count('segment claimed')} segments", flush=True)
            found.stop_workers()
    print(f"{took[0] / took[1]:.2f} times as fast", flush=True)
    alone, together = _alone(video, seconds, processes=1), _alone(video, seconds, processes=2)
    print(
        f"Without the service, one process a core: {2 * alone / together:.2f} times as much work in its time",
        flush=True,
    )


def _seconds_between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def _alone(video: Path, seconds: float, *, processes: int) -> float:
    """How long the engine takes for as many videos as processes, each with a core of its own: what the machine has."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        began = time.monotonic()
        running = [
            subprocess.Popen(
                [
                    *("taskset", "--cpu-list", str(core), Path(sys.executable).with_name("fotograma")),
                    *("extract", video),
                    *("--every", f"{seconds}s", "-o", f"{folder}/{core}.zip"),
                ],
                stderr=subprocess.DEVNULL,
            )
            for core in range(processes)
        ]
        if any(process.wait() for process in running):
            raise RuntimeError("fotograma extract has failed")
        return time.monotonic() - began


@dataclass
class Load:
    """What clients saw."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    uploading: bool = False

    async def ask(self, client: httpx2.AsyncClient, kind: str, path: str) -> None:
        """One read."""
        began = time.perf_counter()
        try:
            answer = await client.get(path)
        except httpx2.HTTPError as error:
            self.errors.append(f"{kind}: {type(error).__name__}")
            return
        took = time.perf_counter() - began
        self.seconds.setdefault(kind, []).append(took)
        if self.uploading:
            self.seconds.setdefault("all while uploads came", []).append(took)
        if answer.status_code >= 400:
            self.errors.append(f"{kind}: {answer.status_code}")


@app.command()
def load(
    minutes: Annotated[float, typer.Option(help="How long.")] = 3,
    rate: Annotated[int, typer.Option(help="Reads a second.")] = 50,
    uploads: Annotated[int, typer.Option(help="Uploads at once, once.")] = 10,
    megabytes: Annotated[int, typer.Option(help="Of each upload.")] = 200,
    extractions: Annotated[int, typer.Option(help="Extractions that run all the while.")] = 2,
    users: Annotated[int, typer.Option(help="Who reads.")] = 20,
) -> None:
    """One API process under mixed reads, large uploads and extractions."""
    clip = inputs.draw(next(one for one in inputs.INPUTS if one.name == "h264_720p"), CLIPS, scale=0.5)
    assert clip is not None
    with running() as found:
        found.add_worker(WORKER_THREADS=str(extractions))
        readers = [sign_up(found.url) for _ in range(users)]
        small = clip.with_name("small.mp4")
        if not small.exists():
            small = inputs.draw(next(one for one in inputs.INPUTS if one.name == "one_second"), CLIPS, scale=1) or clip
        paths = [_fill_account(reader, small) for reader in readers]
        long = repeated(clip, 40)
        with closing(sign_up(found.url)) as client:
            for _ in range(extractions):
                with long.open("rb") as content:
                    # Not twice the same plan: that would be answered from what is there.
                    plan = f'{{"mode": "every", "seconds": 0.2, "quality": {80 + secrets.randbelow(19)}}}'
                    client.post("/videos/upload", data={"plan": plan}, files={"file": content}).raise_for_status()
            print(asyncio.run(_drive(found, readers, paths, minutes, rate, uploads, megabytes)), flush=True)
            left = client.get("/videos/status").json()["items"]
            print("extractions:", [(item["status"], item["progress"]["frames_done"]) for item in left])
        for reader in readers:
            reader.close()


def _fill_account(client: httpx2.Client, clip: Path) -> list[tuple[str, str]]:
    """Some videos, and what is read of them."""
    asked = [("status page", "/videos/status"), ("user", "/users/me")]
    for number in range(5):
        with clip.open("rb") as content:
            answer = client.post(
                "/videos/upload", data={"extract": "false"}, files={"file": (f"{number}.mp4", content)}
            )
        video_id = answer.raise_for_status().json()["id"]
        asked += [("video", f"/videos/{video_id}"), ("extractions", f"/videos/{video_id}/extractions")]
    return asked


async def _drive(
    found: Running,
    readers: list[httpx2.Client],
    paths: list[list[tuple[str, str]]],
    minutes: float,
    rate: int,
    uploads: int,
    megabytes: int,
) -> str:
    api, seen = psutil.Process(found.api.pid), Load()
    asyncio_clients = [
        httpx2.AsyncClient(base_url=found.url, headers=dict(reader.headers), timeout=30, trust_env=False)
        for reader in readers
    ]
    await asyncio.gather(*(seen.ask(client, "first", "/videos/status") for client in asyncio_clients))
    large = found.folder / "large.mp4"
    # No video, so that nothing but the upload costs.
    large.write_bytes(os.urandom(megabytes * MEGABYTE))
    rss_before = rss_most = api.memory_info().rss
    cpu_before, began = sum(api.cpu_times()[:2]), time.monotonic()
    sending = [
        asyncio.create_task(_upload(found.url, readers[number % len(readers)].headers["Authorization"], large, seen))
        for number in range(uploads)
    ]
    reading: set[asyncio.Task[None]] = set()
    for number in range(int(minutes * 60 * rate)):
        await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
        who = number % len(readers)
        kind, path = paths[who][number // len(readers) % len(paths[who])]
        task = asyncio.create_task(seen.ask(asyncio_clients[who], kind, path))
        reading.add(task)
        task.add_done_callback(reading.discard)
        seen.uploading = not all(one.done() for one in sending)
        rss_most = max(rss_most, api.memory_info().rss)
    await asyncio.gather(*reading)
    speeds = await asyncio.gather(*sending)
    took = time.monotonic() - began
    rss_after, cpu = api.memory_info().rss, sum(api.cpu_times()[:2]) - cpu_before
    for client in asyncio_clients:
        await client.aclose()
    seen.seconds.pop("first", None)
    lines = [f"{took:.0f} s; errors: {seen.errors or 'none'}; API's processor {cpu / took * 100:.0f} %"]
    while_uploading = {"all while uploads came": seen.seconds.pop("all while uploads came", [])}
    everything = [second for seconds in seen.seconds.values() for second in seconds]
    for kind, seconds in {**seen.seconds, "all reads": everything, **while_uploading}.items():
        if not seconds:
            continue
        ordered = sorted(seconds)
        p95, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.95, 0.99))
        lines.append(
            f"{kind}: {len(ordered)}, median {statistics.median(ordered) * 1000:.0f} ms, "
            f"p95 {p95:.0f} ms, p99 {p99:.0f} ms"
        )
    if speeds:
        lines.append(f"uploads: {len(speeds)}, {statistics.median(speeds):.0f} s each")
    lines.append(
        f"API's memory: {rss_before / MEGABYTE:.0f} MB before, {rss_most / MEGABYTE:.0f} MB at most, "
        f"{rss_after / MEGABYTE:.0f} MB after"
    )
    return "\n".join(lines)


async def _upload(url: str, token: str, path: Path, seen: Load) -> float:
    """Send a file as `curl` does, in a process that costs little: what is measured is not its client."""
    began = time.monotonic()
    sending = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--noproxy", "*", "--header", f"Authorization: {token}", "--form", "extract=false"),
        *("--form", f"file=@{path}", "--write-out", "%{http_code}", "--output", "/dev/null", f"{url}/videos/upload"),
        stdout=asyncio.subprocess.PIPE,
    )
    status = (await sending.communicate())[0].decode()
    if status != "202":
        seen.errors.append(f"upload: {status}")
    return time.monotonic() - began


if __name__ == "__main__":
    app()
