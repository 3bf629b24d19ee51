"""What the service is made of, as CycloneDX: `uv run --group quality python -m deploy.sbom >sbom.cdx.json`.

A list of packages alone would miss what matters most here: FFmpeg and its codecs are no packages, they lie inside
wheels. So beside each package stands what lies in its folders of shared libraries, what its own list names (PEP 770),
and what the page's bundle is built of.
"""

import argparse
import base64
import json
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
Component = dict[str, Any]

# As auditwheel names them: libNAME-HASH.so.VERSION, and OpenBLAS with its version before the suffix.
LIBRARY = re.compile(r"(?P<name>lib[\w+-]+?)-[0-9a-f]{8}(?:\.(?P<before>[\d.]+))?\.so(?:\.(?P<after>[\w.]+))?")
OPENSSL = {"libcrypto", "libssl"}


def main() -> None:
    """Print it."""
    options = argparse.ArgumentParser(description="What the service is made of, as CycloneDX.")
    options.add_argument("--environment", type=Path, default=PROJECT / ".venv", help="the virtual environment to read")
    print(json.dumps(describe(options.parse_args().environment), indent=2))


def describe(environment: Path) -> dict[str, Any]:
    """The packages of an environment, what lies inside them, and the page's."""
    command = ("cyclonedx-py", "environment", "--pyproject", "pyproject.toml", "--output-reproducible", "--no-validate")
    bom: dict[str, Any] = json.loads(_output(*command, str(environment.absolute())))
    packages = {_normal(package["name"]): package for package in bom["components"]}
    site_packages = next(environment.glob("lib/python*/site-packages"))
    for distribution in distributions(path=[str(site_packages)]):
        package = packages.get(_normal(distribution.name))
        inside = [*_libraries(distribution), *_named_by_itself(distribution)]
        if package is not None and inside:
            package["components"] = inside
    # The names of FFmpeg's files tell the versions of its parts, while advisories go by its release.
    release = _output(
        str(environment.absolute() / "bin/python"), "-c", "import av; print(av.ffmpeg_version_info)"
    ).strip()
    packages["av"]["components"].append(
        {
            "type": "library",
            "bom-ref": "av/ffmpeg",
            "name": "ffmpeg",
            "version": release,
            "cpe": f"cpe:2.3:a:ffmpeg:ffmpeg:{release}:*:*:*:*:*:*:*",
        }
    )
    bom["components"] += _page()
    return bom


def _libraries(distribution: Distribution) -> Iterator[Component]:
    for file in distribution.files or []:
        library = LIBRARY.fullmatch(file.name)
        if library is None:
            continue
        name, version = library["name"], library["after"] or library["before"] or ""
        component = {
            "type": "library",
            "bom-ref": f"{distribution.name}/{file.name}",
            "name": name,
            "version": version,
            "purl": f"pkg:generic/{name}@{version}",
        }
        if file.hash is not None:
            digest = base64.urlsafe_b64decode(file.hash.value + "=").hex()
            component["hashes"] = [{"alg": "SHA-256", "content": digest}]
        if name in OPENSSL:
            component["cpe"] = f"cpe:2.3:a:openssl:openssl:{version}:*:*:*:*:*:*:*"
        yield component


def _named_by_itself(distribution: Distribution) -> Iterator[Component]:
    """What a wheel says it was built of: crates, system packages."""
    for file in distribution.files or []:
        if file.parent.name != "sboms" or file.suffix != ".json":
            continue
        for component in json.loads(file.read_text()).get("components", []):
            kept = {key: component[key] for key in ("type", "name", "version", "purl", "cpe") if key in component}
            yield {**kept, "bom-ref": f"{distribution.name}/{file.name}/{component.get('bom-ref', component['name'])}"}


def _page() -> Iterator[Component]:
    for path, package in json.loads((PROJECT / "web/package-lock.json").read_text())["packages"].items():
        if not path or package.get("dev"):
            continue
        name = path.rpartition("node_modules/")[2]
        yield {
            "type": "library",
            "bom-ref": f"web/{path}",
            "name": name,
            "version": package["version"],
            "purl": f"pkg:npm/{name.replace('@', '%40')}@{package['version']}",
        }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
