"""What can be wrong with a video."""

from app.errors import Conflict, Forbidden, Gone, Locked, Mangled, NotFound, QuotaExceeded, TooLarge


class VideoNotFound(NotFound):
    """There is no such video, or it is not yours."""

    code = "VIDEO_NOT_FOUND"


class VideoTooLarge(TooLarge):
    """The file is larger than is taken here."""

    code = "VIDEO_TOO_LARGE"


class NoRoomLeft(QuotaExceeded):
    """Your videos and archives would take more room than you may use; delete some and try again."""

    code = "QUOTA_EXCEEDED"


class TooManyVideos(QuotaExceeded):
    """You have as many videos as you may keep; delete some and try again."""

    code = "TOO_MANY_VIDEOS"


class UploadAbandoned(Conflict):
    """The upload took so long that it was given up; send it again."""

    code = "UPLOAD_ABANDONED"


class UploadNotFound(NotFound):
    """There is no such upload, or it is not yours; begin a new one."""

    code = "UPLOAD_NOT_FOUND"


class UploadExpired(Gone):
    """The upload was not gone on with for too long; begin a new one."""

    code = "UPLOAD_EXPIRED"


class UploadLocked(Locked):
    """Another request is sending to this upload; try again in a few seconds."""

    code = "UPLOAD_LOCKED"


class UploadFinished(Conflict):
    """The upload is a video already; delete that instead."""

    code = "UPLOAD_FINISHED"


class DirectUploadOff(Forbidden):
    """Videos can't be sent straight to the store here; send yours to /uploads/ (tus)."""

    code = "DIRECT_UPLOAD_OFF"


class DirectUploadTooLarge(TooLarge):
    """The store takes no file of this size in one request; send it to /uploads/ (tus)."""

    code = "DIRECT_UPLOAD_TOO_LARGE"


class UploadIncomplete(Conflict):
    """The store does not hold all of the upload; finish sending it, then complete it again."""

    code = "UPLOAD_INCOMPLETE"


class OffsetMismatch(Conflict):
    """The upload does not stand at this offset; ask where it stands with HEAD, and go on from there."""

    code = "OFFSET_MISMATCH"


class ChecksumMismatch(Mangled):
    """The bytes are not those of the checksum, and were dropped; send them again."""

    code = "CHECKSUM_MISMATCH"
