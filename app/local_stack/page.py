"""The page, built from its sources in `web/`: once for each state of them, and kept."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from app import page_folder
from app.local_stack.errors import StackError
from app.local_stack.processes import PROJECT, Part
from app.page_folder import PageState

WEB = PROJECT / "web"
# What is made of the sources, and is none of them.
MADE = frozenset({"node_modules", "dist"})
LIBRARIES = "node_modules"
LOCK = "package-lock.json"

# The npm and Node of the wheel, which `uv.lock` names: they come first on the path of every part.
INSTALL = ("npm", "ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
BUILD = ("npm", "run", "build")
NPM_ENVIRONMENT = {
    # It would leave out what builds the page.
    "NODE_ENV": "",
    "npm_config_update_notifier": "false",
    # By itself npm waits for a minute and a half before it says that there is no network.
    "npm_config_fetch_retry_mintimeout": "1000",
    "npm_config_fetch_retry_maxtimeout": "5000",
}
NOT_FETCHED = "`npm ci` could not fetch its libraries: is there a network, and does npm know of its proxy?"


def folder_for(pages: Path, *, web: Path = WEB) -> Path:
    """Where in this folder the page of the present sources lies, built or not."""
    digest = hashlib.sha256()
    for file in _sources(web):
        content = (web / file).read_bytes()
        digest.update(f"{file}\0{len(content)}\0".encode() + content)
    return pages / digest.hexdigest()[:16]


def build(folder: Path, *, run: Callable[[Part], None], web: Path = WEB) -> None:
    """Build the page that is missing in a folder of `folder_for`, in a room beside it, and tell how that goes; raises
    `StackError` where it can't be built. Whatever breaks off, the folder is there complete or not at all."""
    room = folder.parent / "room"
    page_folder.say(folder, PageState("building"))
    try:
        _lay_sources(room, web=web)
        if not _is_installed(room):
            _try(run, _npm("Page libraries", room, INSTALL), NOT_FETCHED)
            # npm makes none where nothing is needed.
            (room / LIBRARIES).mkdir(exist_ok=True)
            shutil.copy(room / LOCK, room / LIBRARIES / LOCK)
        _try(run, _npm("Page", room, BUILD), "`npm run build` went wrong")
        (room / "dist").rename(folder)
    except StackError as error:
        page_folder.say(folder, PageState("failed", str(error)))
        raise
    _remove_others(folder)


def _sources(web: Path) -> Iterator[Path]:
    """Files that the page is built from, by their paths in `web`."""
    for parent, folders, files in os.walk(web):
        folders[:] = sorted(set(folders) - MADE)
        yield from (Path(parent, file).relative_to(web) for file in sorted(files))


def _lay_sources(room: Path, *, web: Path) -> None:
    """Copy the sources: they may be another owner's, and what is built of them elsewhere is none of our business. The
    libraries stay from one build to the next."""
    room.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in room.iterdir():
        if path.name != LIBRARIES:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for file in _sources(web):
        (room / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(web / file, room / file)


def _is_installed(room: Path) -> bool:
    kept = room / LIBRARIES / LOCK
    return kept.exists() and kept.read_bytes() == (room / LOCK).read_bytes()


def _npm(name: str, room: Path, command: tuple[str, ...]) -> Part:
    return Part(
        name=name,
        command=[command[0], "--prefix", str(room), *command[1:]],
        is_healthy=lambda _: True,
        environment=NPM_ENVIRONMENT,
    )


def _try(run: Callable[[Part], None], part: Part, what_went_wrong: str) -> None:
    try:
        run(part)
    except StackError:
        # What it said last tells paths of this machine, and this is for everybody.
        raise StackError(what_went_wrong) from None


def _remove_others(folder: Path) -> None:
    """The builds of former sources."""
    for path in folder.parent.iterdir():
        if path.name not in (folder.name, "room"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
