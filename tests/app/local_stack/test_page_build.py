"""The page as `main.py` builds it. Node and npm are real; what they do is one line, so that it takes no minute."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app import page_folder
from app.local_stack import page
from app.local_stack.errors import StackError
from app.local_stack.processes import Part, Process
from app.page_folder import PageState

BUILD = (
    "const fs = require('fs'); fs.mkdirSync('dist');"
    "fs.writeFileSync('dist/index.html', fs.readFileSync('words.txt') + process.version)"
)


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """Sources without libraries."""
    web = tmp_path / "web"
    (web / "src").mkdir(parents=True)
    (web / "words.txt").write_text("hello ")
    (web / "build.cjs").write_text(BUILD)
    facts = {"name": "page", "version": "1.0.0"}
    (web / "package.json").write_text(json.dumps({**facts, "scripts": {"build": "node build.cjs"}}))
    lock = {**facts, "lockfileVersion": 3, "requires": True, "packages": {"": facts}}
    (web / "package-lock.json").write_text(json.dumps(lock))
    return web


@pytest.fixture
def ran() -> list[str]:
    """What has been run."""
    return []


@pytest.fixture
def build(web: Path, tmp_path: Path, ran: list[str]) -> Callable[[], Path]:
    """`build()`: the folder of the page that is there then."""

    def run(part: Part) -> None:
        ran.append(part.name)
        Process(part, log=tmp_path / "log").wait_until_done()

    def build() -> Path:
        folder = page.folder_for(tmp_path / "pages", web=web)
        if page_folder.state(folder) != PageState("ready"):
            page.build(folder, run=run, web=web)
        return folder

    return build


def test_a_page_is_built_once_for_each_state_of_its_sources(build: Callable[[], Path], web: Path, ran: list[str]):
    first = build()
    assert (first / "index.html").read_text().startswith("hello v")
    assert build() == first
    assert ran == ["Page libraries", "Page"]

    # What is made of the sources is none of them.
    (web / "node_modules").mkdir()
    assert build() == first

    (web / "words.txt").write_text("welcome ")
    second = build()
    assert (second / "index.html").read_text().startswith("welcome v")
    assert ran == ["Page libraries", "Page", "Page"]
    assert not first.exists()

    lock = web / "package-lock.json"
    lock.write_text(lock.read_text() + "\n")
    build()
    assert ran[3:] == ["Page libraries", "Page"]


def test_a_page_that_can_not_be_built_is_told_and_tried_again(build: Callable[[], Path], web: Path, tmp_path: Path):
    (web / "build.cjs").write_text("throw new Error('no paper left')")
    with pytest.raises(StackError, match="`npm run build` went wrong"):
        build()
    broken = page.folder_for(tmp_path / "pages", web=web)

    assert page_folder.state(broken) == PageState("failed", "`npm run build` went wrong")
    assert "no paper left" in (tmp_path / "log").read_text()

    (web / "build.cjs").write_text(BUILD)
    assert page_folder.state(build()) == PageState("ready")


def test_without_a_network_that_is_told(
    build: Callable[[], Path], web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    lock = json.loads((web / "package-lock.json").read_text())
    lock["packages"][""]["dependencies"] = {"far-away": "1.0.0"}
    # Nobody listens there.
    lock["packages"]["node_modules/far-away"] = {
        "version": "1.0.0",
        "resolved": "http://127.0.0.1:9/far-away-1.0.0.tgz",
    }
    (web / "package-lock.json").write_text(json.dumps(lock))
    facts = json.loads((web / "package.json").read_text())
    (web / "package.json").write_text(json.dumps({**facts, "dependencies": {"far-away": "1.0.0"}}))

    with pytest.raises(StackError, match="could not fetch its libraries: is there a network"):
        build()

    told = page_folder.state(page.folder_for(tmp_path / "pages", web=web))
    assert (told.status, told.detail) == ("failed", page.NOT_FETCHED)


def test_a_build_that_broke_off_leaves_nothing_in_the_way(build: Callable[[], Path], tmp_path: Path, ran: list[str]):
    folder = build()
    (tmp_path / "pages" / "room" / "dist").mkdir()
    (tmp_path / "pages" / "room" / "dist" / "half").touch()
    shutil.rmtree(folder)

    assert sorted(path.name for path in build().iterdir()) == ["index.html"]
    assert ran == ["Page libraries", "Page", "Page"]
