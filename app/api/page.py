"""The page: its files, its index for every screen that a browser navigates to, and what a browser may do with them."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import page_folder
from app.api.object_responses import has_it
from app.page_folder import INDEX, PageState

# The page's own addresses; where a screen leads to is the page's affair.
SCREENS = frozenset({"/", "/sign-in", "/sign-up", "/reset-password", "/confirm-email", "/settings", "/admin"})
# Addresses of screens that are the API's too: who asks decides.
SHARED = re.compile(r"/(?:videos|extractions)/[0-9a-f-]{36}/?", re.IGNORECASE)
# What the build's files are called, and nothing that could lead out of their folder.
FILE = re.compile(r"/(?:(assets)/)?[A-Za-z0-9_][\w.-]*\.[a-z0-9]+", re.ASCII)
VARY = "Accept, Sec-Fetch-Mode"

# A machine's own table of types may say anything.
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
# Best first; each beside the file, under its name and this suffix.
CODINGS = {"br": ".br", "gzip": ".gz"}

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "media-src": "'self' blob:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# Swagger UI starts by a script in its page and styles by attributes. Nothing that a user wrote is shown there.
DOCS = "/docs"
DOCS_POLICY = {**POLICY, "script-src": "'self' 'unsafe-inline'", "style-src": "'self' 'unsafe-inline'"}

# Of what stands in for the page, in its colours.
PLAIN_STYLE = """
body { max-width: 32rem; margin: 18vh auto 0; padding: 0 1.5rem; font: 1rem/1.5 system-ui, sans-serif;
  background: light-dark(#f7f5f0, #141310); color: light-dark(#1c1a15, #f3f0e8); }
a { color: inherit; }
"""
PLAIN_HASH = base64.b64encode(hashlib.sha256(PLAIN_STYLE.encode()).digest()).decode()
PLAIN_POLICY = {**POLICY, "style-src": f"'sha256-{PLAIN_HASH}'"}

SHIELDS = {
    # Links to reset a password carry their token.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
YEAR_SECONDS = 31_536_000

WORDS = {
    "building": (
        "The page is being built, which takes about a minute the first time. It will appear here by itself.",
        "A página está sendo montada, o que leva cerca de um minuto na primeira vez. Ela vai aparecer aqui sozinha.",
    ),
    "failed": (
        "The page could not be built. The API works; the next start tries again.",
        "Não foi possível montar a página. A API funciona; a próxima partida tenta de novo.",
    ),
    "missing": (
        "The page has not been built: run <code>just page</code>, or start all by <code>uv run main.py</code>.",
        "A página não foi montada: use <code>just page</code>, ou inicie tudo com <code>uv run main.py</code>.",
    ),
}


@dataclass(frozen=True)
class Asset:
    """One file of the build."""

    content_type: str
    digest: str
    forms: Mapping[str, bytes]
    """Its bytes by content coding; `identity` is always there."""


class Page:
    """Answers for the page what is the page's, and passes on the rest."""

    def __init__(self, app: ASGIApp, *, folder: Path, is_https: bool, store_origin: str = "") -> None:
        """`store_origin`: where the page may send videos to, beside here."""
        self.app = app
        self._folder = folder
        self._shields = _shields({**POLICY, "connect-src": f"{POLICY['connect-src']} {store_origin}".rstrip()})
        # No browser shall take a refusal, whose words may be a stranger's, for a page.
        self._everywhere = {name: SHIELDS[name] for name in ("X-Content-Type-Options", "Referrer-Policy")}
        if is_https:
            self._everywhere["Strict-Transport-Security"] = f"max-age={YEAR_SECONDS}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        root_path = scope.get("root_path", "")
        is_shared = SHARED.fullmatch(scope["path"]) is not None
        app = self.app
        if scope["method"] in ("GET", "HEAD"):
            app = self._answer(scope, is_shared=is_shared, root_path=root_path) or app
            if app is self.app and navigates(Headers(scope=scope)):
                app = ReadableRefusals(app, index=self._index(root_path), shields=self._shields, root_path=root_path)

        async def send_shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._everywhere)
                if is_shared:
                    headers.add_vary_header(VARY)
                if scope["path"] == DOCS:
                    headers.update(_shields(DOCS_POLICY))
            await send(message)

        await app(scope, receive, send_shielded)

    def _answer(self, scope: Scope, *, is_shared: bool, root_path: str) -> Response | None:
        headers = Headers(scope=scope)
        if (scope["path"].rstrip("/") or "/") in SCREENS or (is_shared and navigates(headers)):
            index = self._index(root_path)
            if index is None:
                return _instead(page_folder.state(self._folder), root_path=root_path)
            return _response(index, headers, {"Cache-Control": "no-cache", **self._shields})
        name = FILE.fullmatch(scope["path"])
        asset = self._read(scope["path"][1:]) if name else None
        if name is None or asset is None:
            return None
        # What is under /assets/ carries a hash of itself in its name.
        kept = f"public, max-age={YEAR_SECONDS}, immutable" if name.group(1) else "no-cache"
        return _response(asset, headers, {"Cache-Control": kept, **SHIELDS})

    def _index(self, root_path: str) -> Asset | None:
        asset = self._read(INDEX)
        return asset and _placed(asset, root_path)

    def _read(self, name: str) -> Asset | None:
        file = self._folder / name
        try:
            facts = file.stat()
            return _asset(file, facts.st_mtime_ns, facts.st_size)
        except (FileNotFoundError, NotADirectoryError):
            return None


class ReadableRefusals:
    """Says to a person what a problem says to a program: who opens the link of an old mail has no use for JSON. Of an
    address that is nobody's, the page itself says so."""

    def __init__(self, app: ASGIApp, *, index: Asset | None, shields: Mapping[str, str], root_path: str) -> None:
        self.app = app
        self._index = index
        self._shields = shields
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None
        problem = bytearray()

        async def send_readable(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                is_problem = Headers(raw=message["headers"]).get("Content-Type") == "application/problem+json"
                start = message if is_problem else None
            if start is None:
                await send(message)
            elif message["type"] == "http.response.body":
                problem.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._readable(start, problem, scope=scope)(scope, receive, send)

        await self.app(scope, receive, send_readable)

    def _readable(self, start: Message, problem: bytearray, *, scope: Scope) -> Response:
        # What the router writes once it knows whose an address is.
        if "endpoint" not in scope and self._index:
            answer = _response(self._index, Headers(scope=scope), {"Cache-Control": "no-store", **self._shields})
            answer.status_code = start["status"]
            return answer
        headers = Headers(raw=start["headers"])
        kept = {name: value for name, value in headers.items() if name not in ("content-type", "content-length")}
        words = f'<p>{html.escape(json.loads(problem)["detail"])}</p><p><a href="{self._root_path}/">Fotograma</a></p>'
        return _plain(words, status=start["status"], headers=kept)


def navigates(headers: Headers) -> bool:
    """Whether a browser asks for something to show in its window. It says so in Sec-Fetch-Mode, but not to plain HTTP
    elsewhere than on its own machine; then that it names HTML tells it from a program, which takes whatever comes."""
    return "text/html" in headers.get("Accept", "") and headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


# As many as a build has files; the rest of the key is what makes a rebuilt file another one.
@lru_cache(maxsize=256)
def _asset(file: Path, _modified_ns: int, _size_bytes: int) -> Asset:
    content = file.read_bytes()
    forms = {"identity": content}
    for coding, suffix in CODINGS.items():
        compressed = file.with_name(file.name + suffix)
        if compressed.is_file():
            forms[coding] = compressed.read_bytes()
    return Asset(
        content_type=CONTENT_TYPES.get(file.suffix, "application/octet-stream"),
        digest=hashlib.sha256(content).hexdigest()[:20],
        forms=forms,
    )


def _placed(index: Asset, root_path: str) -> Asset:
    """The index with the addresses of what it loads: a screen's own has any number of parts, so that the build's, which
    count from the index, would lead elsewhere. It is too short to gain by being compressed."""
    content = index.forms["identity"].replace(b'="./', f'="{root_path}/'.encode())
    return Asset(index.content_type, hashlib.sha256(content).hexdigest()[:20], {"identity": content})


def _response(asset: Asset, headers: Headers, more: Mapping[str, str]) -> Response:
    accepted = _accepted(headers.get("Accept-Encoding", ""))
    coding = next((coding for coding in CODINGS if coding in asset.forms and coding in accepted), "identity")
    etag = f'"{asset.digest}-{coding}"'
    answer = {**more, "ETag": etag}
    if len(asset.forms) > 1:
        answer["Vary"] = "Accept-Encoding"
    if has_it(headers.get("If-None-Match", ""), etag=etag):
        return Response(status_code=304, headers=answer)
    if coding != "identity":
        answer["Content-Encoding"] = coding
    return Response(asset.forms[coding], headers=answer, media_type=asset.content_type)


def _accepted(header: str) -> set[str]:
    """The content codings that an Accept-Encoding header names and does not refuse."""
    offers = [offer.replace(" ", "").lower().partition(";q=") for offer in header.split(",")]
    return {coding for coding, _, weight in offers if not re.fullmatch(r"0(\.0*)?", weight)}


def _instead(state: PageState, *, root_path: str) -> Response:
    """What stands where the page will be."""
    english, portuguese = WORDS[state.status]
    again = '<meta http-equiv="refresh" content="2">' if state.status == "building" else ""
    words = f'<p>{english}</p><p lang="pt-BR">{portuguese}</p>'
    # For whoever runs this, and can do something about it.
    words += f"<p>{html.escape(state.detail)}</p>" if state.detail else ""
    words += f'<p><a href="{root_path}{DOCS}">API</a></p>'
    return _plain(words, more_head=again, status=503, headers={"Cache-Control": "no-store"})


def _plain(words: str, *, status: int, headers: Mapping[str, str], more_head: str = "") -> Response:
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta name="color-scheme" content="light dark">{more_head}<title>Fotograma</title>'
        f'<link rel="icon" href="data:,"><style>{PLAIN_STYLE}</style><main><h1>Fotograma</h1>{words}</main></html>',
        status_code=status,
        headers={**headers, **_shields(PLAIN_POLICY)},
    )


def _shields(policy: Mapping[str, str]) -> dict[str, str]:
    sources = "; ".join(f"{directive} {value}" for directive, value in policy.items())
    return {"Content-Security-Policy": sources, **SHIELDS}
