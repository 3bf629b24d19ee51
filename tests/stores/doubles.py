"""Clouds' stores as processes of this machine, each as strict as it can be had."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from app.local_stack.processes import Part, Process, free_port
from app.settings import Settings
from app.storage import Storage, open_storage

BUCKET = "frames"


@dataclass(frozen=True)
class Double:
    """A running store with an empty bucket."""

    url: str
    """STORAGE_URL of the bucket."""
    environment: dict[str, str]
    """By which the service reaches it."""
    port: int
    process: Process = field(repr=False)

    def new_folder(self) -> str:
        """STORAGE_URL of a folder that nobody else has."""
        return f"{self.url}/{uuid.uuid4().hex}"

    @contextmanager
    def reached(self, **more: str) -> Iterator[None]:
        """The variables of the environment, while it is opened in this process."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
                patch.delenv(name)
            for name, value in {**self.environment, **more}.items():
                patch.setenv(name, value)
            yield

    def open(self, storage_url: str | None = None, **more: str) -> Storage:
        """The storage in this process."""
        with self.reached(**more):
            return open_storage(
                Settings(
                    _env_file=None,
                    secret_key="a key that only this test knows of",
                    storage_url=storage_url or self.new_folder(),
                )
            )


def moto(folder: Path) -> Double:
    """All that S3 does, believing everybody."""
    port = free_port()
    process = _run(Part("moto", ["moto_server", "-p", str(port)], _answers(port)), folder)
    httpx2.put(f"http://127.0.0.1:{port}/{BUCKET}").raise_for_status()
    return Double(f"s3://{BUCKET}", _aws(port), port, process)


def rclone(folder: Path) -> Double:
    """An S3 that checks signatures, and when they expire; it answers ranges with 200, so it is no store for us."""
    (folder / "rclone" / BUCKET).mkdir(parents=True)
    port = free_port()
    environment = _aws(port)
    keys = f"{environment['AWS_ACCESS_KEY_ID']},{environment['AWS_SECRET_ACCESS_KEY']}"
    words = ["rclone", "serve", "s3", str(folder / "rclone"), "--addr", f"127.0.0.1:{port}", "--auth-key", keys]
    words += ["--config", os.devnull, "--vfs-cache-mode", "off", "--dir-cache-time", "0"]
    process = _run(Part("rclone", words, _answers(port)), folder)
    return Double(f"s3://{BUCKET}", environment, port, process)


DOUBLES = {"moto": moto, "rclone": rclone}


def _aws(port: int) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "frames",
        "AWS_SECRET_ACCESS_KEY": "a secret of nobody",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": "us-east-1",
    }


def _run(part: Part, folder: Path) -> Process:
    process = Process(part, log=folder / f"{part.name}.log")
    process.wait_until_healthy()
    return process


def _answers(port: int) -> Callable[[Process], bool]:
    def is_healthy(_: Process) -> bool:
        try:
            httpx2.get(f"http://127.0.0.1:{port}/", timeout=2)
        except httpx2.TransportError:
            return False
        return True

    return is_healthy
