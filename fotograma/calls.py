"""The system calls that decoding needs, and the seccomp program that lets no others through.

A call is let through, let through with some arguments only, or refused: with EPERM where it is known and unwanted, with
ENOSYS where it is newer than what libraries can do without, so that they fall back. A call of another architecture,
whose numbers mean other things, ends the process.
"""

import errno
import fcntl
import os
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_MACHINES = ("x86_64", "aarch64")
# The number of each call on those; None where the architecture never had it.
_TABLE: Mapping[str, tuple[int | None, int | None]] = MappingProxyType(
    {
        # What decoders call all the time comes first: the program is walked from its beginning.
        "futex": (202, 98),
        "rt_sigprocmask": (14, 135),
        "madvise": (28, 233),
        "mprotect": (10, 226),
        "mmap": (9, 222),
        "munmap": (11, 215),
        "mremap": (25, 216),
        "brk": (12, 214),
        "sendto": (44, 206),
        "recvfrom": (45, 207),
        "pread64": (17, 67),
        "read": (0, 63),
        "write": (1, 64),
        "readv": (19, 65),
        "writev": (20, 66),
        "sched_yield": (24, 124),
        "sched_getaffinity": (204, 123),
        "clock_gettime": (228, 113),
        "clock_nanosleep": (230, 115),
        "clock_getres": (229, 114),
        "nanosleep": (35, 101),
        "gettimeofday": (96, 169),
        "time": (201, None),
        "getcpu": (309, 168),
        # Threads and their ends.
        "set_robust_list": (273, 99),
        "set_tid_address": (218, 96),
        "rseq": (334, 293),
        "membarrier": (324, 283),
        "restart_syscall": (219, 128),
        "sigaltstack": (131, 132),
        "rt_sigaction": (13, 134),
        "rt_sigreturn": (15, 139),
        "exit": (60, 93),
        "exit_group": (231, 94),
        # Loading a library; what may be opened for it, Landlock says.
        "close": (3, 57),
        "lseek": (8, 62),
        "fstat": (5, 80),
        "stat": (4, None),
        "lstat": (6, None),
        "newfstatat": (262, 79),
        "statx": (332, 291),
        "access": (21, None),
        "faccessat": (269, 48),
        "readlink": (89, None),
        "readlinkat": (267, 78),
        "getdents64": (217, 61),
        "fadvise64": (221, 223),
        "getcwd": (79, 17),
        # The channel, which is open already: what kind of socket it is, and waiting for it.
        "getsockname": (51, 204),
        "getsockopt": (55, 209),
        "poll": (7, None),
        "ppoll": (271, 73),
        "select": (23, None),
        "pselect6": (270, 72),
        # Who and where this process is.
        "getpid": (39, 172),
        "getppid": (110, 173),
        "gettid": (186, 178),
        "getuid": (102, 174),
        "geteuid": (107, 175),
        "getgid": (104, 176),
        "getegid": (108, 177),
        "getrlimit": (97, 163),
        "getrusage": (98, 165),
        "times": (100, 153),
        "uname": (63, 160),
        "sysinfo": (99, 179),
        "getrandom": (318, 278),
        # Below: with some arguments only.
        "clone": (56, 220),
        "fcntl": (72, 25),
        "open": (2, None),
        "openat": (257, 56),
        "prctl": (157, 167),
        "prlimit64": (302, 261),
        "tgkill": (234, 131),
    }
)
_OPENING = frozenset({"open", "openat"})
# From here on the numbers are those of calls of 2019 and later (clone3, openat2, io_uring...), the same everywhere.
_NEWEST_FROM = 424

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Calls of x32, which an x86_64 kernel may have too, carry this bit.
_X32_BIT = 0x40000000

# Loads a word of what the kernel says of a call, masks it, compares it, ends: linux/bpf_common.h.
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# linux/sched.h. What the C libraries give to make a thread: memory, files, handlers and so on shared, and TLS.
_CLONE_VM, _CLONE_THREAD = 0x100, 0x10000
_THREAD_FLAGS = 0x7D0F00
_PR_SET_NAME = 15
_ALL = 0xFFFFFFFF

Instruction = tuple[int, int, int, int]
"""Operation, jumps when true and when false, operand."""


@dataclass(frozen=True)
class _Only:
    """An argument's lower or upper half, masked, must be one of the values."""

    argument: int
    values: tuple[int, ...]
    mask: int = _ALL
    upper: bool = False

    def program(self) -> list[Instruction]:
        """Ends in a refusal or goes on behind."""
        offset = _ARGUMENTS_AT + 8 * self.argument + 4 * self.upper
        count = len(self.values)
        compared = [(_EQUAL, count - place, 0, value) for place, value in enumerate(self.values)]
        return [(_LOAD, 0, 0, offset), (_AND, 0, 0, self.mask), *compared, _end(_ERRNO | errno.EPERM)]


def machine() -> str | None:
    """This machine's architecture, where the calls of it are known."""
    name = os.uname().machine
    return name if sys.platform == "linux" and name in _MACHINES and sys.maxsize > 2**32 else None


def numbers(machine: str) -> dict[str, int]:
    """The calls that are let through, some of them with some arguments only, and their numbers."""
    place = _MACHINES.index(machine)
    return {name: number for name, row in _TABLE.items() if (number := row[place]) is not None}


def program(machine: str, *, opening: bool) -> bytes:
    """The seccomp program; `opening`: files may be opened for reading."""
    known = numbers(machine)
    some = _some_arguments(opening=opening)
    instructions = [(_LOAD, 0, 0, _ARCH_AT), (_EQUAL, 1, 0, _AUDIT_ARCH[machine]), _end(_KILL_PROCESS)]
    instructions += [(_LOAD, 0, 0, _NUMBER_AT), (_AT_LEAST, 0, 1, _X32_BIT), _end(_KILL_PROCESS)]
    for name, number in known.items():
        if name in some:
            checks = [instruction for only in some[name] for instruction in only.program()]
            instructions += [(_EQUAL, 0, len(checks) + 1, number), *checks, _end(_ALLOW)]
        elif opening or name not in _OPENING:
            instructions += [(_EQUAL, 0, 1, number), _end(_ALLOW)]
    instructions += [(_AT_LEAST, 0, 1, _NEWEST_FROM), _end(_ERRNO | errno.ENOSYS), _end(_ERRNO | errno.EPERM)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _some_arguments(*, opening: bool) -> dict[str, tuple[_Only, ...]]:
    reading = {"open": (_Only(1, (0,), _WRITING),), "openat": (_Only(2, (0,), _WRITING),)} if opening else {}
    return {
        **reading,
        "clone": (
            _Only(0, (0,), _ALL ^ _THREAD_FLAGS),
            _Only(0, (_CLONE_VM | _CLONE_THREAD,), _CLONE_VM | _CLONE_THREAD),
        ),
        # Not F_SETOWN, which has the kernel send signals to others.
        "fcntl": (_Only(1, (fcntl.F_DUPFD, fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_DUPFD_CLOEXEC)),),
        "prctl": (_Only(0, (_PR_SET_NAME,)),),
        # To ask, not to set: there is no new limit where the pointer to it is null.
        "prlimit64": (_Only(2, (0,)), _Only(2, (0,), upper=True)),
        # abort() signals itself.
        "tgkill": (_Only(0, (os.getpid(),)),),
    }


def _end(how: int) -> Instruction:
    return _RETURN, 0, 0, how
