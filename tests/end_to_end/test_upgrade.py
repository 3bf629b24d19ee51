"""While a release is rolled out, workers of the one before go on: with today's tables, API and broker."""

import io
import os
import shlex
import subprocess
import tarfile
from pathlib import Path

from app.local_stack.processes import PROJECT, Part, Process
from tests.clips import Clip
from tests.end_to_end.service import Person, Service


def releases() -> list[str]:
    """What is to be gone on with: the newest release, or what FOTOGRAMA_RELEASE names. None where there is none yet."""
    if named := os.environ.get("FOTOGRAMA_RELEASE"):
        return [named]
    # Where the sources came without their history, or before the first release, nobody has anything older to run.
    tags = subprocess.run(["git", "tag", "--list", "v*", "--sort=-v:refname"], cwd=PROJECT, capture_output=True)
    return tags.stdout.decode().split()[:1]


def test_a_worker_of_the_release_before_works_on(service: Service, person: Person, clip: Clip, tmp_path: Path):
    for release in releases():
        sources = subprocess.run(["git", "archive", release], cwd=PROJECT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(sources)) as archive:
            archive.extractall(tmp_path, filter="data")
        # With what it was locked to: its decoders must be of that release too.
        subprocess.run(["uv", "sync", "--frozen", "--quiet"], cwd=tmp_path, env=_without_ours(), check=True)
        start = f"cd {shlex.quote(str(tmp_path))} && exec .venv/bin/celery"
        start += " -A app.workers.celery_worker worker --loglevel=info -n before@%h"
        part = Part("Worker", ["sh", "-c", start], lambda old: " ready." in old.output(), service.environment)
        worker = Process(part, log=service.folder / "before.log")
        try:
            worker.wait_until_healthy()
            video = person.wait_for(person.upload(clip.path), "COMPLETED")
        finally:
            worker.stop()

        assert video["frames"] == person.video(video)["progress"]["frames_total"] > 0


def _without_ours() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}}
