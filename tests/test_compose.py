"""compose.yaml means what it says; its schema is checked by `just files`."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"migrate", "secret"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_bounds_and_can_be_waited_for(name: str):
    service = SERVICES[name]

    assert service["mem_limit"]
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    for volume in service.get("volumes", []):
        assert volume.partition(":")[0] in COMPOSE["volumes"]
    for other, how in service.get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
        else:
            assert (other in ONCE, how["condition"]) == (True, "service_completed_successfully")


def test_only_this_machine_reaches_it():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_image_runs_without_rights():
    ours = [service for service in SERVICES.values() if service["image"] == "fotograma"]

    assert len(ours) == 5
    for service in ours:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_what_signs_is_readable_and_writable_by_one_alone():
    writers = [name for name, service in SERVICES.items() if "secrets:/data/secrets" in service.get("volumes", [])]

    assert writers == ["secret"]


def test_a_developer_starts_what_is_needed_alone():
    """`docker compose up -d postgres redis`."""
    for name in ("postgres", "redis"):
        assert "depends_on" not in SERVICES[name]
        assert SERVICES[name]["ports"]


@pytest.mark.parametrize(
    ("told", "found"),
    [({}, "kept in a file"), ({"SECRET_KEY": ""}, "kept in a file"), ({"SECRET_KEY": "told"}, "told")],
)
def test_a_secret_of_a_file_is_used_where_none_is_told(tmp_path: Path, told: dict[str, str], found: str):
    (tmp_path / "key").write_text("kept in a file")
    environment = {"PATH": "/usr/bin:/bin", "SECRET_KEY_FILE": str(tmp_path / "key"), **told}
    entry = PROJECT / "deploy" / "entrypoint"
    words = subprocess.run(
        [entry, "printenv", "SECRET_KEY"], env=environment, capture_output=True, text=True, check=True
    )

    assert words.stdout.strip() == found
