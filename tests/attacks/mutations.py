"""Clips of many containers and codecs, and what chance makes of them: the same for the same number."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.attacks.bombs import gif
from tests.clips import draw_clip

Mutation = Callable[[bytearray, random.Random], None]
# Small, so that a flipped byte hits something, and of all that is often met.
SEEDS: Mapping[str, Mapping[str, Any]] = {
    "h264.mp4": {},
    "h264-index-first.mp4": {"container_options": {"movflags": "faststart"}},
    "h264-fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}, "gop": 4},
    "h264-sound.mov": {"audio": True, "rotation": 90},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.flv": {},
    "h264.h264": {},
    "h264-deep.mp4": {"pixel_format": "yuv422p10le"},
    "hevc.mp4": {"codec": "libx265"},
    "hevc.ts": {"codec": "libx265"},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp9.ivf": {"codec": "libvpx-vp9"},
    "av1.mp4": {"codec": "libsvtav1"},
    "av1.mkv": {"codec": "libsvtav1"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg4.3gp": {"codec": "mpeg4", "size": (176, 144)},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "mpeg2.mxf": {"codec": "mpeg2video", "b_frames": 0},
    "mpeg1.mpg": {"codec": "mpeg1video"},
    "mjpeg.avi": {"codec": "mjpeg"},
    "prores.mov": {"codec": "prores_ks"},
    "dnxhd.mov": {"codec": "dnxhd", "pixel_format": "yuv422p", "size": (640, 360), "options": {"profile": "dnxhr_lb"}},
    "ffv1.mkv": {"codec": "ffv1"},
    "huffyuv.avi": {"codec": "huffyuv"},
    "gif.gif": {"codec": "gif"},
    "apng.apng": {"codec": "apng"},
    "png.mov": {"codec": "png", "pixel_format": "rgb24"},
    "qtrle.mov": {"codec": "qtrle", "pixel_format": "rgb24"},
    "raw.avi": {"codec": "rawvideo", "frames": 3},
    "raw.nut": {"codec": "rawvideo", "frames": 3},
    "wmv1.wmv": {"codec": "wmv1"},
    "wmv2.asf": {"codec": "wmv2"},
    "msmpeg4.avi": {"codec": "msmpeg4"},
    "flv1.flv": {"codec": "flv"},
    "h263.3gp": {"codec": "h263", "size": (176, 144)},
    "rv20.rm": {"codec": "rv20"},
    "svq1.mov": {"codec": "svq1", "pixel_format": "yuv410p"},
    "cineform.mov": {"codec": "cfhd", "pixel_format": "yuv422p10le"},
}
# What parsers count with, and what they count too far with.
NUMBERS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0", b"\0\0\0\1", b"\xff\xff\xff\x7f")


def draw_seeds(folder: Path) -> dict[str, bytes]:
    """All clips before anything is done to them."""
    drawn = {}
    for name, how in SEEDS.items():
        draw_clip(folder / name, **{"frames": 12, "gop": 6, "size": (96, 64)} | dict(how))
        drawn[name] = (folder / name).read_bytes()
    return drawn | {"dots.gif": gif(32, 32, pictures=12)}


def mutate(seeds: Mapping[str, bytes], number: int) -> tuple[str, bytes]:
    """The mutated file of this number, and a name that tells what was done."""
    dice = random.Random(number)
    name = dice.choice(sorted(seeds))
    data = bytearray(seeds[name])
    done: list[str] = []
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        mutation = dice.choice(MUTATIONS)
        if mutation is _splice:
            _splice(data, dice, seeds)
        else:
            mutation(data, dice)
        done.append(mutation.__name__.strip("_"))
    return f"{number}-{'-'.join(done)}-{name}", bytes(data)


def _place(data: Sequence[int], dice: random.Random) -> int:
    """Somewhere; half of the time in the head or the tail, where most of what is parsed lies."""
    near = min(len(data), 1500)
    return dice.choice((dice.randrange(len(data)), dice.randrange(near), len(data) - 1 - dice.randrange(near)))


def _flip_bits(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 3, 10, 100))):
        data[_place(data, dice)] ^= 1 << dice.randrange(8)


def _replace_bytes(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 3, 10, 100))):
        data[_place(data, dice)] = dice.randrange(256)


def _write_numbers(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 2, 5))):
        place = _place(data, dice)
        data[place : place + 4] = dice.choice(NUMBERS)


def _truncate(data: bytearray, dice: random.Random) -> None:
    del data[max(1, _place(data, dice)) :]


def _remove(data: bytearray, dice: random.Random) -> None:
    place = _place(data, dice)
    del data[max(1, place) : place + 1 + dice.randrange(64)]


def _repeat(data: bytearray, dice: random.Random) -> None:
    place = _place(data, dice)
    piece = data[place : place + 1 + dice.randrange(200)]
    data[place:place] = piece * dice.choice((1, 2, 50))


def _blank(data: bytearray, dice: random.Random) -> None:
    place = _place(data, dice)
    length = min(len(data) - place, 1 + dice.randrange(500))
    data[place : place + length] = bytes([dice.choice((0, 255))]) * length


def _insert_noise(data: bytearray, dice: random.Random) -> None:
    place = _place(data, dice)
    data[place:place] = dice.randbytes(1 + dice.randrange(300))


def _splice(data: bytearray, dice: random.Random, seeds: Mapping[str, bytes]) -> None:
    other = seeds[dice.choice(sorted(seeds))]
    data[_place(data, dice) :] = other[_place(other, dice) :]
    data += other[:1]


MUTATIONS: tuple[Callable[..., None], ...] = (
    _flip_bits,
    _replace_bytes,
    _write_numbers,
    _truncate,
    _remove,
    _repeat,
    _blank,
    _insert_noise,
    _splice,
)
