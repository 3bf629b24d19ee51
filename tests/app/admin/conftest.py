"""The command as an operator types it, in this process."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from app.admin.__main__ import app
from tests.app.extractions.conftest import ask  # noqa: F401  a fixture for these tests, too

Admin = Callable[..., Result]


@pytest.fixture
def admin(quiet: None) -> Admin:  # noqa: ARG001
    """`admin("verify", "--deep")`."""
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])
