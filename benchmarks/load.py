"""What one API process bears: `python -m benchmarks.load`."""

import asyncio
import os
import secrets
import statistics
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import httpx2
import psutil
import typer

from benchmarks import inputs
from benchmarks.service import CLIPS, MEGABYTE, Running, running, sign_up


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


def main(
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
        long = inputs.repeated(clip, CLIPS, times=40)
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
    typer.run(main)
