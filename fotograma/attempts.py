"""What a locked process must not be able to do, tried from inside at its parent's request (`fotograma.trial`)."""

import ctypes
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fotograma.records import Attempted

_PTRACE_TRACEME = 0


def attempt(what: str, words: dict[str, Any]) -> Attempted:
    """Try it; what refuses it is told."""
    try:
        _ATTEMPTS[what](words)
    except (OSError, MemoryError) as error:
        return Attempted(False, getattr(error, "strerror", None) or type(error).__name__)
    return Attempted(True, "")


def _connect(words: dict[str, Any]) -> None:
    with socket.create_connection(("127.0.0.1", words["port"]), timeout=1):
        pass


def _connect_here(words: dict[str, Any]) -> None:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(words["socket"])


def _read(words: dict[str, Any]) -> None:
    Path(words["file"]).read_bytes()


def _write(words: dict[str, Any]) -> None:
    with Path(words["file"]).open("ab") as file:
        file.write(b"!")


def _fork(_: dict[str, Any]) -> None:
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)


def _trace(_: dict[str, Any]) -> None:
    if ctypes.CDLL(None, use_errno=True).ptrace(_PTRACE_TRACEME, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _signal(_: dict[str, Any]) -> None:
    # 0 asks whether a signal could be sent.
    os.kill(os.getppid(), 0)


def _allocate(words: dict[str, Any]) -> None:
    bytearray(words["bytes"])


def _execute(_: dict[str, Any]) -> None:
    os.execv("/bin/sh", ["sh", "-c", "exit 0"])  # noqa: S606  # no shell of ours: one that must not start


def _spin(_: dict[str, Any]) -> None:
    while True:
        pass


_ATTEMPTS: Mapping[str, Callable[[dict[str, Any]], None]] = MappingProxyType(
    {
        "connect": _connect,
        "connect to a local socket": _connect_here,
        "read a file": _read,
        "write a file": _write,
        "fork": _fork,
        "trace a process": _trace,
        "signal its parent": _signal,
        "take more memory": _allocate,
        "start a program": _execute,
        "run for ever": _spin,
    }
)
