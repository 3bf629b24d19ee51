"""The service from a program, over HTTP: `pip install fotograma[client]`.

    with Client("https://frames.example", email="me@example.com", password="...") as client:
        video = client.wait(client.upload(Path("holiday.mp4"), Plan.from_json({"mode": "every", "seconds": 2})))
        client.download(video, Path("frames.zip"))

What is sent and fetched goes on where it was cut, for as long as anything comes through within `patience_seconds`.
Videos and extractions are the JSON that the service answers with.
"""

import base64
import json
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from fotograma import store_upload
from fotograma.patience import PASSING, Passing, Patience, Refused, Unreachable
from fotograma.plan import Plan
from fotograma.store_upload import Told, chunk

__all__ = ["Client", "Frame", "Refused", "Told", "Unreachable"]

TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 1.0
PAGE_FRAMES = 500

Json = dict[str, Any]
TUS = {"Tus-Resumable": "1.0.0"}
NO_WAY = frozenset({"DIRECT_UPLOAD_OFF", "DIRECT_UPLOAD_TOO_LARGE"})
ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})


@dataclass(frozen=True)
class Frame:
    """One picture of an extraction."""

    row: Json
    """Its row of the manifest: `name`, `time_seconds`, `width`..."""
    data: bytes
    """The picture's file."""


class Client:
    """Somebody who has an account at a service."""

    def __init__(self, server: str, *, email: str, password: str, patience_seconds: float = 60.0) -> None:
        self._patience_seconds = patience_seconds
        address = server.rstrip("/")
        sign_in = _SignIn(f"{address}/auth/token", email=email, password=password)
        self._http = httpx2.Client(base_url=address, timeout=TIMEOUT_SECONDS, auth=sign_in)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def begin_upload(self, path: Path, plan: Plan | None) -> Json:
        """Announce a file; gives how its upload goes on, for `resume_upload`, as JSON to be kept.

        Without a plan the video is only looked at. Where the service lets files be put straight into its store, that is
        where this one goes.
        """
        size = path.stat().st_size
        if size and (begun := self._begin_at_store(path.name, size, plan)) is not None:
            return begun
        asked = {"extract": "false"} if plan is None else {"plan": json.dumps(plan.to_json())}
        fields = {"filename": path.name, **asked}
        metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
        headers = {**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
        return {"location": self._ask("POST", "uploads/", headers=headers).headers["Location"]}

    def resume_upload(self, begun: Json, path: Path, *, told: Told | None = None) -> Json:
        """Send what is missing of a file; gives the video."""
        told = told or _silent
        patience = Patience(self._patience_seconds)
        if "location" not in begun:
            store_upload.put(begun, path, patience=patience, told=told)
            video: Json = self._ask("POST", f"videos/{begun['id']}/complete").json()
            return video
        location = begun["location"]
        with path.open("rb") as file:
            while True:
                try:
                    answer = self._answered("HEAD", location, headers=TUS)
                    while "X-Fotograma-Video" not in answer.headers:
                        offset = int(answer.headers["Upload-Offset"])
                        told(offset, path.stat().st_size)
                        patience.heed(offset)
                        answer = self._answered(
                            "PATCH",
                            location,
                            headers={
                                **TUS,
                                "Content-Type": "application/offset+octet-stream",
                                "Upload-Offset": str(offset),
                            },
                            content=chunk(file, offset),
                        )
                    told(path.stat().st_size, path.stat().st_size)
                    return self.video(answer.headers["X-Fotograma-Video"])
                except (httpx2.TransportError, Passing) as error:
                    patience.wait(error)

    def upload(self, path: Path, plan: Plan | None, *, told: Told | None = None) -> Json:
        """Send a file and ask for frames of it; gives the video."""
        return self.resume_upload(self.begin_upload(path, plan), path, told=told)

    def video(self, video: Json | str) -> Json:
        """A video as it is now."""
        found: Json = self._ask("GET", f"videos/{_id(video)}").json()
        return found

    def wait(self, video: Json | str, *, within_seconds: float = 86_400.0, told: Told | None = None) -> Json:
        """The video once its newest extraction has ended, however it has; told in frames.

        Raises:
            TimeoutError: It has not, within that time.
        """
        deadline = time.monotonic() + within_seconds
        while True:
            found = self.video(video)
            progress = found["progress"]
            if told is not None and progress["frames_total"]:
                told(progress["frames_done"], progress["frames_total"])
            if found["status"] in ENDED or (found["status"] == "READY" and found["extraction_id"] is None):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"The video is still {found['status']}.")
            time.sleep(POLL_SECONDS)

    def frames(self, video: Json) -> Iterator[Frame]:
        """The frames of the video's newest extraction, also those of one that still runs, as they come."""
        extraction = f"extractions/{video['extraction_id']}"
        cursor: int | None = 0
        while cursor is not None:
            page = self._ask("GET", f"{extraction}/frames", params={"cursor": cursor, "limit": PAGE_FRAMES}).json()
            for row in page["items"]:
                yield Frame(row=row, data=self._ask("GET", f"{extraction}/frames/{row['sequence']}").content)
            if page["next_cursor"] == cursor:
                time.sleep(POLL_SECONDS)
            cursor = page["next_cursor"]

    def download(self, video: Json | str, path: Path, *, told: Told | None = None) -> None:
        """Fetch the archive of the newest extraction that is COMPLETED; the file is there once it is whole.

        What was fetched of it before is kept beside it, and only the rest is asked for.
        """
        patience = Patience(self._patience_seconds)
        while True:
            try:
                self._fetch(f"videos/download/{_id(video)}", path, patience=patience, told=told or _silent)
                return
            except (httpx2.TransportError, Passing) as error:
                patience.wait(error)

    def _fetch(self, address: str, path: Path, *, patience: Patience, told: Told) -> None:
        part, known = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.etag")
        headers = {}
        if part.exists() and known.exists():
            # The whole of it comes where it is another archive by now.
            headers = {"Range": f"bytes={part.stat().st_size}-", "If-Range": known.read_text()}
        with self._http.stream("GET", address, headers=headers) as answer:
            if answer.status_code == 416:
                # All of it is here already, and was not put in its place.
                part.replace(path)
                known.unlink()
                return
            if answer.is_error:
                answer.read()
                raise _refusal(answer)
            is_rest = answer.status_code == 206
            done = part.stat().st_size if is_rest else 0
            total = done + int(answer.headers["Content-Length"])
            known.write_text(answer.headers["ETag"])
            with part.open("ab" if is_rest else "wb") as file:
                for chunk in answer.iter_raw(2**20):
                    file.write(chunk)
                    done += len(chunk)
                    patience.heed(done)
                    told(done, total)
        part.replace(path)
        known.unlink()

    def _begin_at_store(self, name: str, size: int, plan: Plan | None) -> Json | None:
        """Where in the store a file may be put; none where that is no way for it."""
        asked = {"filename": name, "bytes": size, "extract": plan is not None, "plan": plan and plan.to_json()}
        try:
            begun: Json = self._ask("POST", "videos/upload-url", json=asked).json()
        except Refused as refused:
            # Also an older service, which does not know of it.
            if refused.code in NO_WAY or refused.status in (404, 405):
                return None
            raise
        return begun

    def _answered(self, method: str, address: str, **more: Any) -> httpx2.Response:
        answer = self._http.request(method, address, **more)
        if answer.is_error:
            raise _refusal(answer)
        return answer

    def _ask(self, method: str, address: str, **more: Any) -> httpx2.Response:
        """Ask until there is an answer that is no passing trouble."""
        patience = Patience(self._patience_seconds)
        while True:
            try:
                return self._answered(method, address, **more)
            except (httpx2.TransportError, Passing) as error:
                patience.wait(error)


