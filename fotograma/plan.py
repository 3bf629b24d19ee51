"""Plan: which frames to take and how to write them; checked once, spoken by CLI, library, API and page alike."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, Literal, Self, get_args

from fotograma.errors import PlanError
from fotograma.seconds import Seconds, parse_seconds, plain_seconds

ImageFormat = Literal["jpg", "png", "webp", "avif"]

SHORTEST_STEP = Fraction(1, 1000)
MOST_TARGETS = 100_000
LATEST_SECONDS = 10**12


@dataclass(frozen=True)
class Every:
    """The frame on screen at start, start + seconds, start + 2 * seconds..."""

    mode: ClassVar[str] = "every"
    seconds: Seconds

    def __post_init__(self) -> None:
        _check(SHORTEST_STEP <= self.seconds <= 10**9, "`seconds` must be from 0.001 to 1000000000")

    @classmethod
    def fps(cls, rate: Seconds) -> Self:
        """`rate` frames for each second."""
        _check(rate > 0, "`fps` must be larger than 0")
        return cls(1 / rate)


@dataclass(frozen=True)
class EveryNth:
    """Frames 0, n, 2n... in presentation order."""

    mode: ClassVar[str] = "every_nth"
    n: int

    def __post_init__(self) -> None:
        _check(self.n >= 1, "`n` must be at least 1")


@dataclass(frozen=True)
class Count:
    """n frames spread evenly over the range."""

    mode: ClassVar[str] = "count"
    n: int

    def __post_init__(self) -> None:
        _check(1 <= self.n <= MOST_TARGETS, f"`n` must be from 1 to {MOST_TARGETS}")


@dataclass(frozen=True)
class At:
    """The frame on screen at each of these times."""

    mode: ClassVar[str] = "at"
    seconds: tuple[Seconds, ...]

    def __post_init__(self) -> None:
        _check(1 <= len(self.seconds) <= MOST_TARGETS, f"`seconds` must list 1 to {MOST_TARGETS} times")
        _check(min(self.seconds) >= 0, "`seconds` must not be negative")
        object.__setattr__(self, "seconds", tuple(sorted(set(self.seconds))))


@dataclass(frozen=True)
class Keyframes:
    """Each key frame."""

    mode: ClassVar[str] = "keyframes"


@dataclass(frozen=True)
class Scenes:
    """The first frame of each scene."""

    mode: ClassVar[str] = "scenes"
    threshold: Seconds = Fraction(27)
    """Mean absolute HSV difference to the frame before (0 to 255) from which a new scene begins."""

    def __post_init__(self) -> None:
        _check(0 < self.threshold <= 255, "`threshold` must be above 0 and at most 255")


@dataclass(frozen=True)
class Best:
    """The sharpest frame of each interval of that length."""

    mode: ClassVar[str] = "best"
    seconds: Seconds

    def __post_init__(self) -> None:
        _check(SHORTEST_STEP <= self.seconds <= 10**9, "`seconds` must be from 0.001 to 1000000000")


@dataclass(frozen=True)
class All:
    """Each frame."""

    mode: ClassVar[str] = "all"


Mode = Every | EveryNth | Count | At | Keyframes | Scenes | Best | All
MODES: Mapping[str, type[Mode]] = {mode.mode: mode for mode in get_args(Mode)}


@dataclass(frozen=True)
class Crop:
    """A rectangle of the upright picture, in its pixels, taken before any scaling."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        _check(min(self.x, self.y) >= 0 and min(self.width, self.height) >= 1, "`crop` must be x, y, width, height")


