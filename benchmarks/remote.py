"""What a video in a far store costs: `python -m benchmarks.remote`.

A store that answers after a while and gives so much a second on each connection, in this process; the decoder is the
real one, in its jail. The same plan of the same video from a file, by the ranges that the plan needs, by fetching it
whole first, and by reading as one reads a file.
"""

import hashlib
import os
import statistics
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import av
import typer

from benchmarks import inputs
from benchmarks.measuring import plan_of
from fotograma import byte_ranges
from fotograma.ahead import AheadReader
from fotograma.extraction import extract, probe
from fotograma.readers import Source

CHUNK_BYTES = 2**18
WHOLE_PIECE_BYTES = 8 * 2**20
FOLDER = Path(".fotograma/benchmarks/clips")


class FarStore:
    """A file behind a network."""

    def __init__(self, path: Path, *, latency_seconds: float, bytes_a_second: float) -> None:
        self.size = path.stat().st_size
        self.bytes_moved = self.requests = 0
        self._descriptor = os.open(path, os.O_RDONLY)
        self._latency_seconds = latency_seconds
        self._bytes_a_second = bytes_a_second
        self._turn = threading.Lock()

    def fetch(self, offset: int, size: int) -> Generator[bytes, None, None]:
        """A range, on a connection that is there already."""
        with self._turn:
            self.requests += 1
        time.sleep(self._latency_seconds)
        began = time.monotonic()
        for place in range(offset, offset + size, CHUNK_BYTES):
            chunk = os.pread(self._descriptor, min(CHUNK_BYTES, offset + size - place), place)
            due = began + (place - offset + len(chunk)) / self._bytes_a_second
            time.sleep(max(0.0, due - time.monotonic()))
            with self._turn:
                self.bytes_moved += len(chunk)
            yield chunk

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


class NaiveReader:
    """Reads when it is asked, a block at a time, and keeps the last few."""

    def __init__(self, store: FarStore, *, block_bytes: int) -> None:
        self.size = store.size
        self._store = store
        self._block_bytes = block_bytes
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def read_at(self, offset: int, size: int) -> bytes:
        """The rest of the block, at most."""
        number = offset // self._block_bytes
        if number not in self._blocks:
            start = number * self._block_bytes
            block = b"".join(self._store.fetch(start, min(self._block_bytes, self.size - start)))
            self._blocks[number] = block
            if len(self._blocks) > 2**25 // self._block_bytes:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        begin = offset % self._block_bytes
        return self._blocks[number][begin : begin + size]


@dataclass(frozen=True)
class Cost:
    """What one way took."""

    seconds: float
    bytes_moved: int
    requests: int
    digest: str


