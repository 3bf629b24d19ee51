"""Each arrow of the architecture is one the linter keeps: drawn the wrong way, it is told by its contract's name."""

import itertools
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
NAMES = {contract["id"]: contract["name"] for contract in CONTRACTS}
LAYERS = [layer.split(" | ") for contract in CONTRACTS for layer in contract.get("layers", [])]

LINTER = Path(sys.executable).parent / "lint-imports"

WRONG_ARROWS = [
    # Each layer to the one above it, and neighbours of one layer to each other.
    *(("layers", f"app.{below[0]}", f"app.{above[0]}") for above, below in itertools.pairwise(LAYERS)),
    *(("layers", f"app.{layer[0]}", f"app.{neighbour}") for layer in LAYERS for neighbour in layer[1:]),
    ("engine-alone", "fotograma.extraction", "app.settings"),
    ("engine-alone", "fotograma.cli", "sqlalchemy"),
    ("engine-alone", "fotograma.records", "pydantic"),
    ("engine-alone", "fotograma.extraction", "httpx2"),
    ("client-over-http", "fotograma.client", "fotograma.jail"),
    ("client-over-http", "fotograma.remote", "av"),
    ("only-workers-decode", "app.api.videos", "fotograma.jail"),
    ("only-workers-decode", "app.extractions.queries", "av"),
    ("only-workers-decode", "app.local_stack.demo", "cv2"),
    ("light-rooms", "fotograma.plan", "numpy"),
    ("light-rooms", "fotograma.selection", "fotograma.video"),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the linter reads."""
    for package in ("app", "fotograma"):
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    return subprocess.run(
        [LINTER, "--no-cache", *chosen], cwd=tree, env={"COLUMNS": "200"}, capture_output=True, text=True, timeout=120
    )


def draw(tree: Path, source: str, target: str) -> None:
    """Let a module import another."""
    path = tree / source.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    file.write_text(f"{file.read_text()}\nimport {target}\n")


def test_arrows_as_they_are_keep_the_rules(tree: Path) -> None:
    linted = lint(tree)

    assert linted.returncode == 0, linted.stdout
    assert f"{len(NAMES)} kept, 0 broken" in linted.stdout


@pytest.mark.parametrize(("contract", "source", "target"), WRONG_ARROWS, ids=lambda word: word)
def test_wrong_arrow_is_told(tree: Path, contract: str, source: str, target: str) -> None:
    draw(tree, source, target)

    linted = lint(tree, contract)

    assert linted.returncode == 1
    assert f"{NAMES[contract]} BROKEN" in linted.stdout
    assert f"{source} " in linted.stdout


def test_room_without_a_place_in_the_layers_is_told(tree: Path) -> None:
    (tree / "app" / "helpers.py").touch()

    linted = lint(tree, "layers")

    assert linted.returncode == 1
    assert "app.helpers" in linted.stdout


def test_every_contract_is_proved_to_break() -> None:
    assert {contract for contract, _, _ in WRONG_ARROWS} == set(NAMES)
