"""The list of what the service is made of sees what no package list shows."""

import sys
from pathlib import Path
from typing import Any

import av
import pytest

from deploy import sbom


@pytest.fixture(scope="module")
def bom() -> dict[str, Any]:
    return sbom.describe(Path(sys.prefix))


def component(bom: dict[str, Any], name: str) -> dict[str, Any]:
    return next(component for component in bom["components"] if component["name"] == name)


def test_ffmpeg_and_its_codecs_are_seen_inside_their_wheel(bom: dict[str, Any]) -> None:
    inside = {library["name"]: library for library in component(bom, "av")["components"]}

    assert inside["ffmpeg"]["version"] == av.ffmpeg_version_info
    assert inside["libavcodec"]["version"] == ".".join(map(str, av.library_versions["libavcodec"]))
    assert {"libdav1d", "libvpx", "libx264"} <= inside.keys()


def test_a_wheels_own_list_is_taken_over(bom: dict[str, Any]) -> None:
    crates = {crate["name"] for crate in component(bom, "pydantic_core")["components"]}

    assert "serde_json" in crates or "jiter" in crates


def test_the_page_counts_and_its_tools_do_not(bom: dict[str, Any]) -> None:
    names = {component["name"] for component in bom["components"]}

    assert {"svelte", "tus-js-client"} <= names
    assert "vite" not in names