@dataclass(frozen=True)
class Plan:
    """Which frames to take and how to write them."""

    mode: Mode
    start: Seconds = Fraction(0)
    """Seconds from the first frame: targets begin here (what is on screen then may have begun before), and so do the
    frames of the modes without targets."""
    end: Seconds | None = None
    """Targets and frames lie before this time."""
    limit: int | None = None
    """At most so many frames, the first ones."""
    dedupe: int | None = None
    """Drop a frame whose 64-bit dHash differs in fewer bits than this from the last kept one."""
    snap: Literal["exact", "keyframe"] = "exact"
    """`keyframe`: the nearest key frame instead of the exact one; its own time is told."""
    stream: int | None = None
    """Index of the stream in the file; none: the first video stream that is no attached picture."""
    format: ImageFormat = "jpg"
    quality: int = 90
    """1 to 100; means nothing to PNG."""
    width: int | None = None
    height: int | None = None
    """The picture is scaled to fit, its aspect kept."""
    crop: Crop | None = None
    square_pixels: bool = False
    """Stretch pictures whose pixels are not square."""
    tone_map: bool = True
    """Bring PQ and HLG to BT.709 for 8-bit formats; false keeps their values as they are."""
    checksums: bool = False
    """Tell the MD5 of each decoded picture."""
    scores: bool = False
    """Tell sharpness, brightness and the difference to the frame before."""

    def __post_init__(self) -> None:
        _check(self.start >= 0, "`start` must not be negative")
        _check(self.end is None or self.end > self.start, "`end` must lie after `start`")
        _check(self.limit is None or self.limit >= 1, "`limit` must be at least 1")
        _check(self.dedupe is None or 1 <= self.dedupe <= 64, "`dedupe` must be from 1 to 64")
        _check(self.snap in ("exact", "keyframe"), "`snap` must be exact or keyframe")
        _check(self.stream is None or 0 <= self.stream < 1000, "`stream` must be the index of a stream")
        _check(self.format in get_args(ImageFormat), f"`format` must be one of {', '.join(get_args(ImageFormat))}")
        _check(1 <= self.quality <= 100, "`quality` must be from 1 to 100")
        for side in ("width", "height"):
            value = getattr(self, side)
            _check(value is None or 1 <= value <= 16_384, f"`{side}` must be from 1 to 16384")

    @property
    def chooses_by_picture(self) -> bool:
        """Whether times alone don't tell what is chosen."""
        return self.dedupe is not None or isinstance(self.mode, Scenes | Best)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The plan of a JSON object, e.g. `{"mode": "every", "seconds": 2, "format": "png"}`.

        Raises:
            PlanError: something in it is unknown, missing or out of bounds.
        """
        if not isinstance(values, Mapping):
            raise PlanError('a plan is a JSON object such as {"mode": "every", "seconds": 2}')
        rest = dict(values)
        name = rest.pop("mode", None)
        if not isinstance(name, str) or name not in MODES:
            raise PlanError(f"`mode` must be one of {', '.join(MODES)}")
        mode: Mode
        if name == "every" and "fps" in rest:
            _check("seconds" not in rest, "give `seconds` or `fps`, not both")
            mode = Every.fps(_number(rest.pop("fps"), name="fps"))
        else:
            mode = _from_fields(MODES[name], rest)
        plan: Self = _from_fields(cls, rest, mode=mode)
        if rest:
            raise PlanError(f"a plan of mode {name} has no field `{sorted(rest)[0]}`")
        return plan

    def to_json(self) -> dict[str, Any]:
        """The JSON object that makes this plan again; what has its default is left out."""
        values: dict[str, Any] = {"mode": self.mode.mode}
        if isinstance(self.mode, Every) and isinstance(plain_seconds(self.mode.seconds), str):
            values["fps"] = plain_seconds(1 / self.mode.seconds)
        else:
            values |= {item.name: _plain(getattr(self.mode, item.name)) for item in fields(self.mode)}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name != "mode" and value != item.default:
                values[item.name] = _plain(value)
        return values


def _check(holds: bool, detail: str) -> None:
    if not holds:
        raise PlanError(detail)


def _from_fields(kind: type[Any], values: dict[str, Any], **given: Any) -> Any:
    """Take the fields of `kind` out of `values` and make one."""
    for item in fields(kind):
        if item.name in given:
            continue
        value = values.pop(item.name, None)
        if value is not None:
            parse = _times if kind is At else _PARSERS[item.name]
            given[item.name] = parse(value, item.name)
        elif item.default is MISSING:
            raise PlanError(f"`{item.name}` is missing")
    return kind(**given)


def _seconds(value: Any, name: str) -> Seconds:
    if isinstance(value, str):
        return parse_seconds(value)
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if not is_number or not -LATEST_SECONDS < value < LATEST_SECONDS:
        raise PlanError(f"`{name}` must be a number of seconds")
    # A float's shortest spelling is the decimal its writer meant: 0.7 is 7/10.
    return Fraction(str(value))


def _number(value: Any, name: str) -> Fraction:
    """As exact as a time, and none."""
    try:
        return _seconds(value, name)
    except PlanError:
        raise PlanError(f"`{name}` must be a number such as 25, 0.5 or 30000/1001") from None


def _times(value: Any, name: str) -> tuple[Seconds, ...]:
    if not isinstance(value, list):
        raise PlanError(f"`{name}` must be a list of times")
    return tuple(_seconds(item, name) for item in value)


def _integer(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise PlanError(f"`{name}` must be a whole number")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise PlanError(f"`{name}` must be a text")
    return value


def _switch(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise PlanError(f"`{name}` must be true or false")
    return value


def _crop(value: Any, name: str) -> Crop:
    if not isinstance(value, list) or len(value) != 4:
        raise PlanError(f"`{name}` must be [x, y, width, height]")
    return Crop(*(_integer(item, name) for item in value))


_PARSERS: Mapping[str, Callable[[Any, str], Any]] = {
    "seconds": _seconds,
    "threshold": _number,
    "start": _seconds,
    "end": _seconds,
    "n": _integer,
    "limit": _integer,
    "dedupe": _integer,
    "stream": _integer,
    "quality": _integer,
    "width": _integer,
    "height": _integer,
    "snap": _text,
    "format": _text,
    "crop": _crop,
    "square_pixels": _switch,
    "tone_map": _switch,
    "checksums": _switch,
    "scores": _switch,
}


def _plain(value: Any) -> Any:
    """The value in JSON's words."""
    if isinstance(value, Fraction):
        return plain_seconds(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Crop):
        return [value.x, value.y, value.width, value.height]
    return value
