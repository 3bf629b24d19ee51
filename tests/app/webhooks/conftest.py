"""Nobody else's webhooks, and videos without bytes."""

import pytest
from sqlalchemy import delete

from app.database import open_session
from app.webhooks.models import Webhook
from tests.app.extractions.conftest import ask

__all__ = ["ask"]


@pytest.fixture(autouse=True)
def _no_others(environment: dict[str, str]) -> None:  # noqa: ARG001
    """What other tests owe is not sent by these."""
    with open_session() as session:
        session.execute(delete(Webhook))
