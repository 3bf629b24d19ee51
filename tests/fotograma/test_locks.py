"""Each layer alone stops what it is there for, and without it the same attack succeeds."""

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")

needs_root = pytest.mark.skipif(sys.platform == "linux" and os.geteuid() != 0, reason="only root has what is dropped")

# What stands before a layer so that it may be put on at all; it stops nothing.
BEFORE = """
import ctypes, errno, fcntl, mmap, os, resource, signal, socket, sys, threading, time
from fotograma import locks
from fotograma.limits import Limits
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
file, folder, port, abstract = sys.argv[1:]

def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
"""
TRY = """
try:
    attack()
except OSError as error:
    print(errno.errorcode[error.errno])
except Exception as error:
    print(type(error).__name__)
else:
    print("done")
"""

SECCOMP = "locks.refuse_calls(opening=True)"
SECCOMP_NO_FILES = "locks.refuse_calls(opening=False)"
LANDLOCK = "locks.hide_files()"
NAMESPACES = "locks.leave_namespaces()"
RLIMITS = "locks.limit_resources(Limits(memory_bytes=2**29, wall_seconds=0.1))"
PRIVILEGES = "locks.drop_privileges()"
DESCRIPTORS = "locks.close_descriptors([kept])"

CONNECT = "socket.create_connection(('127.0.0.1', int(port)), timeout=5)"
CONNECT_ABSTRACT = "socket.socket(socket.AF_UNIX).connect('\\0' + abstract)"
READ = "open(file).read()"
WRITE = "open(file, 'a')"
SIGNAL = "os.kill(os.getppid(), 0)"
# Wait for nobody: what was forked ends by itself.
FORK = "os.fork() or os._exit(0)"


@dataclass(frozen=True)
class Attack:
    """Something to do, and how the layer refuses it."""

    layer: str
    what: str
    refusal: str
    prepared: str = ""
    """What the attacker has from before the layer."""


ATTACKS = {
    "seccomp: network": Attack(SECCOMP, CONNECT, "EPERM"),
    "seccomp: local sockets": Attack(SECCOMP, CONNECT_ABSTRACT, "EPERM"),
    "seccomp: a pair of sockets": Attack(SECCOMP, "socket.socketpair()", "EPERM"),
    "seccomp: fork": Attack(SECCOMP, FORK, "EPERM"),
    "seccomp: another program": Attack(SECCOMP, "os.execv('/bin/echo', ['echo', 'done'])", "EPERM"),
    "seccomp: another program as a child": Attack(SECCOMP, "os.posix_spawn('/bin/true', ['true'], {})", "EPERM"),
    "seccomp: tracing": Attack(SECCOMP, "check(libc.ptrace(0, 0, 0, 0))", "EPERM"),
    "seccomp: signals": Attack(SECCOMP, SIGNAL, "EPERM"),
    "seccomp: signals by way of a file": Attack(
        SECCOMP, "fcntl.fcntl(end, fcntl.F_SETOWN, os.getppid())", "EPERM", "end, _ = os.pipe()"
    ),
    "seccomp: writing": Attack(SECCOMP, WRITE, "EPERM"),
    "seccomp: a new file": Attack(SECCOMP, "open(folder + '/new', 'x')", "EPERM"),
    "seccomp: removing": Attack(SECCOMP, "os.unlink(folder + '/victim')", "EPERM", "open(folder + '/victim', 'w')"),
    "seccomp: more rights on a file": Attack(SECCOMP, "os.chmod(file, 0o600)", "EPERM"),
    "seccomp: other limits": Attack(SECCOMP, "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))", "ValueError"),
    "seccomp: memory to execute": Attack(SECCOMP, "os.memfd_create('code')", "EPERM"),
    "seccomp: reading, where nothing may be opened": Attack(SECCOMP_NO_FILES, READ, "EPERM"),
    "landlock: reading": Attack(LANDLOCK, READ, "EACCES"),
    "landlock: a listing": Attack(LANDLOCK, "os.listdir(folder)", "EACCES"),
    "landlock: what lies beside the code": Attack(
        LANDLOCK, "open(os.path.dirname(os.path.dirname(locks.__file__)) + '/pyproject.toml')", "EACCES"
    ),
    "landlock: other processes": Attack(LANDLOCK, "open('/proc/self/environ').read()", "EACCES"),
    "landlock: writing": Attack(LANDLOCK, WRITE, "EACCES"),
    "landlock: a new file": Attack(LANDLOCK, "open(folder + '/new', 'x')", "EACCES"),
    "landlock: removing": Attack(LANDLOCK, "os.unlink(folder + '/victim')", "EACCES", "open(folder + '/victim', 'w')"),
    "landlock 4: network": Attack(LANDLOCK, CONNECT, "EACCES"),
    "landlock 6: local sockets": Attack(LANDLOCK, CONNECT_ABSTRACT, "EPERM"),
    "landlock 6: signals": Attack(LANDLOCK, SIGNAL, "EPERM"),
    "namespaces: network": Attack(NAMESPACES, CONNECT, "ENETUNREACH"),
    "namespaces: local sockets": Attack(NAMESPACES, CONNECT_ABSTRACT, "ECONNREFUSED"),
    "rlimits: memory": Attack(RLIMITS, "bytearray(2**30)", "MemoryError"),
    "rlimits: files": Attack(RLIMITS, "[os.open(file, os.O_RDONLY) for _ in range(40)]", "EMFILE"),
    "rlimits: disk": Attack(RLIMITS, "os.write(victim, b'!')", "EFBIG", "victim = os.open(file, os.O_WRONLY)"),
    "rlimits: processor": Attack(
        RLIMITS, "exec('while time.process_time() < 1.5: pass')", "SIGXCPU", "signal.signal(signal.SIGXCPU, tell)"
    ),
    "privileges: root's": Attack(PRIVILEGES, "os.setgid(12345)", "EPERM"),
    "privileges: files of others": Attack(
        PRIVILEGES, READ, "EACCES", "os.chown(file, 12345, 12345); os.chmod(file, 0o600)"
    ),
    "descriptors: open files": Attack(
        DESCRIPTORS, "os.read(victim, 10)", "EBADF", "kept = os.open(file, 0); victim = os.open(file, 0)"
    ),
}
TELL = """
def tell(*_):
    print("SIGXCPU", flush=True)
    os._exit(0)
"""


