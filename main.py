"""The whole service on one screen: `uvicorn main:app`. `uv run main.py` runs it with all it needs on this machine."""

if __name__ == "__main__":
    import signal

    # Until it ends its parts by itself, Ctrl-C ends it without a word; nothing has been started.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Before the imports: this process starts the others and needs nothing of the API, which takes seconds to load.
    from app.local_stack import run

    run.main()
    raise SystemExit

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.api import (
    account_mail,
    admin,
    auth,
    direct_uploads,
    error_responses,
    events,
    extractions,
    files,
    frames,
    health,
    imports,
    keys,
    metrics,
    oidc,
    tus,
    tus_headers,
    upload,
    users,
    videos,
    webhooks,
)
from app.api.body_limit import BodyLimit
from app.api.event_feed import open_feed
from app.api.head_deadline import WithHeadDeadline
from app.api.page import Page
from app.api.path_prefix import PathPrefix
from app.api.request_body import UnreadBody
from app.api.request_log import RequestLog
from app.database import get_engine
from app.logs import set_up_logs
from app.settings import get_settings
from app.storage import get_storage, prove_storage


def create_app() -> FastAPI:
    """The API; what is wrong with the settings ends the start in one sentence each."""
    settings = get_settings()
    set_up_logs(as_json=settings.log_json)
    if urlsplit(settings.storage_url).scheme != "file":
        # Files are proven by workers and by `/health/ready`: this also runs where the API only describes itself.
        prove_storage()
    # Swagger UI from here and not from elsewhere: it would be a stranger's script beside people's sessions.
    app = FastAPIOffline(
        title="Fotograma",
        summary="Exact frames out of video.",
        version="0.1.0",
        lifespan=_lifespan,
        redoc_url=None,
        static_url="/docs/static",
        responses=error_responses.ANY_PROBLEM,
    )
    error_responses.install(app)
    for part in (
        users,
        auth,
        account_mail,
        keys,
        oidc,
        upload,
        tus,
        direct_uploads,
        imports,
        videos,
        events,
        extractions,
        frames,
        webhooks,
        admin,
        files,
        health,
        metrics,
    ):
        app.include_router(part.router)

    app.add_middleware(BodyLimit)
    app.add_middleware(tus_headers.TusRequests)
    is_https = settings.public_url.startswith("https:")
    store_origin = get_storage().landing_origin() if settings.direct_upload else ""
    app.add_middleware(Page, folder=Path(settings.page_folder), is_https=is_https, store_origin=store_origin)
    app.add_middleware(RequestLog)
    if settings.public_path:
        app.add_middleware(PathPrefix, prefix=settings.public_path)
    if settings.cors_origins:
        origins = [origin.strip() for origin in settings.cors_origins.split(",")]
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=tus_headers.CORS_METHODS,
            allow_headers=tus_headers.CORS_HEADERS,
            expose_headers=tus_headers.CORS_EXPOSED,
        )
    app.add_middleware(UnreadBody)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.trusted_proxies)
    return app


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    async with open_feed() as feed:
        yield {"feed": feed}
    get_engine().dispose()


app = WithHeadDeadline(create_app())
