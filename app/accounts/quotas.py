"""How much of the service one user may have: what the settings say, unless an admin said otherwise for this one."""

from dataclasses import dataclass, fields

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
