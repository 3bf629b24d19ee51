"""Clips that take long to decode, or are large, and take little time to make."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

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


def make_noisy_clip(path: Path, *, seconds: int, faststart: bool = False, sound: bool = True) -> Path:
    """Pictures of noise, 600 KB a second: one GOP of a second, again and again."""
    noise = np.random.default_rng(3).integers(0, 255, (25, 240, 320, 3), dtype=np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"} if faststart else {}) as output:
        options = {"preset": "ultrafast", "crf": "30", "sc_threshold": "0"}
        pictures = output.add_stream("libx264", rate=25, options=options, width=320, height=240, pix_fmt="yuv420p")
        codec = "pcm_s16le" if path.suffix == ".mov" else "aac"
        track = output.add_stream(codec, rate=48_000, layout="mono") if sound else None
        pictures.codec_context.gop_size = 25
        encoded = [
            packet
            for picture in noise
            for packet in pictures.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        ] + pictures.encode(None)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
        silence.sample_rate = 48_000
        first = [(packet.pts, packet.dts) for packet in encoded]
        for second in range(seconds):
            for packet, (pts, dts) in zip(encoded, first, strict=True):
                packet.pts, packet.dts = pts + 25 * second, dts + 25 * second
                packet.time_base = Fraction(1, 25)
                output.mux(packet)
            for block in range(second * 48, second * 48 + 47) if track else ():
                silence.pts = block * 1024
                output.mux(track.encode(silence))
        if track:
            output.mux(track.encode(None))
    return path
