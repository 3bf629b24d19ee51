"""How videos and extractions look to their owner."""

import enum
from dataclasses import dataclass

from app.extractions.models import Extraction, Status
from app.videos.models import Video


class VideoStatus(enum.StrEnum):
    """That of the newest extraction; without one, what the probe says."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    READY = "READY"
    """Probed, and nothing was asked yet."""


@dataclass(frozen=True)
class Progress:
    """How far an extraction is."""

    frames_done: int = 0
    frames_total: int | None = None
    """Known once the video is probed."""
    fraction: float = 0.0
    """1 only when it is COMPLETED."""
    seconds_left: float | None = None
    """None where it is not known."""


@dataclass(frozen=True)
class Failure:
    """Why there are no frames."""

    code: str
    message: str


@dataclass(frozen=True)
class ExtractionState:
    """An extraction as its owner sees it."""

    extraction: Extraction
    video: Video
    frames_done: int
    """By its segments."""
    seconds_left: float | None = None

    @property
    def progress(self) -> Progress:
        """How far it is; never more done than there is, and never less than was told before."""
        total = self.extraction.frames_total
        if self.extraction.status == Status.COMPLETED:
            # A damaged video may give fewer than its index promised, and than its parts had given one by one.
            done = max(self.frames_done, self.extraction.frames or 0)
            return Progress(frames_done=done if total is None else min(done, total), frames_total=total, fraction=1.0)
        if not total:
            return Progress(frames_done=self.frames_done, frames_total=total)
        done = min(self.frames_done, total)
        return Progress(
            frames_done=done,
            frames_total=total,
            fraction=min(done / total, 0.99),
            seconds_left=self.seconds_left,
        )

    @property
    def error(self) -> Failure | None:
        """Why it FAILED."""
        return _failure(self.extraction)


@dataclass(frozen=True)
class VideoState:
    """A video with its newest extraction, as its owner sees both."""

    video: Video
    newest: ExtractionState | None

    @property
    def status(self) -> VideoStatus:
        """One word for both."""
        if self.newest is not None:
            return VideoStatus(self.newest.extraction.status)
        if self.video.error_code is not None:
            return VideoStatus.FAILED
        return VideoStatus.PENDING if self.video.probed_at is None else VideoStatus.READY

    @property
    def progress(self) -> Progress:
        """How far the newest extraction is."""
        return Progress() if self.newest is None else self.newest.progress

    @property
    def error(self) -> Failure | None:
        """Why it is FAILED."""
        return _failure(self.video) if self.newest is None else self.newest.error


def _failure(failed: Video | Extraction) -> Failure | None:
    return None if failed.error_code is None else Failure(code=failed.error_code, message=failed.error_message or "")
