"""Whether this machine can do the work."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fotograma.errors import FotogramaError
from fotograma.jail import Jail
from fotograma.limits import Limits
from fotograma.trial import Trial, try_out


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def examine() -> list[Finding]:
    """Look at all there is to look at."""
    return [
        Finding("python", sys.version_info >= (3, 11), platform.python_version()),
        Finding("system", sys.platform in ("linux", "darwin"), f"{platform.system()} {platform.machine()}"),
        *(Finding(name, True, metadata.version(name)) for name in ("av", "numpy", "opencv-python-headless")),
        Finding("processors", True, str(os.cpu_count())),
        _decoding_process(),
        *(
            Finding(f"jail: {trial.name}", trial.holds or not trial.mandatory, _told(trial))
            for trial in try_out(Limits())
        ),
    ]


def _told(trial: Trial) -> str:
    return trial.detail if trial.holds or trial.mandatory else f"{trial.detail} (not needed)"


def _decoding_process() -> Finding:
    """The child starts, locks itself in and answers: an empty file is no video, and it says so."""
    with Path(os.devnull).open("rb") as empty:
        try:
            with Jail(empty.fileno(), limits=Limits(wall_seconds=30), required=False) as jail:
                jail.probe()
        except FotogramaError as error:
            holds = error.code.name == "NOT_A_VIDEO"
            return Finding("decoding process", holds, "starts and answers" if holds else error.code.name)
    return Finding("decoding process", False, "it took nothing for a video")
