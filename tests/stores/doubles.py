"""Clouds' stores as processes of this machine, each as strict as it can be had."""

import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.local_stack.processes import PROJECT, Part, Process, free_port
from app.settings import Settings
from app.storage import Storage, open_storage

BUCKET = "frames"
AZURITE = Path(__file__).parent / "azurite"


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

    def unfinished(self) -> list[str]:
        """The uploads in parts that were begun and have not ended."""
        url = f"http://127.0.0.1:{self.port}"
        if self.url.startswith("gs:"):
            return [str(name) for name in httpx2.get(f"{url}/-/unfinished").json()]
        return re.findall(r"<UploadId>[^<]*", httpx2.get(f"{url}/{BUCKET}?uploads").text)

    @contextmanager
    def reached(self, **more: str) -> Iterator[pytest.MonkeyPatch]:
        """The variables of the environment, while it is opened in this process."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
                patch.delenv(name)
            for name, value in {**self.environment, **more}.items():
                patch.setenv(name, value)
            yield patch

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
    # Pages of other sites are let in by the bucket's own rules, as there.
    strict = {"MOTO_DISABLE_GLOBAL_CORS": "true"}
    process = _run(Part("moto", ["moto_server", "-p", str(port)], _answers(port), strict), folder)
    httpx2.put(f"http://127.0.0.1:{port}/{BUCKET}").raise_for_status()
    return Double(f"s3://{BUCKET}", _aws(port), port, process)


def rclone(folder: Path) -> Double:
    """An S3 that checks signatures, and when they expire; it answers ranges with 200, so it is no store for us."""
    (folder / "rclone" / BUCKET).mkdir(parents=True)
    port = free_port()
    environment = _aws(port)
    keys = f"{environment['AWS_ACCESS_KEY_ID']},{environment['AWS_SECRET_ACCESS_KEY']}"
    words = ["rclone", "serve", "s3", str(folder / "rclone"), "--addr", f"127.0.0.1:{port}", "--auth-key", keys]
    words += ["--config", os.devnull, "--vfs-cache-mode", "off"]
    process = _run(Part("rclone", words, _answers(port)), folder)
    return Double(f"s3://{BUCKET}", environment, port, process)


def google(folder: Path) -> Double:
    """Google's, with a service account of our own making (`tests.stores.google`)."""
    port = free_port()
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "client_email": "frames@fotograma.iam.gserviceaccount.com",
        "private_key": key.decode(),
        "private_key_id": "1",
        "token_uri": f"http://127.0.0.1:{port}/token",
    }
    file = folder / "account.json"
    file.write_text(json.dumps(account))
    words = [sys.executable, "-m", "tests.stores.google", str(port), str(file)]
    process = _run(Part("google", words, _answers(port)), folder)
    environment = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(file),
        "GOOGLE_BASE_URL": f"http://127.0.0.1:{port}",
        "STORAGE_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    return Double(f"gs://{BUCKET}", environment, port, process)


def azurite(folder: Path) -> Double:
    """Microsoft's own double of theirs."""
    port = free_port()
    modules = install(AZURITE)
    words = ["node", str(modules / "azurite/dist/src/blob/main.js"), "--silent"]
    words += ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck", "--inMemoryPersistence"]
    key = b64encode(b"a key that only this test knows").decode()
    process = _run(Part("azurite", words, _answers(port), {"AZURITE_ACCOUNTS": f"frames:{key}"}), folder)
    environment = {
        "AZURE_STORAGE_ACCOUNT_NAME": "frames",
        "AZURE_STORAGE_ACCOUNT_KEY": key,
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/frames",
    }
    double = Double(f"az://{BUCKET}", environment, port, process)
    _make_container(double, key)
    return double


DOUBLES = {"moto": moto, "rclone": rclone, "google": google, "azurite": azurite}


def install(project: Path) -> Path:
    """The node_modules of a folder with a package-lock.json, kept from one run of the tests to the next."""
    lock = project / "package-lock.json"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = PROJECT / f".pytest_cache/d/{project.name}-{digest}"
    modules = folder / "node_modules"
    # The last that npm writes.
    if not (modules / ".package-lock.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for file in (lock, project / "package.json"):
            shutil.copy(file, folder)
        words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
        words[0] = str(Path(sys.executable).parent / "npm")
        installed = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=200)
        if installed.returncode:
            pytest.fail(f"npm can't install {project.name}, which this test needs: {installed.stderr}", pytrace=False)
    return modules


def _make_container(double: Double, key: str) -> None:
    """By the shared key, as https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key says."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
    signed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    # PUT, eleven headers that are not sent, ours, and the resource, to whose path Azurite adds the account once more.
    words = f"PUT{chr(10) * 12}{signed}/frames/frames/{BUCKET}\nrestype:container"
    signature = b64encode(hmac.digest(b64decode(key), words.encode(), "sha256")).decode()
    address = f"http://127.0.0.1:{double.port}/frames/{BUCKET}?restype=container"
    httpx2.put(address, headers={**headers, "Authorization": f"SharedKey frames:{signature}"}).raise_for_status()


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
