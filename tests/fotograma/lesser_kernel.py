"""Runs a command as on a kernel that refuses some system calls: `lesser_kernel unshare=EPERM seccomp=ENOSYS ls`.

Nothing of ours is patched: the kernel itself refuses, by a filter put on before the command starts.
"""

import ctypes
import errno
import itertools
import os
import struct
import sys

CALLS = {
    "x86_64": {"unshare": 272, "seccomp": 317, "landlock_create_ruleset": 444},
    "aarch64": {"unshare": 97, "seccomp": 277, "landlock_create_ruleset": 444},
}
LOAD_NUMBER, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2


def refuse(calls: dict[str, str]) -> None:
    """Have the kernel answer these calls with these errors, here and in all children."""
    program = [(LOAD_NUMBER, 0, 0, 0)]
    for name, error in calls.items():
        number = CALLS[os.uname().machine][name]
        program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | getattr(errno, error))]
    program.append((RETURN, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, MODE_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code))) == 0


if __name__ == "__main__":
    command = sys.argv[1:]
    wishes = list(itertools.takewhile(lambda word: word.partition("=")[0] in CALLS["x86_64"], command))
    refuse(dict(wish.split("=") for wish in wishes))
    command = command[len(wishes) :]
    os.execv(command[0], command)
