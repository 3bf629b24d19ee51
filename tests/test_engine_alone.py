"""The engine without the service, and the service without what decodes; each in an interpreter of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]

SERVICE = {"fastapi", "starlette", "pydantic", "sqlalchemy", "alembic", "celery", "kombu", "redis", "structlog", "app"}
DECODING = {"av", "cv2", "simplejpeg"}


def loaded_by(*modules: str) -> set[str]:
    """The top-level modules that importing these loads; nothing of this environment's settings is seen."""
    code = f"import {', '.join(modules)}, json, sys; print(json.dumps([*sys.modules]))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env={}, check=True, capture_output=True, text=True, timeout=60
    )
    return {name.partition(".")[0] for name in json.loads(ran.stdout)}


def modules_of(package: str) -> list[str]:
    """The modules of a package, by their files."""
    files = (PROJECT / package.replace(".", "/")).rglob("*.py")
    parts = [file.relative_to(PROJECT).with_suffix("").parts for file in sorted(files)]
    return [".".join(part for part in path if part != "__init__") for path in parts]


def test_engine_loads_nothing_of_the_service() -> None:
    # The decoding process's entry locks itself in when it is run, not when it is imported.
    assert not loaded_by(*modules_of("fotograma")) & SERVICE


@pytest.mark.parametrize("module", ["plan", "selection", "packets", "estimate", "errors"])
def test_what_the_api_knows_of_the_engine_is_light(module: str) -> None:
    assert not loaded_by(f"fotograma.{module}") & (DECODING | {"numpy"})


def test_api_loads_nothing_that_decodes() -> None:
    assert not loaded_by(*modules_of("app.api")) & DECODING


@pytest.mark.parametrize("package", ["accounts", "videos", "extractions", "notifications", "storage", "local_stack"])
def test_domains_load_nothing_that_decodes(package: str) -> None:
    assert not loaded_by(*modules_of(f"app.{package}")) & DECODING
