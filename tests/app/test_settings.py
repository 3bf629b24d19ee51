"""What a service can't be run with keeps it from starting, in words."""

import os
import subprocess

import pytest

from app.local_stack.processes import PROJECT
from tests.conftest import command


@pytest.mark.parametrize("key", ["changethis", "supersecret", "short", "a" * 64])
def test_a_key_that_somebody_may_know_keeps_the_service_from_starting(key: str):
    started = subprocess.run(
        [command("python"), "-c", "import main; main.create_app()"],
        cwd=PROJECT,
        env={**os.environ, "SECRET_KEY": key},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert started.returncode != 0
    assert "SECRET_KEY must be at least 32 characters that nobody knows" in started.stderr
