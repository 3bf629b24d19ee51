"""Writes what the code knows best: `docs/settings.md`, `docs/errors.md` and `.env.example`. Run it by `just docs`."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

import app
from app.api.error_responses import status_of
from app.errors import ServiceError
from app.extractions.segment_lifecycle import TRIES
from app.settings import Settings
from fotograma.errors import CODES, Cause

PROJECT = Path(__file__).parents[1]

SETTINGS_HEAD = """\
# Settings

Each is read once, at the start, from the environment or from a file `.env` beside `main.py`; the environment wins.
`.env.example` has them all. What is wrong with one ends the start in one sentence.

`uv run main.py` sets `SECRET_KEY`, `PUBLIC_URL`, `DB_*`, `REDIS_URL`, `SMTP_URL` and `STORAGE_URL` by itself. What you
set is used instead: where you name a PostgreSQL, a broker or a mail server of yours, no embedded one is started.

| name | default | meaning |
|---|---|---|
"""

ERRORS_HEAD = """\
# Errors

## What can become of a video

The `error.code` of a failed extraction, the `code` of a warning, and the first word of what the command prints. `exit`
is the status the command ends with. The cause decides how often the service tries in all: `CRASH` {crash}
times, `INFRA` {infra} times with growing pauses, the others once. A `WARNING` is no failure: the frames are there.

| code | cause | exit | what it says |
|---|---|---|---|
"""

REFUSALS_HEAD = """
## What the API refuses

A refusal is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail` for people and `code` for
programs. Where waiting helps, `Retry-After` says how long. A request that has not the form it should have is `INVALID`,
and `errors` names each field; a plan that can't be is `BAD_PLAN`.

| code | status | what it says |
|---|---|---|
"""

ENVIRONMENT_HEAD = """\
# Copy to .env and take the # off what you want to change. What each means in full: docs/settings.md
"""


def settings_page() -> str:
    """Every setting."""
    return SETTINGS_HEAD + "".join(
        f"| `{name}` | {_told(default, _others(field))} | {field.description} |\n"
        for name, default, field in _settings()
    )


def environment_example() -> str:
    """Every setting, commented out."""
    return ENVIRONMENT_HEAD + "".join(
        f"\n# {field.description}\n#{name}={_quoted('' if default is None else str(default))}\n"
        for name, default, field in _settings()
    )


def errors_page() -> str:
    """Every code of the engine and every refusal of the API."""
    codes = "".join(
        f"| `{code.name}` | `{code.cause}` | {code.exit_status} | {code.sentence} |\n" for code in CODES.values()
    )
    refusals = "".join(
        f"| `{code}` | {status} | {sentence} |\n" for code, (status, sentence) in sorted(_refusals().items())
    )
    head = ERRORS_HEAD.format(crash=TRIES[Cause.CRASH], infra=TRIES[Cause.INFRA])
    return head + codes + REFUSALS_HEAD + refusals


def _settings() -> Iterator[tuple[str, Any, FieldInfo]]:
    """Name, default (none where one must be given) and field."""
    for name, field in Settings.model_fields.items():
        default = None if field.is_required() else field.default
        yield name.upper(), default.get_secret_value() if isinstance(default, SecretStr) else default, field


def _told(default: Any, others: list[str]) -> str:
    if default is None:
        return "must be set"
    if others:
        return f"`{default}` (or `{'`, `'.join(others)}`)"
    if isinstance(default, int) and default >= 2**20:
        for unit, size in (("GiB", 2**30), ("Mi", 2**20)):
            if default % size == 0:
                return f"`{default}` ({default // size} {unit})"
    return f"`{default}`" if default != "" else "empty"


def _others(field: FieldInfo) -> list[str]:
    """What a setting may be but for its default, where only a few words are taken."""
    return [word for word in get_args(field.annotation) if word != field.default]


def _quoted(value: str) -> str:
    return f'"{value}"' if set(value) & set(' <>#"') else value


def _refusals() -> dict[str, tuple[int, str]]:
    """Status and sentence of each code."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        # The worker's entry makes its queue at once, which needs settings; neither of these refuses anything.
        if not module.name.startswith(("app.workers", "app.local_stack")):
            importlib.import_module(module.name)
    found: dict[str, tuple[int, str]] = {}
    kinds = [*ServiceError.__subclasses__()]
    # A child comes after its parent, and speaks more plainly where both have one code.
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
        # A test may have kinds of its own.
        if kind.__module__.startswith("app."):
            found[kind.code] = status_of(kind), " ".join((kind.__doc__ or "").split())
    return found


PAGES = {"docs/settings.md": settings_page, "docs/errors.md": errors_page, ".env.example": environment_example}

if __name__ == "__main__":
    for page, text in PAGES.items():
        (PROJECT / page).write_text(text())