class _SignIn(httpx2.Auth):
    """Signs in when it must: at the first request, and when the token has ended."""

    def __init__(self, address: str, *, email: str, password: str) -> None:
        self._address = address
        self._form = {"username": email, "password": password}
        self._token: str | None = None

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        for _ in range(2):
            if self._token is None:
                answer = yield httpx2.Request("POST", self._address, data=self._form)
                answer.read()
                if answer.is_error:
                    raise _refusal(answer)
                self._token = answer.json()["access_token"]
            request.headers["Authorization"] = f"Bearer {self._token}"
            answer = yield request
            if answer.status_code != 401:
                return
            self._token = None


def _refusal(answer: httpx2.Response) -> Refused:
    try:
        problem = answer.json()
        code, message = problem["code"], problem["detail"]
    except (ValueError, KeyError, TypeError):
        # A proxy answers in words of its own; so does HEAD, which has none.
        code, message = "REFUSED", f"The answer was {answer.status_code}."
    kind = Passing if answer.status_code in PASSING or code == "OFFSET_MISMATCH" else Refused
    return kind(status=answer.status_code, code=code, message=message)


def _id(video: Json | str) -> str:
    return video if isinstance(video, str) else str(video["id"])


def _silent(_: int, __: int) -> None:
    """Nobody wants to know."""
