"""How much of the service one user may have: what the settings say, unless an admin said otherwise for this one."""

from dataclasses import dataclass, fields

from sqlalchemy import ColumnElement, func

from app.accounts.models import User
from app.settings import get_settings


@dataclass(frozen=True)
class Quotas:
    """What one user may have."""

    stored_bytes: int
    """Of videos and archives, uploads under way included."""
    videos: int
    extractions_running: int
    extractions_waiting: int
    uploads_a_day: int
    """Imports count too; days are those of UTC."""


NAMES = tuple(field.name for field in fields(Quotas))
MOST = {
    "stored_bytes": 2**60,
    "videos": 2**31,
    "extractions_running": 10_000,
    "extractions_waiting": 2**31,
    "uploads_a_day": 2**31,
}
"""No admin allows more than that, or a statement would have no room for it."""


def quotas_of(user: User) -> Quotas:
    """What this user may have."""
    settings = get_settings()
    usual = {
        "stored_bytes": settings.user_stored_max_bytes,
        "videos": settings.user_videos,
        "extractions_running": settings.user_extractions_running,
        "extractions_waiting": settings.user_extractions_waiting,
        "uploads_a_day": settings.user_uploads_a_day,
    }
    return Quotas(**usual | {name: value for name, value in user.quotas.items() if name in usual})


def most_running() -> ColumnElement[int]:
    """How many extractions of a user may run at once, where a statement asks that of many users."""
    own = User.quotas["extractions_running"].as_integer()
    return func.coalesce(own, get_settings().user_extractions_running)
