"""What the documents say is what the code does."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from pydantic_settings import DotEnvSettingsSource

from app.settings import Settings
from fotograma.errors import CODES

PROJECT = Path(__file__).parents[1]
MARKDOWN = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("deploy/**/*.md")])


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """The script that writes the tables."""
    spec = importlib.util.spec_from_file_location("tables", PROJECT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["docs/settings.md", "docs/errors.md", ".env.example"])
def test_generated_page_is_up_to_date(tables: ModuleType, page: str) -> None:
    assert (PROJECT / page).read_text() == tables.PAGES[page](), "run: just docs"


def test_every_setting_is_told_with_its_meaning() -> None:
    page = (PROJECT / "docs" / "settings.md").read_text()

    for name, field in Settings.model_fields.items():
        assert f"| `{name.upper()}` |" in page
        assert field.description


def test_example_of_the_environment_changes_nothing() -> None:
    example = PROJECT / ".env.example"
    lines = example.read_text().splitlines()

    assert not [line for line in lines if line and not line.startswith("#")]
    assert DotEnvSettingsSource(Settings, env_file=example)() == {}


def test_example_of_the_environment_names_every_setting_with_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taking off each # leaves everything as it was."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    text = re.sub(r"^#(?=[A-Z])", "", (PROJECT / ".env.example").read_text(), flags=re.MULTILINE)
    (tmp_path / "env").write_text(text.replace("SECRET_KEY=\n", f"SECRET_KEY={'Zq3-' * 3}0123456789abcdefghij\n"))
    values = Settings(_env_file=tmp_path / "env")

    for name, field in Settings.model_fields.items():
        assert f"\n{name.upper()}=" in text
        assert field.is_required() or getattr(values, name) == field.default


def test_every_code_is_told() -> None:
    page = (PROJECT / "docs" / "errors.md").read_text()

    for code in CODES.values():
        assert f"| `{code.name}` | `{code.cause}` | {code.exit_status} | {code.sentence} |" in page


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())

    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", ["README.md", "README.pt-BR.md"])
def test_both_readmes_give_the_same_commands(page: str) -> None:
    assert _commands(PROJECT / page) == _commands(PROJECT / "README.md")


def _commands(page: Path) -> list[str]:
    blocks = re.findall(r"```(?:sh|python)\n(.*?)```", page.read_text(), flags=re.DOTALL)
    return [re.sub(r"(^|\s+)#.*", "", line) for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("package", ["app", "fotograma"])
def test_architecture_names_every_room(package: str) -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text()
    rooms = {
        path.stem for path in (PROJECT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert not [room for room in sorted(rooms - {"__init__"}) if not re.search(rf"\b{room}\b", page)]


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(page.name for page in (PROJECT / "docs" / "decisions").glob("*.md"))

    assert [int(name[:4]) for name in names] == [*range(1, len(names) + 1)]


def test_repository_speaks_of_itself_only() -> None:
    """No machine's paths, and no registry but the public one: what stands here holds in anybody's clone."""
    # Also in a clone that another user made.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    files = [PROJECT / name for name in listed.split("\0") if name and name != "tests/test_docs.py"]
    strange = re.compile(r"\.\./shared|(?<![\w.}/])/(?:work|root|home/\w+|Users/\w+)/")
    registries = re.compile(r"(?:registry|index-url|--index)\s*=\s*\"(?!https://pypi\.org/simple\")")

    found = [
        f"{file.relative_to(PROJECT)}:{number}: {line.strip()[:100]}"
        for file in files
        if file.is_file()
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1)
        if registries.search(line) or (strange.search(line) and file.parts[-2:] != (".ci", "run"))
    ]
    assert found == []
