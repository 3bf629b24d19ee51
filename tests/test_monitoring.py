"""Alerts and dashboard ask for what is counted, and each alert has its runbook entry."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric

from app import metrics
from app.api.metrics import Work

PROJECT = Path(__file__).parents[1]
MONITORING = PROJECT / "deploy" / "monitoring"
OF_LIBRARY = {"job", "instance"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_queries() -> list[str]:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


@pytest.fixture(scope="module")
def counted(environment: dict[str, str]) -> dict[str, set[str]]:  # noqa: ARG001
    """Each series by name, with its labels."""
    known: dict[str, set[str]] = {"up": set()}
    families: list[Metric] = [*metrics.REGISTRY.collect(), *Work().collect()]
    for family in families:
        labels = {label for sample in family.samples for label in sample.labels}
        for collector, names in metrics.REGISTRY._collector_to_names.items():
            if family.name in names:
                labels |= set(getattr(collector, "_labelnames", ()))
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        known |= {family.name + suffix: labels | {"le"} for suffix in suffixes}
    return known


@pytest.mark.parametrize("query", [*(rule["expr"] for rule in rules()), *dashboard_queries()])
def test_query_asks_for_what_is_counted(query: str, counted: dict[str, set[str]]):
    used = re.findall(r"\b((?:fotograma|process)_\w+|up)\b(?:\{([^}]*)\})?", query)
    labels = {name for _, matchers in used for name in re.findall(r"(\w+)\s*[=!]", matchers)}
    labels |= {name for group in re.findall(r"by \(([^)]*)\)", query) for name in re.split(r",\s*", group)}

    assert used
    assert {name for name, _ in used} <= set(counted)
    assert labels <= OF_LIBRARY | set().union(*(counted[name] for name, _ in used))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alert_has_its_runbook_entry(rule: dict[str, Any]):
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (PROJECT / page).read_text(), flags=re.MULTILINE)

    assert anchor == rule["alert"].lower()
    assert rule["alert"] in headings
