"""The process inside the jail: locks itself in, then answers requests over its channel until that closes.

Started by `fotograma.jail` as `python -m fotograma.child CHANNEL PARENT`, with nothing open but its channel, over which
the video comes as a descriptor.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fotograma.errors import FotogramaError
from fotograma.limits import Limits
from fotograma.plan import Plan
from fotograma.readers import AskingReader, DescriptorReader
from fotograma.records import Failed, Record, write_record

if TYPE_CHECKING:
    from fotograma.decoding import OpenDecoder

_PR_SET_PDEATHSIG = 1
OPEN_FILES = 32


def main() -> None:
    """Serve requests until the parent closes the channel."""
    channel_fd, parent = (int(argument) for argument in sys.argv[1:])
    _die_with(parent)
    channel = socket.socket(fileno=channel_fd)
    try:
        # Before the locks, which keep Python from storing what it compiles; an import parses nothing of the video.
        from fotograma.decoding import OpenDecoder
    except ImportError as error:
        write_record(Failed("DECODER_CRASHED", str(error)), channel.sendall)
        return
    try:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        lines = channel.makefile("rb")
        video = json.loads(next(lines))
        limits = Limits(**video["limits"])
        _lock(limits)
        reader = (AskingReader if video["kind"] == "asks" else DescriptorReader)(descriptors[0])
        decoder = OpenDecoder(reader, limits=limits)
        for line in lines:
            _serve(json.loads(line), decoder, channel, limits=limits)
    except (EOFError, ConnectionError, StopIteration, IndexError):
        # The parent has gone, or has no video for this process after all.
        return


def _serve(request: dict[str, Any], decoder: "OpenDecoder", channel: socket.socket, *, limits: Limits) -> None:
    """Answer one request; what goes wrong is an answer too."""
    try:
        for record in _answer(request, decoder):
            write_record(record, channel.sendall)
    except FotogramaError as error:
        write_record(Failed(error.code.name, error.detail), channel.sendall)
    except (MemoryError, ImportError):
        # A library that finds no room for itself, too: all others are there since before the locks.
        write_record(Failed("LIMIT_MEMORY", f"allowed are {limits.memory_bytes} bytes"), channel.sendall)
    except (EOFError, ConnectionError):
        raise
    except Exception as error:
        # Also a mistake of ours on an odd file is told, rather than died of.
        write_record(Failed("DECODER_CRASHED", f"{type(error).__name__}: {error}"), channel.sendall)


def _answer(request: dict[str, Any], decoder: "OpenDecoder") -> Iterator[Record]:
    if request["ask"] == "probe":
        yield decoder.probe(stream=request["stream"])
        return
    yield from decoder.pictures(
        Plan.from_json(request["plan"]),
        start_pts=request["start_pts"],
        end_pts=request["end_pts"],
        thumbnails=request["thumbnails"],
        raw=request["raw"],
    )


def _die_with(parent: int) -> None:
    """Have the kernel end this process together with its parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # The parent died before it could be asked for.
            os._exit(1)


def _lock(limits: Limits) -> None:
    """Give up what the work does not need, for good."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    processors = os.cpu_count() or 1
    cpu_seconds = int(limits.wall_seconds * processors) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
