"""deploy/cloud-run/ as far as it can be judged without Terraform's providers, which are fetched from elsewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2

from app.settings import Settings
from app.storage.rules import Place, google

FOLDER = Path(__file__).parents[1] / "deploy" / "cloud-run"
FILES = sorted(FOLDER.glob("*.tf"))
SOURCE = "\n".join(file.read_text() for file in FILES)
CODE = re.sub(r"^\s*#.*$", "", SOURCE, flags=re.MULTILINE)


def blocks(kind: str) -> Iterator[dict[str, Any]]:
    for file in FILES:
        yield from hcl2.loads(file.read_text()).get(kind, [])


def names(kind: str) -> set[str]:
    return {name.strip('"') for block in blocks(kind) for name in block}


def addresses(kind: str) -> set[str]:
    """Of resources or data: type and name."""
    return {
        f"{type_.strip(chr(34))}.{name.strip(chr(34))}"
        for block in blocks(kind)
        for type_, named in block.items()
        for name in named
    }


def test_what_is_referred_to_is_declared_and_what_is_declared_is_used():
    locals_ = {name for block in blocks("locals") for name in block if not name.startswith("__")}

    assert set(re.findall(r"\bvar\.(\w+)", CODE)) == names("variable")
    assert set(re.findall(r"\blocal\.(\w+)", CODE)) == locals_
    assert set(re.findall(r"(?<!data\.)\b((?:google|random)_\w+\.\w+)\b(?=[.\[])", CODE)) <= addresses("resource")
    assert set(re.findall(r"\bdata\.(\w+\.\w+)", CODE)) == addresses("data")


def test_each_variable_and_output_says_what_it_is():
    for block in [*blocks("variable"), *blocks("output")]:
        (body,) = block.values()
        assert body["description"]


def test_what_the_containers_are_told_are_settings():
    told = set(re.findall(r"^\s+([A-Z][A-Z_]+)\s+= ", CODE, flags=re.MULTILINE))
    told |= set(re.findall(r"\"([A-Z][A-Z_]+)\"", re.search(r"secrets_of = \{.*?\n  \}", CODE, re.DOTALL)[0]))
    known = {name.upper() for name in Settings.model_fields}

    assert {"DB_HOST", "SECRET_KEY", "STORAGE_URL"} <= told
    assert told <= known


def test_rights_are_those_that_are_needed():
    """None of the roles gives a part more than its own work, on this service's own things alone."""
    roles = set(re.findall(r"\"(roles/[\w.]+)\"", CODE))

    assert roles == {
        "roles/iam.serviceAccountTokenCreator",
        "roles/run.invoker",
        "roles/secretmanager.secretAccessor",
        "roles/storage.objectUser",
    }
    assert "google_project_iam" not in CODE


def test_what_must_not_be_lost_is_not_destroyed():
    for address in ("google_sql_database_instance", "google_storage_bucket"):
        body = re.search(rf'resource "{address}" "\w+" \{{.*?\n\}}', SOURCE, re.DOTALL)
        assert body
        assert "prevent_destroy = true" in body[0]


def test_bucket_has_the_rules_that_the_service_would_give_it():
    (bucket,) = (block for block in blocks("resource") if '"google_storage_bucket"' in block)
    body = bucket['"google_storage_bucket"']['"objects"']
    cors = [(words(rule["method"]), words(rule["response_header"]), rule["max_age_seconds"]) for rule in body["cors"]]
    ages = [condition["age"] for rule in body["lifecycle_rule"] for condition in rule["condition"]]
    place = Place(bucket="b", folder="", endpoint=None, origin="https://frames.example")
    wanted = google.cors(place)

    assert (wanted["method"], wanted["responseHeader"], wanted["maxAgeSeconds"]) in cors
    assert ages == [google.lifecycle(place)["condition"]["age"]]


def words(quoted: list[str]) -> list[str]:
    return [word.strip('"') for word in quoted]
