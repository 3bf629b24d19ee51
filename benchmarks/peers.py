"""What people use instead, each written as one would write it to be fast and right, and run as a process of its own:
python -m benchmarks.peers PEER WORK VIDEO ZIP

A work is `all`, `keyframes`, or `2s` for one frame each two seconds. Entries of the ZIP are named by the frame's time.
"""

import importlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

QUALITY = 90
# On FFmpeg's own scale: files nearest in size to those of 90.
FFMPEG_QUALITY = 2
# From here on a seek for each frame is cheaper than to decode all between.
SEEK_FROM_SECONDS = 5
MICROSECOND = 1e-6

Pictures = Iterator[tuple[float, bytes]]
"""Time in seconds and JPEG."""


def interval(work: str) -> float | None:
    """Seconds between frames; none where the work is no interval."""
    return float(work[:-1]) if work.endswith("s") and work[0].isdigit() else None


def ffmpeg_select(video: Path, work: str) -> Pictures:
    """The command, by who knows it: `select`, a seek for each frame, or key frames only."""
    seconds = interval(work)
    if seconds is not None and seconds >= SEEK_FROM_SECONDS:
        return _ffmpeg_seeks(video, seconds)
    if work == "keyframes":
        return _ffmpeg(video, "select=key", "-skip_frame", "nokey")
    if seconds is None:
        return _ffmpeg(video, "null")
    return _ffmpeg(video, f"select='isnan(prev_selected_t)+gt(floor(t/{seconds}),floor(prev_selected_t/{seconds}))'")


def ffmpeg_fps(video: Path, work: str) -> Pictures:
    """The command as most pages show it."""
    return _ffmpeg(video, f"fps=1/{interval(work)}")


def _ffmpeg(video: Path, filters: str, *before: str) -> Pictures:
    with tempfile.TemporaryDirectory(dir=video.parent) as folder:
        command = ["ffmpeg", "-v", "error", "-nostdin", *before, "-i", str(video), "-map", "0:v:0"]
        command += ["-vf", f"{filters},settb=1/1000000", "-fps_mode", "passthrough", "-enc_time_base", "1:1000000"]
        command += ["-q:v", str(FFMPEG_QUALITY), "-frame_pts", "1", f"{folder}/%015d.jpg"]
        subprocess.run(command, check=True)
        for path in sorted(Path(folder).iterdir()):
            yield int(path.stem) * MICROSECOND, path.read_bytes()


def _ffmpeg_seeks(video: Path, seconds: float) -> Pictures:
    show = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(video)]
    duration = float(subprocess.run(show, check=True, capture_output=True, text=True).stdout)
    number = 0
    while number * seconds < duration:
        command = ["ffmpeg", "-v", "error", "-nostdin", "-ss", str(number * seconds), "-i", str(video), "-map", "0:v:0"]
        command += ["-frames:v", "1", "-q:v", str(FFMPEG_QUALITY), "-f", "image2pipe", "-c:v", "mjpeg", "-"]
        yield number * seconds, subprocess.run(command, check=True, capture_output=True).stdout
        number += 1


def opencv_read(video: Path, work: str) -> Pictures:
    """The loop that every tutorial has."""
    import cv2

    capture = cv2.VideoCapture(str(video))
    rate = capture.get(cv2.CAP_PROP_FPS)
    step = round(rate * (interval(work) or 0)) or 1
    number = 0
    while True:
        good, picture = capture.read()
        if not good:
            return
        if number % step == 0:
            yield number / rate, _opencv_jpeg(cv2, picture)
        number += 1


def opencv_grab(video: Path, work: str) -> Pictures:
    """The same loop, which converts only what it keeps."""
    import cv2

    capture = cv2.VideoCapture(str(video))
    rate = capture.get(cv2.CAP_PROP_FPS)
    step = round(rate * (interval(work) or 0)) or 1
    number = 0
    while capture.grab():
        if number % step == 0:
            yield number / rate, _opencv_jpeg(cv2, capture.retrieve()[1])
        number += 1


def _opencv_jpeg(cv2: Any, picture: Any) -> bytes:
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])


def decord(video: Path, work: str) -> Pictures:
    """decord, which knows where the key frames are."""
    import decord as library

    reader = library.VideoReader(str(video), num_threads=0)
    first = reader.get_frame_timestamp(0)[0]
    if work == "keyframes":
        numbers = reader.get_key_indices()
    else:
        numbers = range(0, len(reader), round(reader.get_avg_fps() * (interval(work) or 0)) or 1)
    for number in numbers:
        yield float(reader.get_frame_timestamp(number)[0] - first), _rgb_jpeg(reader[number].asnumpy())


def torchcodec(video: Path, work: str) -> Pictures:
    """TorchCodec, frame after frame in order."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(video), dimension_order="NHWC", num_ffmpeg_threads=0)
    begin = decoder.metadata.begin_stream_seconds or 0
    seconds = interval(work)
    if seconds is None:
        frames = (decoder.get_frame_at(number) for number in range(len(decoder)))
    else:
        many = range(int((decoder.metadata.end_stream_seconds - begin - MICROSECOND) // seconds) + 1)
        frames = (decoder.get_frame_played_at(begin + number * seconds) for number in many)
    for frame in frames:
        yield frame.pts_seconds - begin, _rgb_jpeg(frame.data.numpy())


def pyav(video: Path, work: str) -> Pictures:
    """PyAV with its frame threads switched on."""
    import av

    seconds = interval(work)
    with av.open(video) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        if work == "keyframes":
            stream.codec_context.skip_frame = "NONKEY"
        begin, following = None, 0.0
        for frame in container.decode(stream):
            if work == "keyframes" and not frame.key_frame:
                continue  # Some decoders don't skip.
            begin = frame.time if begin is None else begin
            time = frame.time - begin
            if seconds is None or time >= following - MICROSECOND:
                following += seconds or 0
                yield time, _rgb_jpeg(frame.to_ndarray(format="rgb24"))


def _rgb_jpeg(pixels: Any) -> bytes:
    import simplejpeg

    return bytes(simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorspace="RGB", colorsubsampling="420"))


Peer = Callable[[Path, str], Pictures]
PEERS: dict[str, Peer] = {
    "ffmpeg select": ffmpeg_select,
    "ffmpeg fps": ffmpeg_fps,
    "OpenCV read": opencv_read,
    "OpenCV grab": opencv_grab,
    "decord": decord,
    "TorchCodec": torchcodec,
    "PyAV": pyav,
}
MODULES = {"decord": "decord", "TorchCodec": "torchcodec"}
# What has no way to take key frames alone, or none that is public.
NO_KEY_FRAMES = {"ffmpeg fps", "OpenCV read", "OpenCV grab", "TorchCodec"}


def can(peer: str, work: str) -> bool:
    """Whether the peer knows this kind of work."""
    return not (work == "keyframes" and peer in NO_KEY_FRAMES) and not (work == "all" and peer == "ffmpeg fps")


def is_here(peer: str) -> bool:
    """Whether the peer is installed."""
    if peer.startswith("ffmpeg"):
        import shutil

        return shutil.which("ffmpeg") is not None
    try:
        importlib.import_module(MODULES.get(peer, "av"))
    except (ImportError, OSError, RuntimeError):
        # Bindings without the libraries they bind to raise what they like.
        return False
    return True


def main() -> None:
    """Take the frames and write the ZIP."""
    peer, work, video, output = sys.argv[1:]
    with zipfile.ZipFile(output, "w") as archive:
        for time, data in PEERS[peer](Path(video), work):
            archive.writestr(f"{time:.6f}.jpg", data)


if __name__ == "__main__":
    main()
