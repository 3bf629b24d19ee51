"""The fast path: decode only the spans that hold wanted frames, on all cores, in order.

Many spans are decoded side by side, each on one thread; few or long ones one after another, with the decoder's own
threads. It gives what decoding everything from the beginning gives, or raises `Unfit`.
"""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

import av

from fotograma.decoders import Decoders
from fotograma.span_decoder import Unfit
from fotograma.spans import Span, merged

S = TypeVar("S")
T = TypeVar("T")

# So few packets to decode are not worth another decoder.
FEW_PACKETS = 8
# What finished pictures may take that wait for those of the span before: with more, one span goes at a time.
WAITING_BYTES = 22 * 2**20


@dataclass(frozen=True)
class Wanted(Generic[T]):
    """What became of a wanted packet's frame."""

    packet: int
    result: T


Results = SimpleQueue[Wanted[T] | None]
"""Of a span, as they come; then None."""
Make = Callable[[av.VideoFrame, int], T]
"""Makes something of a wanted frame, given the number of its packet; called on any thread."""


def decode(decoders: Decoders, found: list[Span], make: Make[T], *, picture_bytes: int) -> Iterator[Wanted[T]]:
    """The wanted frames in presentation order, each made into something.

    Raises:
        Unfit: the video does not keep what its index promises; what was yielded before holds.
    """
    times = [decoders.index.pts[number] for span in found for number in span.wanted]
    if any(after <= before for before, after in itertools.pairwise(times)):
        raise Unfit("times run backwards")
    tasks = merged(found, most_wanted=8)
    most_wanted = max(len(task.wanted) for task in tasks)
    dense = most_wanted * picture_bytes > WAITING_BYTES
    packets = sum(task.last - task.first + 1 for task in tasks)
    if packets <= FEW_PACKETS or (decoders.side_by_side and not dense and _balanced(tasks, cores=decoders.cores)):
        return _by_span(decoders, tasks, make)
    return _by_frame(decoders, tasks, make)


def _balanced(tasks: list[Span], *, cores: int) -> bool:
    """Whether decoders with one thread each, one a core, would end at about the same time."""
    lengths = [task.last - task.first + 1 for task in tasks]
    busy = [0] * cores
    for length in lengths:
        busy[busy.index(min(busy))] += length
    return max(busy) <= 1.25 * sum(lengths) / cores


def _by_span(decoders: Decoders, tasks: list[Span], make: Make[T]) -> Iterator[Wanted[T]]:
    """A decoder a core, each with one thread: no time is lost between threads."""
    nobody_takes_them = threading.Event()

    def work(task: Span, results: "Results[T]") -> None:
        try:
            decoder = decoders.take(task, threads=1)
            for packet, frame in decoder.frames(task):
                if nobody_takes_them.is_set():
                    return
                results.put(Wanted(packet, make(frame, packet)))
                del frame
            decoders.give_back(decoder)
        finally:
            results.put(None)

    def given(results: "Results[T]", ended: Future[None]) -> Iterator[Wanted[T]]:
        yield from iter(results.get, None)
        ended.result()

    waiting: deque[tuple[Results[T], Future[None]]] = deque()
    with ThreadPoolExecutor(decoders.cores, thread_name_prefix="decode") as pool:
        try:
            for task in tasks:
                results: Results[T] = SimpleQueue()
                waiting.append((results, pool.submit(work, task, results)))
                if len(waiting) > decoders.cores + 1:
                    yield from given(*waiting.popleft())
            while waiting:
                yield from given(*waiting.popleft())
        finally:
            nobody_takes_them.set()
            for _, ended in waiting:
                ended.cancel()


def _by_frame(decoders: Decoders, tasks: list[Span], make: Make[T]) -> Iterator[Wanted[T]]:
    """One decoder with frame threads, and what is made of its frames on threads beside it."""

    def work(found: tuple[int, av.VideoFrame]) -> Wanted[T]:
        packet, frame = found
        return Wanted(packet, make(frame, packet))

    decoder = decoders.take(tasks[0], threads=decoders.frame_threads)
    frames = itertools.chain.from_iterable(decoder.frames(task) for task in tasks)
    with ThreadPoolExecutor(decoders.cores, thread_name_prefix="make") as pool:
        yield from _in_order(pool, work, frames, ahead=decoders.frame_threads)
    decoders.give_back(decoder)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[S], T], items: "Iterator[S] | list[S]", *, ahead: int
) -> Iterator[T]:
    """Do `work` on the pool, so many items ahead, and yield the results in the order of the items."""
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
