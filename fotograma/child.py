"""The process inside the jail: locks itself in, then answers requests over its channel until that closes.

Started by `fotograma.spawn` with the numbers of its channel and its parent, and with nothing open but the channel, over
which the video comes as a descriptor.
"""

import base64
import gc
import importlib
import importlib.util
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fotograma import locks
from fotograma.errors import FotogramaError
from fotograma.limits import Limits
from fotograma.plan import Plan
from fotograma.readers import AskingReader, DescriptorReader
from fotograma.records import Failed, Locked, Record
from fotograma.wire import write_record

if TYPE_CHECKING:
    from fotograma.decoding import OpenDecoder

_LOADED_LATE = (
    "av.subtitles.codeccontext",
    "av.subtitles.stream",
    "fotograma.attempts",
    "fotograma.image",
    "fotograma.looks",
    "fotograma.pixels",
    "hashlib",
)


def main() -> None:
    """Serve requests until the parent closes the channel."""
    channel_fd, parent = (int(argument) for argument in sys.argv[1:])
    locks.die_with(parent)
    channel = socket.socket(fileno=channel_fd)
    try:
        # Before the locks, which keep Python from storing what it compiles; an import parses nothing of the video.
        from fotograma.decoding import OpenDecoder

        if not all(map(_is_compiled, ("numpy", *_LOADED_LATE))):
            # The first time after an installation that did not compile: otherwise each start would do it anew.
            _load_rest()
    except ImportError as error:
        write_record(Failed("DECODER_CRASHED", str(error)), channel.sendall)
        return
    try:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        lines = channel.makefile("rb")
        video = json.loads(next(lines))
        limits = Limits(**video["limits"])
        layers = locks.lock_in(limits, parent=parent, keep=(channel_fd, descriptors[0]), load_rest=_load_rest)
        threading.Thread(target=_load_pictures).start()
        write_record(Locked(layers), channel.sendall)
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
        # Also a mistake of ours on an odd file is told, rather than died of. That a thread finds no room has no type.
        code = "LIMIT_MEMORY" if str(error) == "can't start new thread" else "DECODER_CRASHED"
        write_record(Failed(code, f"{type(error).__name__}: {error}"), channel.sendall)


def _answer(request: dict[str, Any], decoder: "OpenDecoder") -> Iterator[Record]:
    if request["ask"] == "probe":
        known = request["packet_index"]
        yield decoder.probe(stream=request["stream"], packet_index=known and base64.b64decode(known))
        return
    if request["ask"] == "attempt":
        from fotograma.attempts import attempt

        yield attempt(request["what"], request["words"])
        return
    yield from decoder.pictures(
        Plan.from_json(request["plan"]),
        start_pts=request["start_pts"],
        end_pts=request["end_pts"],
        thumbnails=request["thumbnails"],
        raw=request["raw"],
    )


def _load_pictures() -> None:
    """What makes pictures, while FFmpeg opens the video: it lets go of Python for long, and wants it back at once."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 50)
    importlib.import_module("fotograma.image")
    sys.setswitchinterval(usual)
    gc.freeze()
    gc.enable()


def _is_compiled(name: str) -> bool:
    """Whether a module's compiled form is stored, or never is."""
    found = importlib.util.find_spec(name)
    return found is None or found.cached is None or Path(found.cached).exists()


def _load_rest() -> None:
    """What is otherwise loaded once a plan or a stream asks for it."""
    for name in _LOADED_LATE:
        importlib.import_module(name)
