"""The table of system calls is the kernel's, and the program does with each call what it should, on both machines."""

import errno
import os
import re
import struct
import sys
from pathlib import Path

import pytest

from fotograma import calls
from tests.conftest import needs


@pytest.fixture(autouse=True)
def _linux() -> None:
    needs(sys.platform == "linux", "Linux")


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "i386": 0x40000003}
# Calls that a decoder has no use for, with their numbers on x86_64 and aarch64.
UNWANTED = {
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "setrlimit": (160, 164),
    "ioctl": (16, 29),
    "unlinkat": (263, 35),
    "mkdirat": (258, 34),
    "renameat": (264, 38),
    "mount": (165, 40),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "memfd_create": (319, 279),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "setns": (308, 268),
    "unshare": (272, 97),
}
THREAD, PROCESS, VFORK = 0x3D0F00, 17, 0x4111
NEW_NAMESPACE = THREAD | 0x40000000


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def answer(machine: str, number: int, *arguments: int, opening: bool = True, architecture: str = "") -> str:
    """What the kernel would do with a call: the program, run as the kernel runs it."""
    code = list(struct.iter_unpack("=HBBI", calls.program(machine, opening=opening)))
    words = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    call = struct.pack("=IIQ6Q", number, ARCHITECTURES[architecture or machine], 0, *words)
    place = value = 0
    while True:
        operation, when_true, when_false, operand = code[place]
        place += 1
        match operation:
            case 0x20:
                (value,) = struct.unpack_from("=I", call, operand)
            case 0x54:
                value &= operand
            case 0x15:
                place += when_true if value == operand else when_false
            case 0x35:
                place += when_true if value >= operand else when_false
            case 0x06:
                return told(operand)
            case _:
                raise AssertionError(operation)


def told(result: int) -> str:
    if result == 0x7FFF0000:
        return "allowed"
    if result == 0x80000000:
        return "killed"
    assert result >> 16 == 5
    return errno.errorcode[result & 0xFFFF]


def test_numbers_are_those_of_the_kernel(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{header} is missing: install linux-libc-dev")
        pytest.skip(f"{header} is missing: install linux-libc-dev")
    text = header.read_text()
    known: dict[str, object] = {
        name: int(number) for name, number in re.findall(r"#define (__NR(?:3264)?_\w+)\s+(\d+)\b", text)
    }
    for name, other in re.findall(r"#define (__NR_\w+) (__NR3264_\w+)", text):
        known.setdefault(name, known.get(other, ""))

    assert calls.numbers(machine) == {name: known.get(f"__NR_{name}") for name in calls.numbers(machine)}


def test_no_number_is_there_twice(machine: str) -> None:
    numbers = list(calls.numbers(machine).values())

    assert len(set(numbers)) == len(numbers)


def test_a_call_of_another_architecture_ends_the_process(machine: str) -> None:
    # 11 is execve on i386, and munmap on x86_64.
    assert answer(machine, 11, architecture="i386") == "killed"
    assert answer(machine, 0x40000000 + 59) == "killed"


@pytest.mark.parametrize("name", UNWANTED)
def test_unwanted_calls_are_refused(machine: str, name: str) -> None:
    number = UNWANTED[name][machine == "aarch64"]

    assert answer(machine, number) == "EPERM"
    assert answer(machine, number, opening=False) == "EPERM"


@pytest.mark.parametrize("number", [425, 434, 435, 437, 451, 9999])
def test_new_calls_are_unknown(machine: str, number: int) -> None:
    assert answer(machine, number) == "ENOSYS"


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("read", (), "allowed"),
        ("mmap", (), "allowed"),
        ("sendto", (), "allowed"),
        ("clone", (THREAD,), "allowed"),
        ("clone", (THREAD | 0x400000,), "allowed"),
        ("clone", (PROCESS,), "EPERM"),
        ("clone", (VFORK,), "EPERM"),
        ("clone", (NEW_NAMESPACE,), "EPERM"),
        ("clone", (0,), "EPERM"),
        ("openat", (2**32 - 100, 0, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY), "allowed"),
        ("openat", (2**32 - 100, 0, os.O_WRONLY), "EPERM"),
        ("openat", (2**32 - 100, 0, os.O_RDWR), "EPERM"),
        ("openat", (2**32 - 100, 0, os.O_CREAT), "EPERM"),
        ("openat", (2**32 - 100, 0, os.O_TRUNC), "EPERM"),
        ("prctl", (15,), "allowed"),
        ("prctl", (38,), "EPERM"),
        ("prctl", (4,), "EPERM"),
        ("fcntl", (3, 1), "allowed"),
        ("fcntl", (3, 1030), "allowed"),
        ("fcntl", (3, 8), "EPERM"),
        ("prlimit64", (0, 7, 0, 1), "allowed"),
        ("prlimit64", (0, 7, 1), "EPERM"),
        ("prlimit64", (0, 7, 2**32), "EPERM"),
        ("tgkill", (os.getpid(), 1, 6), "allowed"),
        ("tgkill", (1, 1, 9), "EPERM"),
    ],
)
def test_some_calls_pass_with_some_arguments_only(
    machine: str, name: str, arguments: tuple[int, ...], expected: str
) -> None:
    assert answer(machine, calls.numbers(machine)[name], *arguments) == expected


def test_nothing_can_be_opened_where_opening_is_over(machine: str) -> None:
    numbers = calls.numbers(machine)

    assert {answer(machine, numbers[name], opening=False) for name in ("open", "openat") if name in numbers} == {
        "EPERM"
    }


def test_x86_64_has_the_older_way_to_open() -> None:
    assert answer("x86_64", 2, 0, os.O_RDONLY) == "allowed"
    assert answer("x86_64", 2, 0, os.O_RDWR) == "EPERM"
