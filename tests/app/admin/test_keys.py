"""The key that signs can be changed while what it has signed is still in people's hands."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.settings import get_settings
from app.storage import get_storage
from tests.conftest import MakeUser


@pytest.fixture
def secrets_folder(admin, tmp_path: Path) -> Path:
    admin("first-secrets", tmp_path)
    return tmp_path


def read(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


@pytest.mark.parametrize("name", ["first-secrets", "rotate-key"])
def test_folder_that_is_not_there_is_told_in_one_sentence(name: str, tmp_path: Path, environment: dict[str, str]):  # noqa: ARG001
    words = [sys.executable, "-m", "app.admin", name, str(tmp_path / "none")]
    told = subprocess.run(words, capture_output=True, text=True, timeout=60)

    assert told.returncode == 1
    assert told.stderr.startswith(f"[Errno 2] No such file or directory: '{tmp_path}/none/")
    assert told.stderr.count("\n") == 1


def test_first_secrets_are_made_once(secrets_folder: Path, admin):
    made = read(secrets_folder)
    again = admin("first-secrets", secrets_folder)

    assert again.exit_code == 0
    assert read(secrets_folder) == made
    assert set(made) == {"secret_key", "flower_login"}
    assert {file.stat().st_mode & 0o077 for file in secrets_folder.iterdir()} == {0}


def test_a_rotation_keeps_the_key_before(secrets_folder: Path, admin):
    before = read(secrets_folder)
    rotated = admin("rotate-key", secrets_folder)
    after = read(secrets_folder)

    assert rotated.exit_code == 0
    assert after["secret_key_previous"] == before["secret_key"] != after["secret_key"]


def test_tokens_and_links_outlive_a_rotation_but_not_two(
    client: TestClient, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
):
    user, storage = make_user(), get_storage()
    first = get_settings().secret_key.get_secret_value()
    with storage.open_writer("results/rotation", content_type="application/octet-stream") as writer:
        writer.write(b"frames")
    link = storage.signed_url(
        "results/rotation", expires_in=timedelta(hours=1), filename="frames.zip"
    ).url.removeprefix(get_settings().public_url)

    def answers() -> tuple[int, int]:
        get_settings.cache_clear()
        return client.get("/users/me", headers=user.headers).status_code, client.get(link).status_code

    try:
        monkeypatch.setenv("SECRET_KEY", "second-0123456789-abcdefghijklmnopqrstuvwxyz")
        monkeypatch.setenv("SECRET_KEY_PREVIOUS", first)
        once = answers()
        monkeypatch.setenv("SECRET_KEY", "third-0123456789-abcdefghijklmnopqrstuvwxyz")
        monkeypatch.setenv("SECRET_KEY_PREVIOUS", "second-0123456789-abcdefghijklmnopqrstuvwxyz")
        twice = answers()
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()

    assert once == (200, 200)
    assert twice == (401, 403)
