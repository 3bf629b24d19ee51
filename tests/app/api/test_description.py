"""The API does what its description says: asked in ways that fit it and ways that don't, it never fails, and answers
nothing that is not described."""

import json
import os
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.app.api.conftest import StartApi
from tests.conftest import PASSWORD, command

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Of each operation; the round by night asks more.
EXAMPLES = os.environ.get("FOTOGRAMA_DESCRIPTION_EXAMPLES", "2")
# An answer without an end, what would sign out whoever asks, and 503 as the truth where no worker is.
LEFT_OUT = ("/events", "/auth/logout", "/auth/session", "/health/ready")

pytestmark = pytest.mark.usefixtures("leaves_no_work")


@pytest.fixture(scope="module")
def api(start_api: StartApi) -> str:
    """An API of its own, whose limits on asking much are not what is looked at."""
    return start_api(LOGIN_TRIES="100000").url


@pytest.fixture(scope="module")
def token(api: str) -> str:
    """Of someone who signed up for this."""
    email = "describer@example.com"
    httpx2.post(f"{api}/users/", json={"email": email, "password": PASSWORD}).raise_for_status()
    signed_in = httpx2.post(f"{api}/auth/token", data={"username": email, "password": PASSWORD})
    token: str = signed_in.json()["access_token"]
    return token


def ask_everything(api: str, folder: Path, *options: str, **ids: str) -> None:
    """Ask all that the description tells of; `ids` are taken where a path wants them."""
    config = folder / "schemathesis.toml"
    config.write_text("[parameters]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in ids.items()))
    words = f"--phases examples,coverage,fuzzing --max-examples {EXAMPLES} --checks {CHECKS} --warnings off --no-color"
    left_out = [word for path in LEFT_OUT for word in ("--exclude-path", path)]
    asked = subprocess.run(
        [
            command("schemathesis"),
            "--config-file",
            config,
            "run",
            f"{api}/openapi.json",
            *words.split(),
            *left_out,
            *options,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=1800,
    )

    assert asked.returncode == 0, asked.stdout[-8000:] + asked.stderr[-2000:]


def test_nobody_is_answered_as_described(api: str, tmp_path: Path):
    ask_everything(api, tmp_path)


def test_a_user_is_answered_as_described(api: str, token: str, tmp_path: Path):
    headers = {"Authorization": f"Bearer {token}"}
    form = {"file": ("a.mp4", b"no video yet"), "interval": (None, "2")}
    uploaded = httpx2.post(f"{api}/videos/upload", files=form, headers=headers).raise_for_status().json()

    ask_everything(
        api,
        tmp_path,
        *("--header", f"Authorization: Bearer {token}"),
        # The user, the video and the extraction are still there for what is asked after.
        *("--exclude-method", "DELETE"),
        video_id=uploaded["id"],
        extraction_id=uploaded["extraction_id"],
    )
