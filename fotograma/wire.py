"""How records cross the wall between the locked child, which decodes, and its parent, which trusts nothing it says.

A record is a kind, a JSON head and any number of blobs, each preceded by its size; sizes beyond the bounds here end the
conversation. Requests are single JSON lines the other way.
"""

import json
import math
import re
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeVar

from fotograma.errors import CODES, Cause
from fotograma.records import LAYERS, Attempted, Facts, Failed, Finished, Locked, Picture, Record, Warned
from fotograma.selection import MOST_TARGETS_LISTED

HEAD_MOST_BYTES = 2**20
BLOB_MOST_BYTES = 2**30
# Of 160 x 160 pixels; noise takes a fifth of it.
THUMBNAIL_MOST_BYTES = 2**17
MEDIA_DEEPEST = 6
MEDIA_MOST_ITEMS = 1100
TEXT_LONGEST = 1000
SCORES = ("sharpness", "brightness", "difference")
T = TypeVar("T")
_PREFIX = struct.Struct("<4sII")
# Room for targets, which are ratios of two decimals.
_FRACTION = re.compile(r"-?\d{1,40}(/[1-9]\d{0,39})?")


class ProtocolError(Exception):
    """The child sent something that is no record."""


def write_record(record: Record, write: Callable[[bytes], object]) -> None:
    """Send a record."""
    head: dict[str, Any]
    blobs: Sequence[bytes] = ()
    match record:
        case Locked():
            kind, head = b"LOCK", {"layers": record.layers}
        case Facts():
            kind = b"FACT"
            head = {
                "media": record.media,
                "engine": record.engine,
                "time_base": str(record.time_base),
                "first_pts": record.first_pts,
            }
            blobs = (record.packet_index,)
        case Picture():
            kind = b"PICT"
            head = {
                "pts": record.pts,
                "index": record.index,
                "key_frame": record.key_frame,
                "width": record.width,
                "height": record.height,
                "targets": [str(target) for target in record.targets],
                "targets_left_out": record.targets_left_out,
                "md5": record.md5,
                "scores": record.scores,
            }
            blobs = (record.data, record.thumbnail)
        case Warned():
            kind, head = b"WARN", {"code": record.code, "detail": record.detail}
        case Attempted():
            kind, head = b"TRYD", {"done": record.done, "detail": record.detail}
        case Failed():
            kind, head = b"FAIL", {"code": record.code, "detail": record.detail}
        case Finished():
            kind, head = b"DONE", {"path": record.path}
    packed = json.dumps(head).encode()
    sizes = struct.pack(f"<{len(blobs)}I", *(len(blob) for blob in blobs))
    write(b"".join((_PREFIX.pack(kind, len(packed), len(blobs)), sizes, packed, *blobs)))


def read_record(read: Callable[[int], bytes]) -> Record:
    """Receive a record; `read(n)` gives exactly n bytes or raises EOFError.

    Raises:
        ProtocolError: what came is none.
        EOFError: the child is gone.
    """
    kind, head_size, blob_count = _PREFIX.unpack(read(_PREFIX.size))
    if head_size > HEAD_MOST_BYTES or blob_count != _BLOBS.get(kind):
        raise ProtocolError("a record of impossible form")
    sizes = struct.unpack(f"<{blob_count}I", read(4 * blob_count))
    if sum(sizes) > BLOB_MOST_BYTES:
        raise ProtocolError("a record of impossible size")
    packed = read(head_size)
    blobs = [read(size) for size in sizes]
    try:
        return _parse(kind, json.loads(packed, parse_constant=_refuse), blobs)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ProtocolError("a record of impossible content") from error


_BLOBS = {b"LOCK": 0, b"FACT": 1, b"PICT": 2, b"WARN": 0, b"TRYD": 0, b"FAIL": 0, b"DONE": 0}


