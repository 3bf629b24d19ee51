import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fotograma.errors import Cancelled, DecoderCrashed, FotogramaError, LimitExceeded, StorageUnavailable
from fotograma.extraction import extract
from fotograma.jail import MANDATORY, Jail
from fotograma.limits import Limits
from fotograma.plan import Plan
from fotograma.records import LAYERS, ON, Picture
from tests.fotograma.conftest import Draw

PROJECT = Path(__file__).parents[2]

ALL = Plan.from_json({"mode": "all"})
# More than fits into a channel, so that the child still has work when its first picture is here.
MANY_LARGE = Plan.from_json({"mode": "all", "format": "png", "width": 1000})


def decoders(process: psutil.Process | None = None) -> list[psutil.Process]:
    """The jailed children of a process."""
    children = (process or psutil.Process()).children(recursive=True)
    return [child for child in children if is_decoder(child)]


def is_decoder(child: psutil.Process) -> bool:
    """Whether that is a living one."""
    try:
        return "fotograma.child" in " ".join(child.cmdline())
    except psutil.NoSuchProcess:  # Also that of a zombie.
        return False


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


@pytest.mark.parametrize("megabytes", [300, 320, 340, 360])
def test_memory_that_ends_in_whatever_place_is_a_limit(megabytes: int, draw: Draw) -> None:
    """Sometimes a picture finds no room, sometimes a thread."""
    wide = draw("wide.mp4", size=(1920, 1080), frames=60, gop=60)

    with pytest.raises(LimitExceeded) as failed:
        extract(wide.path, MANY_LARGE, sink=discard, limits=Limits(memory_bytes=megabytes * 2**20))

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


