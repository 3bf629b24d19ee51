"""Where the built page lies, and what its builder says of it while it isn't there."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

INDEX = "index.html"


@dataclass(frozen=True)
class PageState:
    """Whether the page is there."""

    status: Literal["ready", "building", "failed", "missing"]
    detail: str | None = None
    """Why it isn't, in one sentence."""


def state(folder: Path) -> PageState:
    """How far the page of this folder is. A page that is there counts, whatever was said before."""
    if (folder / INDEX).is_file():
        return PageState("ready")
    try:
        return PageState(**json.loads(_note(folder).read_text()))
    except FileNotFoundError:
        return PageState("missing")


def say(folder: Path, state: PageState) -> None:
    """Tell those who serve this folder how far its page is."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = _note(folder).with_suffix(".new")
    new.write_text(json.dumps(asdict(state)))
    new.replace(_note(folder))


def _note(folder: Path) -> Path:
    """Beside the folder, which is there only once it is complete."""
    return folder.with_name(f"{folder.name}.state")
