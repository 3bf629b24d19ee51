"""The image without a container engine: built by buildah on a Debian from debootstrap, run, and one job done in it.

`sudo uv run python -m deploy.prove_image`, on a Debian that has `buildah` and `debootstrap`. What it keeps, `--folder`
names: the Debian, so that the next time is quicker. Images by name can't be pulled on such a machine; the Dockerfile is
the same, its BASE another.
"""

import argparse
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx2
import yaml

from app.local_stack import broker, postgres
from app.local_stack.demo import wait_for
from app.local_stack.mailbox import Mailbox
from app.local_stack.processes import PROJECT, Part, Process, free_port

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
USER = 10001
CONTAINED = """
root=$1 objects=$2 secrets=$3 how=$4 user=$5
shift 5
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --bind "$objects" "$root/data/objects"
mount --bind "$secrets" "$root/data/secrets"
mount -o "remount,bind,$how" "$root/data/secrets"
mount -o remount,bind,ro "$root"
cd "$root"
pivot_root . .
umount -l .
cd /srv/fotograma
exec setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
"""As compose.yaml has it: the root can't be written, /tmp is memory, no rights, none to gain. The network is ours."""


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
    image = json.loads(_output("buildah", "inspect", "--type=image", "fotograma"))["Docker"]["config"]
    container = _output("buildah", "from", "--pull-never", "fotograma")
    try:
        with tempfile.TemporaryDirectory() as data:
            prove(image, Path(_output("buildah", "mount", container)), Path(data))
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


def prove(image: dict[str, Any], root: Path, data: Path) -> None:
    """Run what compose.yaml runs, with PostgreSQL, a broker and a mailbox beside it, and do one job."""
    services: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]
    database, bell, port, monitor = free_port(), free_port(), free_port(), free_port()
    ports = {"8000": str(port), "5555": str(monitor)}
    postgres.prepare(data / "postgres")
    broker.prepare(data / "broker")
    mailbox = Mailbox(data / "mail", port=free_port(), on_arrival=lambda _: None)
    for volume in ("objects", "secrets"):
        (data / volume).mkdir(mode=0o700)
        os.chown(data / volume, USER, USER)
    environment = {
        **dict(setting.split("=", 1) for setting in image["Env"]),
        **postgres.environment(data / "postgres", port=database),
        **broker.environment(data / "broker", port=bell),
        "SECRET_KEY_FILE": "/data/secrets/secret_key",
        "FLOWER_BASIC_AUTH_FILE": "/data/secrets/flower_login",
        "SMTP_URL": mailbox.url,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "WORKER_THREADS": "1",
    }
    processes: list[Process] = []

    def contained(*words: str, may_write_secrets: bool = False) -> list[str]:
        settings = [f"{name}={value}" for name, value in environment.items()]
        volumes = [str(data / "objects"), str(data / "secrets"), "rw" if may_write_secrets else "ro"]
        told = ["env", "--ignore-environment", *settings, image["Entrypoint"][0], *words]
        return ["unshare", "--mount", "sh", "-euc", CONTAINED, "sh", str(root), *volumes, str(USER), *told]

    def start(part: Part) -> None:
        process = Process(part, log=data / f"{part.name}.log")
        processes.append(process)
        process.wait_until_healthy()

    def run(name: str, words: list[str], *, check: list[str]) -> None:
        """Healthy is what the health check says that the engine would run."""
        check = contained(*(_renamed(word, ports) for word in check))
        start(
            Part(
                name=name,
                command=contained(*(_renamed(word, ports) for word in words)),
                is_healthy=lambda _: subprocess.run(check, capture_output=True, check=False).returncode == 0,
                healthy_within_seconds=90,
                stop_within_seconds=30,
            )
        )
        print(f"Healthy: {name}")

    def check_of(name: str) -> list[str]:
        return ["sh", "-c", services[name]["healthcheck"]["test"].replace("$$", "$")]

    mailbox.start()
    try:
        start(postgres.part(data / "postgres", port=database))
        postgres.create_database(data / "postgres", port=database)
        start(broker.part(data / "broker", port=bell))
        _run(*contained(*shlex.split(services["secret"]["command"]), may_write_secrets=True))
        _run(*contained(*shlex.split(services["migrate"]["command"])))
        run("API", image["Cmd"], check=image["Healthcheck"]["Test"][1:])
        run("Worker", shlex.split(services["worker"]["command"]), check=check_of("worker"))
        run("Flower", shlex.split(services["flower"]["command"]), check=check_of("flower"))
        do_a_job(f"http://127.0.0.1:{port}", data)
        ask_the_monitor(f"http://127.0.0.1:{monitor}", login=(data / "secrets" / "flower_login").read_text())
        rights = (line for line in _output(*contained("cat", "/proc/self/status")).splitlines() if "\t" in line)
        print(
            "Rights:", *(line.replace("\t", " ") for line in rights if line.startswith(("Uid", "CapBnd", "NoNewPrivs")))
        )
        if (
            subprocess.run(contained("touch", "/srv/fotograma/written"), capture_output=True, check=False).returncode
            == 0
        ):
            raise SystemExit("The root can be written.")
        print("Root: read-only")
    except BaseException:
        for process in processes:
            sys.stderr.write(f"--- {process.part.name}\n{process.output()[-4000:]}\n")
        raise
    finally:
        for process in reversed(processes):
            process.stop()
        mailbox.stop()


def ask_the_monitor(url: str, *, login: str) -> None:
    """Flower shows the worker to whoever has its login, and to nobody else."""
    name, _, password = login.strip().partition(":")
    with httpx2.Client(base_url=url, timeout=30, trust_env=False) as client:
        if client.get("/workers").status_code != httpx2.codes.UNAUTHORIZED:
            raise SystemExit("Flower lets in who has no login.")
        seen = wait_for(
            lambda: client.get("/workers?json=1", auth=(name, password)).raise_for_status().json()["data"],
            what="Flower to see the worker",
        )
    print(f"Flower: {len(seen)} worker, behind its login")


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


def _renamed(word: str, ports: dict[str, str]) -> str:
    """The image's own ports may be taken here."""
    for inside, here in ports.items():
        word = re.sub(rf"\b{inside}\b", here, word)
    return word


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