def repeated(clip: Path, path: Path, *, size_bytes: int) -> Path:
    """A clip again and again, until it is so large; its pictures stay as they are."""
    if path.exists():
        return path
    part = path.with_name(f".part{path.suffix}")
    with av.open(clip) as source, av.open(part, "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        times = [(packet.pts or 0, packet.dts or 0) for packet in packets]
        # Where pictures are missing, the last one shown may end later than the last one decoded.
        length = max((packets[-1].dts or 0) - times[0][1], max(times)[0] - min(times)[0]) + (packets[-1].duration or 1)
        written = turn = 0
        while written < size_bytes:
            for packet, (pts, dts) in zip(packets, times, strict=True):
                packet.stream = copy
                packet.pts, packet.dts = pts + turn * length, dts + turn * length
                target.mux(packet)
                written += packet.size
            turn += 1
    part.rename(path)
    return path


def main(
    clip: Annotated[Path | None, typer.Argument(help="What is repeated; without it, a clip is drawn.")] = None,
    gigabytes: Annotated[float, typer.Option(min=0.01, help="How large the video is.")] = 2.0,
    work: Annotated[list[str] | None, typer.Option(help="10s, 60s, keyframes...; several times for several.")] = None,
    latency_ms: Annotated[float, typer.Option(min=0, help="Until the first byte of each answer.")] = 30,
    megabytes_a_second: Annotated[float, typer.Option(min=0.1, help="Of each connection.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is run, in turn.")] = 3,
    naive: Annotated[bool, typer.Option(help="Also as one reads a file, which takes long.")] = True,
) -> None:
    """Measure plans over a video in a far store, on this machine."""
    if clip is None:
        wanted = next(one for one in inputs.INPUTS if one.name == "h264_1080p_2s_gop")
        clip = inputs.draw(wanted, FOLDER, scale=0.5)
        assert clip is not None
    video = repeated(clip, FOLDER / f"{clip.stem}_{gigabytes:g}GB.mp4", size_bytes=round(gigabytes * 1e9))
    print(f"{video.name}: {video.stat().st_size / 1e6:.0f} MB, {latency_ms:g} ms, {megabytes_a_second:g} MB/s")

    def far() -> FarStore:
        return FarStore(video, latency_seconds=latency_ms / 1000, bytes_a_second=megabytes_a_second * 1e6)

    for one in work or ["60s", "10s", "keyframes"]:
        _compare(video, one, far, rounds=rounds, naive=naive)


def _compare(video: Path, work: str, far: Callable[[], FarStore], *, rounds: int, naive: bool) -> None:
    plan, size = plan_of(work), video.stat().st_size
    needed = byte_ranges.needed(plan, probe(video), size=size)
    exact_bytes = sum(part.end - part.start for part in set(needed))
    print(f"\n{work}: {len(needed)} ranges, {exact_bytes / 1e6:.1f} MB ({exact_bytes / size:.1%} of the file)")

    def decode(source: Source) -> str:
        digest = hashlib.sha256()
        extract(source, plan, sink=digest.update, name=video.name)
        return digest.hexdigest()

    def by_range(store: FarStore) -> str:
        with AheadReader(store.fetch, size=store.size) as reader:
            return decode(reader)

    def network_alone(store: FarStore) -> str:
        with AheadReader(store.fetch, size=store.size) as reader:
            reader.expect(needed)
            for place, end in needed:
                while place < end:
                    place += len(reader.read_at(place, 2**20))
        return digest_of_file

    ways: dict[str, Callable[[FarStore], str]] = {
        "a file": lambda _: decode(video),
        "these ranges, not decoded": network_alone,
        "by range": by_range,
        "whole, 8 connections": lambda store: _whole(store, decode, connections=8),
        "whole, 1 connection": lambda store: _whole(store, decode, connections=1),
    }
    if naive:
        ways["read by 1 MiB"] = lambda store: decode(NaiveReader(store, block_bytes=2**20))
        ways["read by 64 KiB"] = lambda store: decode(NaiveReader(store, block_bytes=2**16))
    digest_of_file = decode(video)
    found: dict[str, list[Cost]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            store = far()
            began = time.monotonic()
            digest = run(store)
            found[way].append(Cost(time.monotonic() - began, store.bytes_moved, store.requests, digest))
            store.close()
            if digest != digest_of_file:
                raise SystemExit(f"{way} gives other frames than a file does.")
    for way, costs in found.items():
        seconds = statistics.median(cost.seconds for cost in costs)
        last = costs[-1]
        print(f"  {way:26} {seconds:7.2f} s {last.bytes_moved / 1e6:9.1f} MB {last.requests:6} requests", flush=True)
    ideal = max(statistics.median(c.seconds for c in found[way]) for way in ("a file", "these ranges, not decoded"))
    ours = statistics.median(cost.seconds for cost in found["by range"])
    over = found["by range"][-1].bytes_moved / exact_bytes
    print(f"  by range: {ours / ideal:.2f} times the slower of network and decoder, {over:.3f} times the exact bytes")


def _whole(store: FarStore, decode: Callable[[Source], str], *, connections: int) -> str:
    with tempfile.TemporaryFile() as file, ThreadPoolExecutor(connections) as pool:

        def copy(start: int) -> None:
            for chunk in store.fetch(start, min(piece_bytes, store.size - start)):
                os.pwrite(file.fileno(), chunk, start)
                start += len(chunk)

        piece_bytes = WHOLE_PIECE_BYTES if connections > 1 else store.size
        list(pool.map(copy, range(0, store.size, piece_bytes)))
        return decode(file.fileno())


if __name__ == "__main__":
    typer.run(main)
