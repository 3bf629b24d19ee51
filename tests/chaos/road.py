"""A TCP road to a server of this machine, which can be cut, blocked, or slow."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.end_to_end.service import Service

T = TypeVar("T")

CHUNK_BYTES = 16 * 1024


class Road:
    """Passes bytes on, from `port` to the server's, while the road is good. It runs on a thread of its own."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.port = 0
        self.delay_seconds = 0.0
        self.bytes_per_second: float | None = None
        """Of each connection, each way."""
        self._is_cut = False
        self._there = self._back = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="road", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset all connections, and each new one at once."""
        self._is_cut = True
        self._do(self._reset())

    def reset(self) -> None:
        """Reset all connections; new ones get through."""
        self._do(self._reset())

    def block(self, *, answers_only: bool = False) -> None:
        """Take bytes and keep them: whoever sends hears nothing more, as where a cable was pulled."""
        self._now(self._back.clear)
        if not answers_only:
            self._now(self._there.clear)

    def mend(self) -> None:
        """A good road again; what was kept arrives."""
        self._is_cut = False
        self.delay_seconds, self.bytes_per_second = 0.0, None
        self._now(self._there.set)
        self._now(self._back.set)

    async def _open(self) -> None:
        self._there, self._back = asyncio.Event(), asyncio.Event()
        self._there.set()
        self._back.set()
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        await self._reset()

    async def _reset(self) -> None:
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A cancelled road is no mistake, and asyncio would log it as one.
        with suppress(OSError, asyncio.CancelledError):
            try:
                if not self._is_cut:
                    await self._pass_both_ways(reader, writer)
            finally:
                writer.transport.abort()

    async def _pass_both_ways(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass(reader, server_writer, self._there))
                ways.create_task(self._pass(server_reader, writer, self._back))
        except* OSError:
            pass
        finally:
            server_writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_free: asyncio.Event) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await asyncio.sleep(self.delay_seconds)
            if self.bytes_per_second:
                await asyncio.sleep(len(data) / self.bytes_per_second)
            await is_free.wait()
            writer.write(data)
            await writer.drain()
        await is_free.wait()
        if writer.can_write_eof():
            writer.write_eof()

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def _now(self, change: Callable[[], object]) -> None:
        async def run() -> None:
            change()

        self._do(run())


@dataclass
class ServiceByRoad(Service):
    """A service that reaches each part by a road."""

    roads: dict[str, Road] = field(default_factory=dict)
    """To its `database`, `broker` and `mail`."""
