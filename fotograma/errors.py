"""What can go wrong, in one table of codes and one tree of errors.

FotogramaError
├── PlanError (also a ValueError)   the plan can't mean what it says
├── InputError                      the file is no usable video, or holds nothing of what was asked
├── LimitExceeded                   the file asks for more than is allowed
├── DecoderCrashed                  the decoding process died
├── StorageUnavailable              reading the video or writing the frames failed
└── Cancelled                       the caller asked for it
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class Cause(enum.StrEnum):
    """Whose fault a failure is, which decides how often the service tries again."""

    USAGE = "USAGE"
    """The request is wrong. Never tried again."""
    INPUT = "INPUT"
    """The file is. Never tried again."""
    LIMIT = "LIMIT"
    """A limit was hit, and will be again. Never tried again."""
    CRASH = "CRASH"
    """The decoder died: 2 tries in all."""
    INFRA = "INFRA"
    """Storage, database or machine: 10 tries with growing pauses."""
    WARNING = "WARNING"
    """No failure: frames are there, and this is told beside them."""


EXIT_STATUS: Mapping[Cause, int] = MappingProxyType(
    {Cause.WARNING: 0, Cause.CRASH: 1, Cause.INFRA: 1, Cause.USAGE: 2, Cause.INPUT: 3, Cause.LIMIT: 4}
)


@dataclass(frozen=True)
class Code:
    """A row of the table."""

    name: str
    """Stable; programs may compare it."""
    cause: Cause
    sentence: str
    """What happened and what to do, for people."""

    @property
    def exit_status(self) -> int:
        """What the command ends with."""
        return EXIT_STATUS[self.cause]


CODES: Mapping[str, Code] = MappingProxyType(
    {
        code.name: code
        for code in (
            Code("BAD_PLAN", Cause.USAGE, "The plan is not valid; see what is said about it and correct it."),
            Code(
                "NOT_A_VIDEO", Cause.INPUT, "This is not a video file we can read; convert it to MP4 or MKV and retry."
            ),
            Code(
                "NO_VIDEO_STREAM",
                Cause.INPUT,
                "The file has no video stream (sound or a cover picture only); choose a file with pictures that move.",
            ),
            Code("NO_FRAMES", Cause.INPUT, "Not one frame could be decoded; the file is empty or damaged throughout."),
            Code(
                "NOTHING_SELECTED",
                Cause.INPUT,
                "The plan chooses no frame of this video; widen its range or take more frames.",
            ),
            Code("ENCRYPTED", Cause.INPUT, "The video is encrypted; upload one without copy protection."),
            Code(
                "CODEC_NOT_ALLOWED",
                Cause.INPUT,
                "The video's codec is not among those decoded here; convert it to H.264 or ask the operator.",
            ),
            Code("LIMIT_PIXELS", Cause.LIMIT, "The picture is larger than allowed; scale the video down."),
            Code("LIMIT_STREAMS", Cause.LIMIT, "The file has more streams than allowed; keep the video stream only."),
            Code(
                "LIMIT_FRAMES", Cause.LIMIT, "The plan gives more frames than allowed; take fewer or a shorter range."
            ),
            Code(
                "LIMIT_BYTES",
                Cause.LIMIT,
                "The frames are larger than allowed; take fewer, smaller or a lower quality.",
            ),
            Code(
                "LIMIT_TIME", Cause.LIMIT, "Decoding took longer than allowed; take a shorter range or cut the video."
            ),
            Code("LIMIT_MEMORY", Cause.LIMIT, "Decoding needs more memory than allowed; scale the video down."),
            Code("DECODER_CRASHED", Cause.CRASH, "The decoder died on this file; it is probably damaged on purpose."),
            Code(
                "JAIL_INCOMPLETE",
                Cause.INFRA,
                "The decoding process can't be locked in on this machine; `fotograma doctor` says why, and --no-jail"
                " decodes what you trust.",
            ),
            Code(
                "OUTPUT_REFUSED",
                Cause.USAGE,
                "Nothing can be written there; name a file in a folder that is there and that you may write to.",
            ),
            Code(
                "OUTPUT_FULL",
                Cause.INFRA,
                "There is no room left where the frames go; make some or name another place.",
            ),
            Code("STORAGE_UNAVAILABLE", Cause.INFRA, "Files can't be read or written just now; try again later."),
            Code(
                "UPLOAD_CHANGED",
                Cause.INPUT,
                "The bytes in the store are not those that were announced and completed; send the video again.",
            ),
            Code(
                "IMPORT_REFUSED",
                Cause.INPUT,
                "The address gives no file that may be fetched; give one that anybody can download from.",
            ),
            Code(
                "IMPORT_LIMIT",
                Cause.LIMIT,
                "The file at the address is larger than allowed or takes too long to come; upload it instead.",
            ),
            Code(
                "IMPORT_UNREACHABLE",
                Cause.INFRA,
                "The address did not answer or broke off; see that it works, and import it again.",
            ),
            Code(
                "LOST",
                Cause.INFRA,
                "The machines that worked on this video were lost again and again; try again later.",
            ),
            Code("CANCELLED", Cause.USAGE, "The extraction was cancelled."),
            Code("TRUNCATED", Cause.WARNING, "The file ends too early; what could be decoded is there."),
            Code("DAMAGED", Cause.WARNING, "Parts of the video are damaged; what could be decoded is there."),
            Code(
                "MISSING_TIMES",
                Cause.WARNING,
                "Some frames carry no time; theirs was worked out from their neighbours.",
            ),
            Code(
                "BACKWARD_TIMES",
                Cause.WARNING,
                "Some times stand still or run backwards; they were held at the time of the frame before.",
            ),
            Code(
                "PACKETS_WITHOUT_FRAMES",
                Cause.WARNING,
                "Some packets gave no frame; the beginning or parts of the video are missing.",
            ),
            Code("SIZE_CHANGES", Cause.WARNING, "The picture size changes within the video; each frame has its own."),
            Code(
                "PAST_THE_END", Cause.WARNING, "Some of the times asked for lie past the last frame; they gave nothing."
            ),
            Code(
                "TARGETS_CUT", Cause.WARNING, "A frame was on screen at very many targets; only the first are listed."
            ),
        )
    }
)


class FotogramaError(Exception):
    """Something of the table happened: `code` is its row, `detail` what is special here."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = CODES[code]
        self.detail = detail
        super().__init__(f"{code}: {self.sentence}")

    @property
    def sentence(self) -> str:
        """For people: the code's sentence and what is special here."""
        return f"{self.code.sentence} ({self.detail})" if self.detail else self.code.sentence

    @classmethod
    def of(cls, code: str, detail: str = "") -> "FotogramaError":
        """The error whose class fits the code."""
        causes: dict[Cause, type[FotogramaError]] = {
            Cause.INPUT: InputError,
            Cause.LIMIT: LimitExceeded,
            Cause.CRASH: DecoderCrashed,
            Cause.INFRA: StorageUnavailable,
        }
        return causes.get(CODES[code].cause, cls)(code, detail)


class PlanError(FotogramaError, ValueError):
    """The plan can't mean what it says."""

    def __init__(self, detail: str) -> None:
        super().__init__("BAD_PLAN", detail)

    @property
    def sentence(self) -> str:
        """What is wrong with it."""
        return self.detail


class InputError(FotogramaError):
    """The file is no usable video, or holds nothing of what was asked."""


class LimitExceeded(FotogramaError):
    """The file or plan asks for more than is allowed."""


class DecoderCrashed(FotogramaError):
    """The decoding process died."""

    def __init__(self, code: str = "DECODER_CRASHED", detail: str = "") -> None:
        super().__init__(code, detail)


class StorageUnavailable(FotogramaError):
    """Reading the video or writing the frames failed."""

    def __init__(self, code: str = "STORAGE_UNAVAILABLE", detail: str = "") -> None:
        super().__init__(code, detail)


class Cancelled(FotogramaError):
    """The caller asked to stop."""

    def __init__(self) -> None:
        super().__init__("CANCELLED")
