"""What is asked of a probed video, and what is made of each frame that is chosen."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import av

from fotograma.decoders import Decoders
from fotograma.errors import LimitExceeded
from fotograma.limits import Limits
from fotograma.packets import PacketIndex, Timeline
from fotograma.plan import Plan
from fotograma.readers import OffsetReader
from fotograma.records import Facts, Picture
from fotograma.selection import Choice
from fotograma.video import Frame

if TYPE_CHECKING:
    # Loads OpenCV, which most plans don't need.
    from fotograma.looks import Seen


@dataclass
class Probed:
    """What the probe found, and what it keeps to itself for the pictures."""

    facts: Facts
    decoders: Decoders
    first: av.VideoFrame | None
    """The first picture, where it could be decoded from its packets alone, until pictures were asked for."""

    @property
    def index(self) -> PacketIndex:
        """All packets."""
        return self.decoders.index


@dataclass(frozen=True)
class Work:
    """Pictures that are asked of a probed video."""

    reader: OffsetReader
    probed: Probed
    plan: Plan
    limits: Limits
    start_pts: int | None = None
    end_pts: int | None = None
    """Frames with start_pts <= pts < end_pts, of those that the plan chooses of the whole video."""
    thumbnails: bool = False
    raw: bool = False
    """Pictures as rows of red, green, blue bytes instead of files."""

    @property
    def facts(self) -> Facts:
        """What the probe says."""
        return self.probed.facts

    @cached_property
    def timeline(self) -> Timeline:
        """The frames that the packet index lets expect."""
        return self.probed.index.timeline(first_pts=self.facts.first_pts)

    @property
    def looks(self) -> bool:
        """Whether pictures must be looked at before they are written."""
        return self.plan.chooses_by_picture or self.plan.scores

    def holds(self, pts: int) -> bool:
        """Whether a frame of that time belongs to the range."""
        return (self.start_pts is None or self.start_pts <= pts) and (self.end_pts is None or pts < self.end_pts)

    def seconds(self, pts: int) -> Fraction:
        """Time from the first frame."""
        return (pts - self.facts.first_pts) * self.facts.time_base

    def picture(self, frame: Frame, choice: Choice, *, seen: "Seen | None" = None) -> Picture:
        """A chosen frame, encoded."""
        # Here, because numpy may still be loading while the video is opened.
        from fotograma import image

        encoded = image.encode(
            frame.picture,
            self.plan,
            sample_aspect_ratio=Fraction(self.facts.media["sample_aspect_ratio"]),
            raw=self.raw,
        )
        return Picture(
            pts=frame.pts,
            index=frame.index,
            key_frame=frame.key_frame,
            width=encoded.width,
            height=encoded.height,
            targets=choice.targets,
            targets_left_out=choice.targets_left_out,
            data=encoded.data,
            md5=image.checksum(frame.picture) if self.plan.checksums else None,
            scores=seen.scores if seen and self.plan.scores else None,
            thumbnail=image.thumbnail(frame.picture, crop=self.plan.crop) if self.thumbnails else b"",
        )

    def seen(self, frames: "Iterator[Seen]") -> Generator[Picture, None, None]:
        """Those of the frames that their pictures choose, encoded."""
        from fotograma import looks

        for seen in looks.chosen(self.plan, frames):
            yield self.picture(seen.frame, seen.choice, seen=seen)

    def within_limits(self, found: Generator[Picture, None, None]) -> Iterator[Picture]:
        """At most as many as the plan wants, and not more than are allowed."""
        given_bytes = 0
        # Closed here, not when somebody drops the error: threads that still decode must not outlive the video.
        with closing(found):
            for given, picture in enumerate(found):
                given_bytes += len(picture.data)
                if given == self.limits.max_frames:
                    raise LimitExceeded("LIMIT_FRAMES", f"allowed are {self.limits.max_frames}")
                if given_bytes > self.limits.max_bytes:
                    raise LimitExceeded("LIMIT_BYTES", f"allowed are {self.limits.max_bytes} bytes")
                yield picture
                if given + 1 == self.plan.limit:
                    return
