"""The image without a container engine: built by buildah on a Debian from debootstrap, run, and one job done in it.

`sudo uv run python -m deploy.prove_image`, on a Debian that has `buildah` and `debootstrap`. What it keeps, `--folder`
names: the Debian, so that the next time is quicker. Images by name can't be pulled on such a machine; the Dockerfile is
the same, its BASE another.
"""

import argparse
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2

from app.local_stack import broker, postgres
from app.local_stack.demo import wait_for
from app.local_stack.mailbox import Mailbox
from app.local_stack.processes import PROJECT, Part, Process, free_port
from app.local_stack.service import answers

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
USER = "10001:10001"


def main() -> None:
    """Build, run, do the job, and say what the image says of itself."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, default=Path("/var/tmp/fotograma-image"))  # noqa: S108 (root's own, below)
    folder = options.parse_args().folder
    if os.geteuid():
        raise SystemExit("debootstrap needs root.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ |= {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
    build(folder)
    container = _output("buildah", "from", "--pull-never", "fotograma")
    try:
        mount = Path(_output("buildah", "mount", container))
        with tempfile.TemporaryDirectory() as data:
            prove(container, mount, Path(data))
    finally:
        _run("buildah", "rm", container)


def build(folder: Path) -> None:
    """The image `fotograma`, on a Debian made here."""
    debian = folder / "debian"
    if not debian.exists():
        unfinished = folder / "debian.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        packages = "python3,python3-venv,ca-certificates"
        _run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(unfinished))
        # What this machine trusts, the build trusts: it may reach its packages through a proxy of its own.
        shutil.copy(CERTIFICATES, unfinished / CERTIFICATES.relative_to("/"))
        unfinished.rename(debian)
    base = _output("buildah", "from", "scratch")
    _run("buildah", "add", "--quiet", base, str(debian), "/")
    _run("buildah", "commit", "--quiet", "--rm", base, "fotograma-base")
    base_image = "--build-arg=BASE=localhost/fotograma-base"
    _run("buildah", "build", "--pull-never", "--layers", "--format=docker", base_image, "--tag=fotograma", str(PROJECT))


def prove(container: str, mount: Path, data: Path) -> None:
    """Run what compose.yaml runs, with PostgreSQL, a broker and a mailbox beside it, and do one job."""
    words = json.loads(_output("buildah", "inspect", container))["OCIv1"]["config"]["Cmd"]
    database, bell, port = free_port(), free_port(), free_port()
    postgres.prepare(data / "postgres")
    broker.prepare(data / "broker")
    mailbox = Mailbox(data / "mail", port=free_port(), on_arrival=lambda _: None)
    processes: list[Process] = []

    def start(part: Part) -> None:
        process = Process(part, log=data / f"{part.name}.log")
        processes.append(process)
        process.wait_until_healthy()

    def run(name: str, *command: str, healthy: str = "") -> Part:
        settings = [f"--env={key}={value}" for key, value in environment.items()]
        words = ["buildah", "run", f"--user={USER}", *settings, container, "--"]
        return Part(
            name=name,
            command=[*words, "/srv/fotograma/deploy/entrypoint", *command],
            is_healthy=lambda process: answers(healthy) if healthy else " ready." in process.output(),
            healthy_within_seconds=60,
            stop_within_seconds=30,
        )

    mailbox.start()
    try:
        start(postgres.part(data / "postgres", port=database))
        postgres.create_database(data / "postgres", port=database)
        start(broker.part(data / "broker", port=bell))
        environment = {
            **postgres.environment(data / "postgres", port=database),
            **broker.environment(data / "broker", port=bell),
            "SECRET_KEY": secrets.token_urlsafe(48),
            "SMTP_URL": mailbox.url,
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "WORKER_THREADS": "1",
        }
        migrate = Process(run("Migrate", "alembic", "upgrade", "head"), log=data / "migrate.log")
        migrate.wait_until_done()
        began = _newest(mount)
        words[words.index("--port") + 1] = str(port)
        start(run("API", *words, healthy=f"http://127.0.0.1:{port}/health/live"))
        start(run("Worker", *shlex.split("celery -A app.workers.celery_worker worker --loglevel=info")))
        do_a_job(f"http://127.0.0.1:{port}", data)
        written = [path for path in _files(mount) if path.lstat().st_mtime > began]
        strange = [path for path in written if path.relative_to(mount).parts[0] not in ("data", "tmp", "run", "etc")]
        if strange:
            raise SystemExit(f"Written outside /data and /tmp: {', '.join(map(str, strange[:10]))}")
        print("Written: nothing outside /data and /tmp")
    except BaseException:
        for process in processes:
            sys.stderr.write(f"--- {process.part.name}\n{process.output()[-4000:]}\n")
        raise
    finally:
        for process in reversed(processes):
            process.stop()
        mailbox.stop()


def do_a_job(url: str, folder: Path) -> None:
    """As a user: sign up, upload, wait, download; and ask how the decoders are locked in."""
    clip = folder / "clip.mp4"
    _run(sys.executable, str(PROJECT / "examples" / "draw_clip.py"), str(clip))
    with httpx2.Client(base_url=url, timeout=30, trust_env=False) as client:
        person = {"email": "you@example.com", "password": secrets.token_urlsafe(12)}
        client.post("/users/", json=person).raise_for_status()
        token = client.post("/auth/token", data={"username": person["email"], "password": person["password"]}).json()
        client.headers["Authorization"] = f"Bearer {token['access_token']}"
        with clip.open("rb") as content:
            video = client.post("/videos/upload", data={"interval": "2"}, files={"file": content}).raise_for_status()
        path = f"/videos/{video.json()['id']}"
        ended = wait_for(lambda: _ended(client, path), what="the frames")
        if ended["status"] != "COMPLETED":
            raise SystemExit(f"The extraction ended {ended['status']}: {ended['error']}")
        archive = client.get(f"/videos/download/{video.json()['id']}").raise_for_status().content
        print(f"Job: {ended['frames']} frames in a ZIP of {len(archive)} bytes")
        parts = client.get("/health/ready").json()["parts"]
    for layer, how in parts["workers"]["layers"].items():
        print(f"Jail: {layer} {how}")


def _ended(client: httpx2.Client, path: str) -> dict[str, object] | None:
    video: dict[str, object] = client.get(path).raise_for_status().json()
    return video if video["status"] in ("COMPLETED", "FAILED") else None


def _files(mount: Path) -> list[Path]:
    return [path for path in mount.rglob("*") if path.is_file() and not path.is_symlink()]


def _newest(mount: Path) -> float:
    return max(path.lstat().st_mtime for path in _files(mount))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
