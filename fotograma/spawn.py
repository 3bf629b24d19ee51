"""Starts the process in which a jail decodes.

A module of its own that loads next to nothing, so that a command can start the process before anything else: the
process's libraries then load beside the command's own.
"""

import os
import socket
import subprocess
import sys

# Without looking for garbage while everything is loaded: a tenth of the start.
_BEGIN = "import gc; gc.disable(); from fotograma.child import main; main()"

# Nothing of the parent's. The first keeps numpy from starting threads, the second one arena; the third has pictures
# given back to the system once they are let go of.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(2**20)}

# A process, and this side of its channel.
Started = tuple["subprocess.Popen[bytes]", socket.socket]

_spares: list[Started] = []


def warm() -> None:
    """Start the process of the next jail now, unless one waits already.

    The thread that calls must live for as long as the process is to be of use, which may be another thread's.
    """
    if not _spares:
        _spares.append(_start())


def take() -> Started:
    """The process that was started ahead, or a new one."""
    while True:
        try:
            process, channel = _spares.pop()
        except IndexError:
            return _start()
        # While it waited, the machine may have needed its memory.
        if process.poll() is None:
            return process, channel
        channel.close()


def _start() -> Started:
    channel, child_channel = socket.socketpair()
    with child_channel:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _BEGIN, str(child_channel.fileno()), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(child_channel.fileno(),),
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
        )
    return process, channel
