"""What this machine could do at best: packets in memory, only those decoded that must be, on all cores, and JPEGs of
the wanted frames. No start-up, no reading, no ZIP. Run as a process of its own: python -m benchmarks.limit WORK VIDEO
"""

import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import av

from benchmarks.measuring import plan_of
from fotograma import bitstream, image
from fotograma.bitstream import Framing
from fotograma.packets import DISCARD, KEY, PacketIndex
from fotograma.selection import choose
from fotograma.spans import Span, spans


class Footage:
    """A video's packets in memory, and which of them a span needs."""

    def __init__(self, video: Path) -> None:
        with av.open(video) as container:
            stream = container.streams.video[0]
            assert stream.time_base is not None
            self.packets: list[Any] = [packet for packet in container.demux(stream) if packet.size]
            context = stream.codec_context
            framing = Framing.of(context.name, context.extradata)
        self.index = PacketIndex(stream.time_base)
        for packet in self.packets:
            self.index.add(
                pts=packet.pts,
                dts=packet.dts,
                duration=packet.duration or 0,
                size=packet.size,
                position=0,
                flags=KEY * packet.is_keyframe | DISCARD * packet.is_discard,
            )
        layers = [framing and bitstream.temporal_layer(framing, memoryview(packet)) for packet in self.packets]
        top = max(layer or 0 for layer in layers)
        self.needless = {
            number
            for number, packet in enumerate(self.packets)
            if framing and bitstream.reference_free_layer(framing, memoryview(packet)) == top
        }

    def needed(self, span: Span) -> Iterator[Any]:
        """The packets that a decoder must be given."""
        first_pts = self.index.pts[span.first]
        for number in range(span.first, span.last + 1):
            leading = self.index.pts[number] < first_pts
            if not leading and (number not in self.needless or number in span.wanted):
                yield self.packets[number]


def measure(video: Path, work: str) -> dict[str, float]:
    """Seconds of wall and processors, and how many frames they were for."""
    footage = Footage(video)
    index = footage.index
    shown = [pts for pts, flags in zip(index.pts, index.flags, strict=True) if not flags & DISCARD]
    timeline = index.timeline(first_pts=min(shown))
    plan = plan_of(work)
    chosen = choose(
        plan, timeline.ticks, timeline.key_frames, time_base=timeline.time_base, end_ticks=timeline.end_ticks
    )
    tasks = spans(index, (timeline.packets[choice.index] for choice in chosen))
    cores = os.cpu_count() or 1
    many = len(tasks) >= 2 * cores
    with ExitStack() as opened:
        contexts: SimpleQueue[Any] = SimpleQueue()
        for _ in range(cores if many else 1):
            context = opened.enter_context(av.open(video)).streams.video[0].codec_context
            context.thread_type, context.thread_count = ("NONE", 1) if many else ("FRAME", 2 * cores)
            contexts.put(context)

        def wanted(task: Span) -> Iterator[av.VideoFrame]:
            context = contexts.get()
            context.flush_buffers()
            times = {index.pts[number] for number in task.wanted}
            for packet in itertools.chain(footage.needed(task), [None]):
                yield from (frame for frame in context.decode(packet) if frame.pts in times)
            contexts.put(context)

        def encode(frame: av.VideoFrame) -> int:
            return len(image.encode(frame, plan).data)

        def both(task: Span) -> int:
            return len([encode(frame) for frame in wanted(task)])

        pool = opened.enter_context(ThreadPoolExecutor(cores))
        began, began_cpu = time.perf_counter(), time.process_time()
        if many:
            frames = sum(pool.map(both, tasks))
        else:
            frames = len(list(pool.map(encode, itertools.chain.from_iterable(map(wanted, tasks)))))
        return {
            "wall_seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - began_cpu,
            "frames": frames,
        }


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[2]), sys.argv[1])))