def _parse(kind: bytes, head: dict[str, Any], blobs: list[bytes]) -> Record:
    match kind:
        case b"LOCK":
            return Locked({name: _typed(_harmless(why), str) for name, why in _of(head["layers"], LAYERS).items()})
        case b"FACT":
            return Facts(
                media=_typed(_harmless(head["media"]), dict),
                engine={name: _typed(version, str) for name, version in _harmless(head["engine"]).items()},
                time_base=_fraction(head["time_base"], above=0),
                first_pts=_integer(head["first_pts"], -(2**63), 2**63),
                packet_index=blobs[0],
            )
        case b"PICT":
            return Picture(
                pts=_integer(head["pts"], -(2**63), 2**63),
                index=None if head["index"] is None else _integer(head["index"], 0, 2**48),
                key_frame=_typed(head["key_frame"], bool),
                width=_integer(head["width"], 1, 2**16),
                height=_integer(head["height"], 1, 2**16),
                targets=tuple(_fraction(target, above=-1) for target in _most(head["targets"], MOST_TARGETS_LISTED)),
                targets_left_out=_integer(head["targets_left_out"], 0, 2**63),
                data=blobs[0],
                md5=None if head["md5"] is None else _md5(head["md5"]),
                scores=None if head["scores"] is None else _scores(head["scores"]),
                thumbnail=_small(blobs[1]),
            )
        case b"WARN":
            return Warned(_code(head["code"], warning=True), _typed(_harmless(head["detail"]), str))
        case b"TRYD":
            return Attempted(_typed(head["done"], bool), _typed(_harmless(head["detail"]), str))
        case b"FAIL":
            return Failed(_code(head["code"], warning=False), _typed(_harmless(head["detail"]), str))
        case b"DONE":
            return Finished("linear" if head["path"] == "linear" else "sparse")
    raise ValueError(kind)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _harmless(value: Any, *, depth: int = 0) -> Any:
    """JSON of bounded depth and size, without what a database or a terminal would choke on."""
    if depth > MEDIA_DEEPEST:
        raise ValueError("too deep")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("no text")
        return "".join(letter if letter.isprintable() else " " for letter in value[:TEXT_LONGEST])
    if isinstance(value, list | dict) and len(value) > MEDIA_MOST_ITEMS:
        raise ValueError("too many")
    if isinstance(value, list):
        return [_harmless(item, depth=depth + 1) for item in value]
    if isinstance(value, dict):
        return {_harmless(name): _harmless(item, depth=depth + 1) for name, item in value.items()}
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("too large")
    if isinstance(value, float) and not math.isfinite(value):
        # Written as 1e999, which is JSON, and no number of a database's.
        raise ValueError("infinite")
    return value


def _fraction(value: Any, *, above: int) -> Fraction:
    """Never by `Fraction` alone, which spends years on `1e999999999`."""
    if not isinstance(value, str) or not _FRACTION.fullmatch(value):
        raise ValueError("no fraction")
    fraction = Fraction(value)
    if fraction <= above:
        raise ValueError("out of bounds")
    return fraction


def _most(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("too many")
    return value


def _of(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """An object with these names, in their order, and no others."""
    if not isinstance(value, dict) or set(value) != set(names):
        raise ValueError("other names")
    return {name: value[name] for name in names}


def _scores(value: Any) -> dict[str, float]:
    scores = {}
    for name, score in _of(_harmless(value), SCORES).items():
        if not isinstance(score, int | float):
            raise TypeError(score)
        scores[name] = float(score)
    return scores


def _md5(value: Any) -> str:
    digest = bytes.fromhex(_typed(value, str))
    if len(digest) != 16:
        raise ValueError("no MD5")
    return digest.hex()


def _small(thumbnail: bytes) -> bytes:
    if len(thumbnail) > THUMBNAIL_MOST_BYTES:
        raise ValueError("no thumbnail")
    return thumbnail


def _code(value: Any, *, warning: bool) -> str:
    if not isinstance(value, str) or value not in CODES or (CODES[value].cause is Cause.WARNING) is not warning:
        raise ValueError("no code")
    return value


def _typed(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(kind)
    return value


def _integer(value: Any, least: int, below: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < below:
        raise ValueError(value)
    return value
