"""What can be wrong with a video."""

from app.errors import Conflict, NotFound, QuotaExceeded, TooLarge


class VideoNotFound(NotFound):
    """There is no such video, or it is not yours."""

    code = "VIDEO_NOT_FOUND"


class VideoTooLarge(TooLarge):
    """The file is larger than is taken here."""

    code = "VIDEO_TOO_LARGE"


class NoRoomLeft(QuotaExceeded):
    """Your videos and archives would take more room than you may use; delete some and try again."""

    code = "QUOTA_EXCEEDED"


class UploadAbandoned(Conflict):
    """The upload took so long that it was given up; send it again."""

    code = "UPLOAD_ABANDONED"
