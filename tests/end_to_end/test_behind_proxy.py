"""The service behind nginx, by the example that operators are given, below a path of another site."""

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from app.local_stack.processes import PROJECT, Part, Process, free_port
from tests.clips import draw_clip
from tests.conftest import PASSWORD, needs

EXAMPLE = PROJECT / "deploy" / "proxy" / "nginx.conf"
MIB = 2**20


@pytest.fixture(scope="module")
def site(environment: dict[str, str], stack_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the service is for its users."""
    needs(shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/usr/local/bin"), "nginx")
    folder, outside, inside = tmp_path_factory.mktemp("nginx"), free_port(), free_port()
    url = f"http://localhost:{outside}/frames"
    (folder / "nginx.conf").write_text(_configuration(folder, outside=outside, inside=inside))
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/usr/local/bin")
    command = f"uvicorn main:app --port {inside} --no-proxy-headers"
    more = {"PUBLIC_URL": url, "TRUSTED_PROXIES": "127.0.0.1"}
    parts = [
        Part("API", command.split(), lambda _: _listens(inside), environment={**environment, **more}),
        Part("nginx", [str(nginx), "-p", str(folder), "-c", str(folder / "nginx.conf")], lambda _: _listens(outside)),
    ]
    processes = []
    try:
        for part in parts:
            processes.append(Process(part, log=stack_folder / f"{part.name}-proxy.log"))
            processes[-1].wait_until_healthy()
        yield url
    finally:
        for process in processes:
            process.stop()


def _configuration(folder: Path, *, outside: int, inside: int) -> str:
    """The example, but for names, ports and TLS, and with its last comment taken at its word."""
    text = EXAMPLE.read_text()
    words = re.search(r"location / \{(.*?)\n    \}", text, re.DOTALL)
    upstream = re.search(r"upstream fotograma \{.*?\n\}", text, re.DOTALL)
    below = re.search(r"^#     location /frames/.*", text, re.DOTALL | re.MULTILINE)
    assert words
    assert upstream
    assert below
    as_above = words[1].replace("proxy_pass http://fotograma;", "")
    site = re.sub(r"^#", "", below[0], flags=re.MULTILINE).replace(
        "proxy_pass http://fotograma/;", "proxy_pass http://fotograma/;" + as_above
    )
    site = site.replace("        ...as above...\n", "")
    return f"""
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {upstream[0].replace("8000", str(inside))}
    server {{
        listen 127.0.0.1:{outside};
        {site}
    }}
}}
"""


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def person(site: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=site, timeout=30) as client:
        email = "behind-proxy@example.com"
        client.post("/users/", json={"email": email, "password": PASSWORD}).raise_for_status()
        token = client.post("/auth/token", data={"username": email, "password": PASSWORD}).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def test_a_large_upload_goes_through_and_is_named_where_users_find_it(person: httpx2.Client, tmp_path: Path, site: str):
    clip = draw_clip(tmp_path / "clip.mp4", frames=5).path
    # More than nginx takes by itself.
    content = clip.read_bytes() + bytes(3 * MIB)
    uploaded = person.post("/videos/upload", files={"file": ("clip.mp4", content)}, data={"extract": "false"})

    assert uploaded.status_code == 202
    assert uploaded.headers["Location"] == f"/frames/videos/{uploaded.json()['id']}"
    assert httpx2.get(f"{site.removesuffix('/frames')}{uploaded.headers['Location']}").status_code == 401


def test_a_resumable_upload_goes_on_where_it_was_told(person: httpx2.Client, site: str):
    begun = person.post("/uploads/", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "3"})
    where = f"{site.removesuffix('/frames')}{begun.headers['Location']}"
    sent = person.patch(
        where,
        headers={"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
        content=b"abc",
    )

    assert begun.headers["Location"].startswith("/frames/uploads/")
    assert sent.status_code == 204
    assert sent.headers["Content-Location"].startswith("/frames/videos/")


def test_events_come_as_they_happen(person: httpx2.Client):
    with person.stream("GET", "/events") as events:
        lines = events.iter_lines()
        first = next(line for line in lines if line)
        person.post("/videos/upload", files={"file": ("a.mp4", b"no video")}, data={"extract": "false"})
        told = next(line for line in lines if line.startswith("data:") and "a.mp4" in line)

    assert first
    assert told


def test_the_documentation_finds_its_description(person: httpx2.Client):
    page = person.get("/docs").text
    description = person.get("/openapi.json").json()

    assert "/frames/openapi.json" in page
    assert description["servers"] == [{"url": "/frames"}]


def test_metrics_are_not_for_those_outside(person: httpx2.Client):
    assert person.get("/metrics").status_code == 404