@pytest.mark.parametrize("jail", [True, False])
def test_storage_that_gives_nothing_is_not_the_end_of_the_video(jail: bool, draw: Draw) -> None:
    data = draw("a.mp4", container_options={"movflags": "faststart"}).path.read_bytes()
    half = data[: len(data) * 2 // 3]

    with pytest.raises(StorageUnavailable, match="the reader gave 0"):
        extract(Reader(len(data), lambda offset, size: half[offset : offset + size]), ALL, sink=discard, jail=jail)


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


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")


def on_a_lesser_kernel(*words: object, lacks: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a Python script as on a kernel that lacks something."""
    command = [sys.executable, "-m", "tests.fotograma.lesser_kernel", *lacks, sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)


@on_linux
def test_every_mandatory_layer_holds_here(draw: Draw) -> None:
    with Jail(draw("a.mp4").path, limits=Limits()) as jail:
        jail.probe()

        assert set(jail.layers) == set(LAYERS)
        assert {jail.layers[name] for name in MANDATORY} == {ON}
        assert "seccomp" in MANDATORY


@on_linux
def test_the_kernel_says_so_too(draw: Draw) -> None:
    with Jail(draw("a.mp4").path, limits=Limits()) as jail:
        list(jail.pictures(ALL))
        [child] = decoders()
        told = [
            dict(line.split(":\t", 1) for line in status.read_text().splitlines())
            for status in Path(f"/proc/{child.pid}/task").glob("*/status")
        ]

    assert {(thread["NoNewPrivs"], thread["Seccomp"], int(thread["CapEff"], 16)) for thread in told} == {("1", "2", 0)}


DIGESTS = """
import hashlib, sys
from pathlib import Path
from fotograma.extraction import extract
from fotograma.plan import Plan

class Reader:
    def __init__(self, path):
        self._data = path.read_bytes()
        self.size = len(self._data)

    def read_at(self, offset, size):
        return self._data[offset : offset + size]

PLANS = [
    {"mode": "all"},
    {"mode": "all", "format": "png", "scores": True, "checksums": True},
    {"mode": "scenes", "format": "webp", "width": 80},
    {"mode": "keyframes", "format": "avif", "dedupe": 3},
]
hdr, *clips = map(Path, sys.argv[2:])
for path, plans in [(hdr, PLANS[:1]), *((clip, PLANS) for clip in clips)]:
    for number, plan in enumerate(plans):
        digest = hashlib.sha256()
        source = Reader(path) if number % 2 else path
        done = extract(source, Plan.from_json(plan), sink=digest.update, jail=sys.argv[1] == "jail", name="a")
        print(plan, done.engine["path"], done.frames, digest.hexdigest())
"""


@on_linux
def test_behind_every_layer_the_same_bytes_come_out(draw: Draw) -> None:
    """All formats, the fast path and the slow one; with and without Landlock, where nothing can be loaded later."""
    hdr = draw("h.mkv", codec="libx265", frames=10, pixel_format="yuv420p10le", colors={"color_trc": 16})
    clips = [hdr.path, draw("a.mp4", frames=60).path, draw("a.avi", codec="mpeg4", frames=20).path]
    trusted = on_a_lesser_kernel("-c", DIGESTS, "here", *clips, lacks=())
    full = on_a_lesser_kernel("-c", DIGESTS, "jail", *clips, lacks=())
    lacks = ("landlock_create_ruleset=ENOSYS", "unshare=EPERM")
    lesser = on_a_lesser_kernel("-c", DIGESTS, "jail", *clips, lacks=lacks)

    assert trusted.stdout.count("sparse") > 3
    assert trusted.stdout.count("linear") > 3
    assert (full.stderr, full.stdout) == ("", trusted.stdout)
    assert (lesser.stderr, lesser.stdout) == ("", trusted.stdout)


@on_linux
@pytest.mark.parametrize(
    ("lacks", "layer"), [("seccomp=ENOSYS", "seccomp: Function not implemented"), ("seccomp=EINVAL", "seccomp")]
)
def test_nothing_is_decoded_where_a_mandatory_layer_is_missing(lacks: str, layer: str, draw: Draw) -> None:
    probed = on_a_lesser_kernel("-m", "fotograma", "probe", draw("a.mp4").path, lacks=(lacks,))

    assert (probed.returncode, probed.stdout) == (1, "")
    assert probed.stderr.startswith("JAIL_INCOMPLETE: ")
    assert layer in probed.stderr
    assert "--no-jail" in probed.stderr

    trusted = on_a_lesser_kernel("-m", "fotograma", "probe", "--no-jail", draw("a.mp4").path, lacks=(lacks,))
    assert "h264" in trusted.stdout


@on_linux
def test_a_missing_layer_can_be_put_up_with(draw: Draw) -> None:
    script = (
        "import sys; from pathlib import Path; from fotograma.jail import Jail; from fotograma.limits import Limits\n"
        "with Jail(Path(sys.argv[1]), limits=Limits(), required=False) as jail:\n"
        "    print(jail.probe().media['codec'], jail.layers['seccomp'])"
    )
    told = on_a_lesser_kernel("-c", script, draw("a.mp4").path, lacks=("seccomp=ENOSYS",))

    assert told.stdout == "h264 Function not implemented\n"


def record(kind: str, head: object) -> str:
    """Source of the bytes of a record without blobs."""
    packed = json.dumps(head)
    return f"struct.pack('<4sII', b'{kind}', {len(packed)}, 0) + {packed!r}.encode()"


ALL_ON = {"layers": dict.fromkeys(LAYERS, ON)}
LIES = {
    "no word on its locks": record("DONE", {"path": "linear"}),
    "locks that nobody knows": record("LOCK", {"layers": ALL_ON["layers"] | {"root": "on"}}),
    "no locks": record("LOCK", {"layers": {}}),
    "locks of another type": record("LOCK", {"layers": dict.fromkeys(LAYERS, 1)}),
    "locks twice": record("LOCK", ALL_ON) + "+" + record("LOCK", ALL_ON),
    "an attempt that nobody asked for": record("LOCK", ALL_ON) + "+" + record("TRYD", {"done": True, "detail": ""}),
    "locks without end": "struct.pack('<4sII', b'LOCK', 2**32 - 1, 0)",
    "locks with a picture": "struct.pack('<4sIII', b'LOCK', 2, 1, 2**30)",
    "a flood": "b'LOCK' * 2**20",
    "nothing but an end": "b''",
}


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """`liar("...")`: whatever is started as Python from now on does this instead, with `channel`."""
    program = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(program))
    real = sys.orig_argv[0] if Path(sys.orig_argv[0]).is_absolute() else f"{sys.exec_prefix}/bin/python"

    def lie(source: str) -> None:
        text = (
            f"#!{real} -I\nimport socket, struct, sys, time\n"
            "channel = socket.socket(fileno=int(sys.argv[-2]))\n"
            f"{source}\n"
        )
        program.write_text(text)
        program.chmod(0o700)

    return lie


@pytest.mark.timeout(20)
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.usefixtures("leaves_nobody")
def test_a_child_that_lies_gains_nothing(lie: str, liar: Callable[[str], None], draw: Draw) -> None:
    path = draw("a.mp4").path
    liar(f"data = {LIES[lie]}\nif data: channel.sendall(data); time.sleep(60)")

    with pytest.raises(DecoderCrashed) as failed, Jail(path, limits=Limits(wall_seconds=10)) as jail:
        jail.probe()

    assert failed.value.code.name == "DECODER_CRASHED"


@pytest.mark.usefixtures("leaves_nobody")
def test_a_layer_that_is_missing_is_told_with_its_reason(liar: Callable[[str], None], draw: Draw) -> None:
    path = draw("a.mp4").path
    told = record("LOCK", {"layers": dict.fromkeys(LAYERS, ON) | {"rlimits": "the moon was full"}})
    liar(f"channel.sendall({told}); time.sleep(60)")

    with pytest.raises(FotogramaError, match="rlimits: the moon was full") as failed:
        extract(path, ALL, sink=discard, limits=Limits(wall_seconds=10))

    assert failed.value.code.name == "JAIL_INCOMPLETE"


GREEDY = {
    "half a request": ("reads.send(b'123'); time.sleep(60)", "LIMIT_TIME"),
    "an answer it does not take": ("reads.send(struct.pack('<QI', 0, 2**20)); time.sleep(60)", "LIMIT_TIME"),
    "answers without taking any": ("reads.sendall(struct.pack('<QI', 0, 1) * 3); time.sleep(60)", "DECODER_CRASHED"),
    "bytes for ever": ("while True: reads.send(struct.pack('<QI', 0, 1)); reads.recv(5)", "LIMIT_TIME"),
    "too much at once": ("reads.send(struct.pack('<QI', 0, 2**32 - 1)); time.sleep(60)", "DECODER_CRASHED"),
    "more than may be asked for": ("reads.send(struct.pack('<QI', 0, 2**24)); time.sleep(60)", "DECODER_CRASHED"),
    "what lies behind the end": ("reads.send(struct.pack('<QI', 2**25 - 1, 2)); time.sleep(60)", "DECODER_CRASHED"),
    "nothing": ("reads.send(struct.pack('<QI', 0, 0)); time.sleep(60)", "DECODER_CRASHED"),
    "what lies beyond everything": ("reads.send(struct.pack('<QI', 2**64 - 1, 1)); time.sleep(60)", "DECODER_CRASHED"),
    "nothing any more": ("reads.close(); time.sleep(60)", "LIMIT_TIME"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("greed", GREEDY)
@pytest.mark.usefixtures("leaves_nobody")
def test_a_child_that_asks_amiss_holds_nobody_up(greed: str, liar: Callable[[str], None]) -> None:
    source, code = GREEDY[greed]
    liar(f"reads = socket.socket(fileno=socket.recv_fds(channel, 1, 1)[1][0]); reads.recv(8)\n{source}")
    video = Reader(2**25, lambda _, size: bytes(size))

    with pytest.raises(FotogramaError) as failed, Jail(video, limits=Limits(wall_seconds=1.5)) as jail:
        jail.probe()

    assert failed.value.code.name == code


@pytest.mark.timeout(20)
def test_a_child_that_never_listens_holds_nobody_up(liar: Callable[[str], None], draw: Draw) -> None:
    path = draw("a.mp4").path
    many = Plan.from_json({"mode": "at", "seconds": [number / 100 for number in range(100_000)]})
    liar("time.sleep(60)")

    with pytest.raises(LimitExceeded), Jail(path, limits=Limits(wall_seconds=1)) as jail:
        list(jail.pictures(many))


@pytest.mark.timeout(20)
def test_a_child_that_warns_for_ever_is_ended(liar: Callable[[str], None], draw: Draw) -> None:
    path = draw("a.mp4").path
    warning = record("WARN", {"code": "DAMAGED", "detail": ""})
    liar(f"channel.sendall({record('LOCK', ALL_ON)})\nwhile True: channel.sendall({warning})")

    with pytest.raises(DecoderCrashed, match="without end"), Jail(path, limits=Limits(wall_seconds=10)) as jail:
        list(jail.pictures(ALL))
