import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fotograma.errors import Cancelled, DecoderCrashed, LimitExceeded, StorageUnavailable
from fotograma.extraction import extract
from fotograma.jail import Jail
from fotograma.limits import Limits
from fotograma.plan import Plan
from fotograma.records import Picture
from tests.fotograma.conftest import Draw

ALL = Plan.from_json({"mode": "all"})
# More than fits into a channel, so that the child still has work when its first picture is here.
MANY_LARGE = Plan.from_json({"mode": "all", "format": "png", "width": 1000})


def decoders(process: psutil.Process | None = None) -> list[psutil.Process]:
    """The jailed children of a process."""
    children = (process or psutil.Process()).children(recursive=True)
    alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "fotograma.child" in child.cmdline()]


def discard(_: bytes) -> None:
    """A sink that keeps nothing."""


def test_the_child_dies_with_its_parent(draw: Draw) -> None:
    script = (
        "import sys, fotograma.extraction as e, fotograma.plan as p, pathlib\n"
        "def wait(_): print('decoding', flush=True); sys.stdin.read()\n"
        "plan = p.Plan.from_json({'mode': 'all', 'format': 'png', 'width': 1000})\n"
        "e.extract(pathlib.Path(sys.argv[1]), plan, sink=print, progress=wait)\n"
    )
    command = [sys.executable, "-c", script, str(draw("a.mp4").path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        for line in parent.stdout:
            if line == b"decoding\n":
                break
        children = decoders(psutil.Process(parent.pid))
        parent.kill()

        assert len(children) == 1
        gone, alive = psutil.wait_procs(children, timeout=10)
        assert (len(gone), alive) == (1, [])


def test_too_long_is_too_long(draw: Draw) -> None:
    with pytest.raises(LimitExceeded) as failed:
        extract(draw("a.mp4").path, ALL, sink=discard, limits=Limits(wall_seconds=0.05))

    assert failed.value.code.name == "LIMIT_TIME"
    assert decoders() == []


def test_a_kill_from_another_thread_ends_it(draw: Draw) -> None:
    with Jail(draw("a.mp4").path, limits=Limits()) as jail:
        jail.probe()
        pictures = jail.pictures(MANY_LARGE)
        assert isinstance(next(pictures), Picture)
        killer = threading.Thread(target=jail.kill)
        killer.start()
        killer.join()

        with pytest.raises(Cancelled):
            list(pictures)
        with pytest.raises(Cancelled):
            jail.probe()


def test_too_much_memory_is_a_limit(draw: Draw) -> None:
    large = draw("large.mkv", codec="mjpeg", size=(5000, 5000), frames=1)

    with pytest.raises(LimitExceeded) as failed:
        extract(large.path, MANY_LARGE, sink=discard, limits=Limits(memory_bytes=512 * 2**20))

    assert failed.value.code.name == "LIMIT_MEMORY"


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_dies_is_told(death: signal.Signals, draw: Draw) -> None:
    def kill_decoder(_: object) -> None:
        for child in decoders():
            child.send_signal(death)

    with pytest.raises(DecoderCrashed, match=death.name) as failed:
        extract(draw("a.mp4").path, MANY_LARGE, sink=discard, progress=kill_decoder)

    assert failed.value.code.name == "DECODER_CRASHED"


class Reader:
    """A video that is read by `read`."""

    def __init__(self, size: int, read: Callable[[int, int], bytes]) -> None:
        self.size = size
        self._read = read

    def read_at(self, offset: int, size: int) -> bytes:
        return self._read(offset, size)


def test_storage_that_fails_is_told_as_such() -> None:
    def fail(_offset: int, _size: int) -> bytes:
        raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(StorageUnavailable, match="Connection reset by peer"):
        extract(Reader(10**6, fail), ALL, sink=discard)


def test_storage_that_fails_late_is_told_as_such(draw: Draw) -> None:
    data = draw("a.ts").path.read_bytes()

    def fail_late(offset: int, size: int) -> bytes:
        if offset + size > len(data) // 2:
            raise TimeoutError("storage timed out")
        return data[offset : offset + min(size, 4096)]

    with pytest.raises(StorageUnavailable, match="storage timed out"):
        extract(Reader(len(data), fail_late), ALL, sink=discard)


def test_storage_that_lost_the_end_is_a_cut_file(draw: Draw) -> None:
    data = draw("a.mp4", container_options={"movflags": "faststart"}).path.read_bytes()
    half = data[: len(data) * 2 // 3]

    summary = extract(Reader(len(data), lambda offset, size: half[offset : offset + size]), ALL, sink=discard)

    assert 0 < summary.frames < 50
    assert "TRUNCATED" in [warning["code"] for warning in summary.warnings]


# In a process of its own: this one has the threads and children of other tests.
LEAVES_NOTHING = """
import contextlib, pathlib, psutil, sys
from fotograma.extraction import extract
from fotograma.plan import Plan

good, text, missing = map(pathlib.Path, sys.argv[1:])
everything = Plan.from_json({"mode": "all"})
process = psutil.Process()

def held():
    return process.num_fds(), process.num_threads(), len(process.children())

def use_it():
    extract(good, everything, sink=lambda _: None)
    for bad in text, missing:
        with contextlib.suppress(Exception):
            extract(bad, everything, sink=lambda _: None)

use_it()
before = held()
for _ in range(3):
    use_it()
print(before == held(), process.children())
"""


def test_nothing_is_left_behind(draw: Draw, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    command = [sys.executable, "-W", "error", "-c", LEAVES_NOTHING, draw("a.mp4").path, text, tmp_path / "missing.mp4"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (told.stdout, told.stderr) == ("True []\n", "")


def test_the_trusted_side_loads_no_decoder() -> None:
    script = (
        "import sys, fotograma.jail, fotograma.extraction\n"
        "print(*sorted({'av', 'cv2', 'numpy', 'simplejpeg'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert told.stdout == "\n"


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the child through /proc")
def test_the_child_inherits_nothing(draw: Draw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_KEY", "not for decoders")
    with (tmp_path / "secret").open("w") as secret, Jail(draw("a.mp4").path, limits=Limits()) as jail:
        os.set_inheritable(secret.fileno(), True)
        jail.probe()
        [child] = decoders()
        open_files = {str(path.readlink()) for path in Path(f"/proc/{child.pid}/fd").iterdir()}

        assert "SECRET_KEY" not in child.environ()
        assert child.cwd() == "/"
        assert str(tmp_path / "secret") not in open_files
        assert [path for path in open_files if path.startswith("/") and path != "/dev/null"] == [
            str(draw("a.mp4").path)
        ]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the child through /proc")
def test_the_child_can_write_no_file_and_open_few(draw: Draw) -> None:
    with Jail(draw("a.mp4").path, limits=Limits(memory_bytes=2**31)) as jail:
        jail.probe()
        [child] = decoders()

        assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_AS) == (2**31, 2**31)
        assert child.rlimit(psutil.RLIMIT_NOFILE)[1] <= 64
