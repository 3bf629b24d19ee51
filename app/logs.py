"""Log lines: our own and those of the libraries, in one form."""

import logging
import sys
import uuid

import structlog


def set_up_logs(*, as_json: bool) -> None:
    """Send every logger of this process to standard error: a line each, JSON or for people."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(
                    [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
                    if as_json
                    else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
                ),
            ],
        )
    )
    # Leaves alone what whoever started the process has set up already.
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Its lines hold whole addresses, signatures of links among them; `app.api.request_log` writes its own.
    logging.getLogger("uvicorn.access").disabled = True
    # The same of the addresses that we ask.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    # Says at each look at the version that it looks.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def current_request_id() -> uuid.UUID | None:
    """The request whose lines these are; None: nobody asked, but a clock or an operator."""
    told = structlog.contextvars.get_contextvars().get("request_id")
    return None if told is None else uuid.UUID(told)
