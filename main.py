"""The whole service on one screen: `uvicorn main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.api import auth, error_responses, files, health, users
from app.api.request_log import RequestLog
from app.database import get_engine
from app.logs import set_up_logs
from app.settings import get_settings


def create_app() -> FastAPI:
    """The API; what is wrong with the settings ends the start in one sentence each."""
    settings = get_settings()
    set_up_logs(as_json=settings.log_json)
    app = FastAPI(
        title="Fotograma",
        summary="Exact frames out of video.",
        version="0.1.0",
        lifespan=_lifespan,
        responses=error_responses.ANY_PROBLEM,
    )
    error_responses.install(app)
    for part in (users, auth, files, health):
        app.include_router(part.router)

    app.add_middleware(RequestLog)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.trusted_proxies)
    return app


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    get_engine().dispose()


if __name__ == "__main__":
    # Imported here only: a server of the API alone has none of the embedded parts.
    from app.local_stack import run

    run.main()
else:
    app = create_app()