def run(attack: Attack, place: "Place", *, layer: bool) -> str:
    """How the attack ends, in a process of its own."""
    lines = [BEFORE, TELL, attack.prepared, attack.layer if layer else "", "def attack():"]
    script = "\n".join([*lines, textwrap.indent(attack.what, "    "), TRY])
    words = [str(place.file), str(place.folder), str(place.port), place.abstract]
    done = subprocess.run([sys.executable, "-I", "-c", script, *words], capture_output=True, text=True, timeout=60)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@dataclass(frozen=True)
class Place:
    """What there is to be attacked."""

    folder: Path
    file: Path
    port: int
    abstract: str


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    file = tmp_path / "secret"
    file.write_text("secret")
    name = f"fotograma-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(f"\0{name}")
        local.listen()
        yield Place(tmp_path, file, server.getsockname()[1], name)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[needs_root] if name.startswith("privileges") else []) for name in ATTACKS]
)
def test_a_layer_alone_stops_it(name: str, place: Place) -> None:
    attack = ATTACKS[name]
    if name.startswith(("landlock", "namespaces")):
        skip_where_the_kernel_has_none(name)

    assert run(attack, place, layer=False) == "done"
    (place.folder / "new").unlink(missing_ok=True)
    assert run(attack, place, layer=True) == attack.refusal


def skip_where_the_kernel_has_none(name: str) -> None:
    """Landlock and namespaces are not to be had everywhere; Landlock's number says which version it takes."""
    asked = "ctypes.CDLL(None).syscall(444, None, 0, 1)" if name.startswith("landlock") else "leave()"
    script = f"import ctypes\nleave = lambda: 1 + ctypes.CDLL(None).unshare(0x58000000)\nprint({asked})"
    version = int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
    word = name.split(":")[0].split(" ")
    if version < (int(word[1]) if len(word) == 2 else 1):
        pytest.skip(f"{word[0]} is not to be had here")


@pytest.mark.parametrize("layer", [LANDLOCK, NAMESPACES])
def test_a_layer_that_holds_for_one_thread_is_not_put_on_beside_others(layer: str, place: Place) -> None:
    threads = "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()"

    assert run(Attack(layer, layer, "", prepared=threads), place, layer=False) == "Unlocked"


def test_seccomp_holds_for_threads_that_run_already(place: Place) -> None:
    prepared = """
begin, outcome = threading.Event(), []
def later():
    begin.wait()
    try:
        socket.socket()
        outcome.append(None)
    except OSError as error:
        outcome.append(error)
thread = threading.Thread(target=later)
thread.start()
"""
    attack = Attack(SECCOMP, "begin.set(); thread.join()\nif outcome[0]: raise outcome[0]", "", prepared)

    assert run(attack, place, layer=False) == "done"
    assert run(attack, place, layer=True) == "EPERM"


def test_an_orphan_ends_before_it_begins() -> None:
    script = "import os; from fotograma import locks; locks.die_with(os.getpid()); print('lives')"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (1, "")
