"""What the decoding process gives up before it touches a video, a function a layer.

Each raises `Unlocked` or an OSError where its layer does not hold; `lock_in` tells which do. Landlock and namespaces
hold for the thread that asks for them and those it starts, so that no other may run before.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path

from fotograma import calls
from fotograma.limits import Limits
from fotograma.records import ON

OPEN_FILES = 32

# linux/prctl.h, capability.h, sched.h, seccomp.h, landlock.h.
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION = 0x20080522
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = 0x08000000, 0x10000000, 0x40000000
_SET_MODE_FILTER, _ALL_THREADS, _SPEC_ALLOW = 1, 1, 4
_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 4, 8
# How many rights on files each version of Landlock knows.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP_FROM, _TCP_RIGHTS = 4, 3
_SCOPES_FROM, _SCOPES = 6, 3

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446


class Unlocked(Exception):
    """The layer does not hold; the message says why."""


def lock_in(limits: Limits, *, parent: int, keep: Collection[int], load_rest: Callable[[], None]) -> dict[str, str]:
    """Give up everything that decoding does not need, for good.

    Args:
        limits: on memory and processor.
        parent: the process whose end is this one's too.
        keep: descriptors that stay open.
        load_rest: load what else may be loaded later; called where files can be kept from this process only by opening
            none at all.

    Returns:
        For each layer `ON`, or why it does not hold.
    """
    layers = {"descriptors": _tried(lambda: close_descriptors(keep))}
    layers["privileges"] = _tried(drop_privileges)
    layers["namespaces"] = _tried(leave_namespaces)
    # Again, and here: the kernel may forget it where privileges change.
    layers["process"] = _tried(lambda: die_with(parent))
    layers["rlimits"] = _tried(lambda: limit_resources(limits))
    layers["landlock"] = _tried(hide_files)
    opening = layers["landlock"] == ON
    if not opening:
        load_rest()
    layers["seccomp"] = _tried(lambda: refuse_calls(opening=opening))
    return layers


def _tried(lock: Callable[[], None]) -> str:
    try:
        lock()
    except Unlocked as error:
        return str(error)
    except OSError as error:
        return error.strerror or type(error).__name__
    return ON


def die_with(parent: int) -> None:
    """Have the kernel end this process together with its parent."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # The parent died before it could be asked for.
            os._exit(1)


def close_descriptors(keep: Collection[int]) -> None:
    """Close whatever else is open; 0, 1 and 2 lead nowhere since the start."""
    start = 3
    for descriptor in sorted(keep):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def drop_privileges() -> None:
    """No capability is left, and none can be had any more."""
    _on_linux()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _drop_capabilities()


def _drop_capabilities() -> None:
    _call(_libc().capset(struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)))


def leave_namespaces() -> None:
    """No network and no shared memory of this machine are in sight; containers often don't let go of them."""
    _on_linux()
    _alone()
    _call(_libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC))
    # Its first process may do everything in a namespace.
    _drop_capabilities()


def limit_resources(limits: Limits) -> None:
    """Bounds on memory, processor time, files and what is left of a crash."""
    cpu_seconds = int(limits.wall_seconds * (os.cpu_count() or 1)) + 1
    if sys.platform == "linux":
        _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_seconds, hard=cpu_seconds + 1)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(what: int, soft: int, *, hard: int | None = None) -> None:
    """Where less is allowed already, it stays at that."""
    most, hard = resource.getrlimit(what)[1], hard or soft
    resource.setrlimit(what, (soft, hard) if most == resource.RLIM_INFINITY else (min(soft, most), min(hard, most)))


def hide_files() -> None:
    """Of all files only libraries can be read, none written; with newer kernels no TCP and no signals out either."""
    _on_linux()
    _alone()
    version = _system_call(_CREATE_RULESET, None, 0, _VERSION)
    rights = 2 ** _FILE_RIGHTS.get(version, max(_FILE_RIGHTS.values())) - 1
    attributes = struct.pack("=Q", rights)
    if version >= _TCP_FROM:
        attributes += struct.pack("=Q", _TCP_RIGHTS)
    if version >= _SCOPES_FROM:
        attributes += struct.pack("=Q", _SCOPES)
    rules = _system_call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in _library_paths():
            _allow_reading(rules, path)
        _system_call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _library_paths() -> set[Path]:
    """Where libraries lie; never the project's own folder, which may hold secrets beside the code."""
    paths = {Path(prefix) / lib for prefix in (sys.prefix, sys.base_prefix) for lib in ("lib", "lib64")}
    paths |= {Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    paths |= {Path(path) for path in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")}
    # Without it, older C libraries find one processor only.
    paths.add(Path("/sys/devices/system/cpu"))
    return {path for path in paths | {Path(__file__).parent} if path.exists()}


def _allow_reading(rules: int, path: Path) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | (_READ_DIR if path.is_dir() else 0)
        _system_call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def refuse_calls(*, opening: bool) -> None:
    """The kernel lets through only the calls that decoding needs; `opening`: files may be opened for reading."""
    _on_linux()
    machine = calls.machine()
    if machine is None:
        raise Unlocked(f"no table of calls for {os.uname().machine}")
    code = ctypes.create_string_buffer(calls.program(machine, opening=opening))
    # struct sock_fprog: how many instructions of 8 bytes, and where.
    program = struct.pack("@HP", (len(code) - 1) // 8, ctypes.addressof(code))
    # Nothing here is secret from the decoder, so that it need not run slower for the sake of Spectre 4. gVisor knows
    # no such flag.
    try:
        thread = _system_call(_SECCOMP[machine], _SET_MODE_FILTER, _ALL_THREADS | _SPEC_ALLOW, program)
    except OSError:
        thread = _system_call(_SECCOMP[machine], _SET_MODE_FILTER, _ALL_THREADS, program)
    if thread:
        raise Unlocked("a thread can't be locked in")


def _on_linux() -> None:
    if sys.platform != "linux":
        raise Unlocked("only Linux has it")


def _alone() -> None:
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise Unlocked("other threads run already")


def _prctl(option: int, value: int) -> None:
    _call(_libc().prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)))


def _system_call(number: int, *arguments: int | bytes | None) -> int:
    words = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    return _call(_libc().syscall(ctypes.c_long(number), *words))


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _call(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
