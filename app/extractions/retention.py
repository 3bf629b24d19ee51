"""What is not kept: expired videos, and the objects of buried ones."""

from sqlalchemy import func, select

from app.database import open_session
from app.extractions import lifecycle
from app.extractions.models import Extraction
from app.storage import Storage
from app.videos import lifecycle as videos
from app.videos.models import Video


def bury_expired() -> None:
    """Withdraw the videos whose time has come; safe to run twice."""
    with open_session() as session:
        expired = session.scalars(
            select(Video.id).where(Video.expires_at <= func.now(), Video.deleted_at.is_(None))
        ).all()
    for video_id in expired:
        with open_session() as session:
            lifecycle.withdraw(session, session.get_one(Video, video_id))


def remove_buried(storage: Storage) -> None:
    """Remove the objects of buried videos, then their rows; safe to run twice, for the row goes last."""
    with open_session() as session:
        buried = session.scalars(select(Video.id).where(Video.deleted_at.is_not(None)).order_by(Video.deleted_at)).all()
    for video_id in buried:
        with open_session() as session:
            extractions = session.scalars(select(Extraction.id).where(Extraction.video_id == video_id)).all()
        for extraction_id in extractions:
            storage.delete_prefix(f"results/{extraction_id}/")
        storage.delete_prefix(f"videos/{video_id}/")
        with open_session() as session:
            videos.forget(session, video_id)
