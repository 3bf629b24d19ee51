"""`uv run main.py`: the whole service on this machine."""

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import psutil
import typer

from app.local_stack import data_folder, demo, screen
from app.local_stack.errors import StackError
from app.local_stack.processes import PROJECT, free_port, is_free
from app.local_stack.stack import Stack
from app.local_stack.supervisor import Supervisor

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Read the command line and run."""
    typer.run(_command)


def _command(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the API and the page are.")] = 8000,
    data_dir: Annotated[
        Path, typer.Option(help="Where data, mail and logs are kept.", readable=False, file_okay=False)
    ] = Path(".fotograma"),
    workers: Annotated[int, typer.Option(min=1, help="How many worker processes.")] = 1,
    demo: Annotated[bool, typer.Option("--demo", help="Also do one whole job, as a user would.")] = False,
) -> None:
    """Run the whole service on this machine: database, broker, mailbox, API, workers and their monitor."""
    _end_with_uv()
    folder = data_dir.resolve()
    # Where `.env` is read and the literal commands work.
    os.chdir(PROJECT)
    try:
        with data_folder.held(folder):
            _run(folder, port=port, workers=workers, with_demo=demo)
    except StackError as error:
        raise SystemExit(f"Fotograma: {error}") from None
    except OSError as error:
        raise SystemExit(f"Fotograma: {error} (another folder is given with --data-dir)") from None


def _run(folder: Path, *, port: int, workers: int, with_demo: bool) -> None:
    data_folder.end_leftovers(folder)
    if not is_free(port):
        why = "is for root alone" if port < 1024 and os.geteuid() else "is taken by another program"
        raise StackError(f"port {port} {why}: give another, such as --port {free_port()}.")
    _keep_last_logs(folder / "logs")
    supervisor = Supervisor(folder, tell=screen.tell)

    def ask_to_end(*_: object) -> None:
        supervisor.is_ending = True

    signal.signal(signal.SIGINT, ask_to_end)
    signal.signal(signal.SIGTERM, ask_to_end)
    # Under nohup the closed terminal is to be ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, ask_to_end)
    stack = Stack(folder, port=port, workers=workers)
    try:
        stack.start(supervisor)
        screen.show_addresses(stack.addresses())
        if with_demo:
            threading.Thread(target=demo.show, args=(stack, supervisor), name="demo", daemon=True).start()
        supervisor.watch()
    except KeyboardInterrupt:
        screen.tell("Ending...")
    finally:
        supervisor.end()
        # By now it may never have been started.
        stack.mailbox.stop(no_assert=True)
    screen.tell(f"Ended; the data stays in {folder}.")


def _keep_last_logs(logs: Path) -> None:
    """Begin new logs; those of the last run stay beside them."""
    logs.mkdir(mode=0o700, exist_ok=True)
    for log in logs.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))


def _end_with_uv() -> None:
    """`uv run` passes signals on, but not its own death by kill -9: have the kernel do so."""
    if sys.platform == "linux" and psutil.Process(os.getppid()).name() == "uv":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
