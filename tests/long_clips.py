"""Clips that take long to decode and little time to make."""

from fractions import Fraction
from pathlib import Path

import av

from tests.clips import Clip, draw_clip


def make_long_clip(path: Path, *, frames: int) -> Clip:
    """50 drawn pictures of 1280 x 720, over and over: picture n carries the number n % 50."""
    short = draw_clip(path.with_name(f"short-{path.name}"), frames=50, size=(1280, 720), gop=25, b_frames=0)
    with av.open(str(short.path)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(source.streams.video[0]) if packet.size]
        round_ticks = round(Fraction(50, 25) / packets[0].time_base)
        for packet in packets:
            packet.stream = stream
        first = [packet.pts for packet in packets]
        for number in range(frames):
            turn, place = divmod(number, 50)
            packet = packets[place]
            packet.pts = packet.dts = first[place] + turn * round_ticks
            target.mux(packet)
    return Clip(path, tuple(Fraction(number, 25) for number in range(frames)))
