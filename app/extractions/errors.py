"""What can be wrong with asking for an extraction."""

from app.errors import Conflict, Forbidden, Gone, NotFound, TooMany


class ExtractionNotFound(NotFound):
    """There is no such extraction, or it is not yours."""

    code = "EXTRACTION_NOT_FOUND"


class ExtractionEnded(Conflict):
    """The extraction has already ended."""

    code = "EXTRACTION_ENDED"


class NothingReady(Conflict):
    """No extraction of this video is completed yet; watch its status and ask again."""

    code = "NOTHING_READY"


class ArchiveExpired(Gone):
    """The archive was kept for its time and is gone; upload the video again."""

    code = "ARCHIVE_EXPIRED"


class FrameNotFound(NotFound):
    """The extraction has no such frame."""

    code = "FRAME_NOT_FOUND"


class FrameNotReady(NotFound):
    """That frame is not there yet; ask again in a moment."""

    code = "FRAME_NOT_READY"


class FramesDropped(Gone):
    """The extraction failed or was cancelled, and what it had done is not kept; begin another one."""

    code = "FRAMES_DROPPED"


class NotProbed(Conflict):
    """The video has not been looked at yet; ask again in a moment."""

    code = "NOT_PROBED"


class TooManyWaiting(TooMany):
    """You have as many extractions waiting as are allowed; wait until some have ended."""

    code = "TOO_MANY_WAITING"


class ImportsOff(Forbidden):
    """Videos are not fetched from elsewhere here; upload yours."""

    code = "IMPORTS_OFF"


class LeaseLost(Exception):
    """Another worker has the segment now, or nobody wants it any more: stop, and drop what was written."""
