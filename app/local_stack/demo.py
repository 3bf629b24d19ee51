"""`--demo`: the whole job once, over HTTP, as a user would."""

import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path
from typing import TypeVar

import httpx2

from app.local_stack import screen
from app.local_stack.errors import StackError
from app.local_stack.mailbox import first_link
from app.local_stack.processes import PROJECT
from app.local_stack.stack import Stack
from app.local_stack.supervisor import Supervisor

WITHIN_SECONDS = 60
INTERVAL_SECONDS = 2

T = TypeVar("T")


def show(stack: Stack, supervisor: Supervisor) -> None:
    """Do the job and say each step; what goes wrong is said and ends the demo alone."""
    try:
        with httpx2.Client(base_url=stack.url, timeout=30, trust_env=False) as client:
            _do(stack, client)
    except (StackError, httpx2.HTTPError, subprocess.CalledProcessError) as error:
        if not supervisor.is_ending:
            screen.tell(f"Demo: {str(error).splitlines()[0]}")


def _do(stack: Stack, client: httpx2.Client) -> None:
    folder = stack.folder / "demo"
    folder.mkdir(mode=0o700, exist_ok=True)
    clip = folder / "clip.mp4"
    # Drawn by a program of its own: this process loads nothing that codes video.
    subprocess.run([sys.executable, PROJECT / "examples" / "draw_clip.py", clip], check=True)
    screen.tell(f"Demo: drew {clip}")

    email, password = f"demo-{secrets.token_hex(3)}@example.com", secrets.token_urlsafe(9)
    client.post("/users/", json={"email": email, "password": password}).raise_for_status()
    signed_in = client.post("/auth/token", data={"username": email, "password": password}).raise_for_status()
    client.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
    screen.tell(f"Demo: signed up as {email} with the password {password}")

    with clip.open("rb") as content:
        uploaded = client.post(
            "/videos/upload", data={"interval": str(INTERVAL_SECONDS)}, files={"file": (clip.name, content)}
        ).raise_for_status()
    screen.tell(f"Demo: uploaded it and asked for a frame each {INTERVAL_SECONDS} s")
    video = wait_for(lambda: _ended(client, uploaded.json()["id"]), what="the frames")
    if video["status"] != "COMPLETED":
        raise StackError(f"the extraction ended {video['status']}: {video['error']}")

    if stack.outside.smtp_url:
        screen.tell("Demo: the e-mail went out through SMTP_URL")
        link = client.get(f"/videos/{video['id']}/download-url").raise_for_status().json()["url"]
    else:
        link = wait_for(lambda: _mailed_link(stack.mailbox.folder, email), what="the e-mail")
    archive = folder / "frames.zip"
    archive.write_bytes(httpx2.get(link, timeout=30, trust_env=False).raise_for_status().content)
    screen.tell(f"Demo: {video['frames']} frames are in {archive}; Fotograma goes on until Ctrl-C")


def _ended(client: httpx2.Client, video_id: str) -> dict[str, object] | None:
    video: dict[str, object] = client.get(f"/videos/{video_id}").raise_for_status().json()
    return video if video["status"] in ("COMPLETED", "FAILED", "CANCELLED") else None


def _mailed_link(folder: Path, email: str) -> str | None:
    for file in folder.glob("*.eml"):
        message = message_from_bytes(file.read_bytes(), policy=policy.default)
        if email in message["To"]:
            return first_link(message)
    return None


def wait_for(look: Callable[[], T | None], *, what: str) -> T:
    """What `look` finds, once it finds it."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    raise StackError(f"{what} did not come within {WITHIN_SECONDS} s")
