"""Every refusal as RFC 9457 `application/problem+json`; Starlette finds the handler of a kind through the MRO."""

import json
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from app import errors
from app.database import DATABASE_AWAY
from fotograma.errors import PlanError

logger = structlog.get_logger()

STATUSES: dict[type[errors.ServiceError], int] = {
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Gone: HTTPStatus.GONE,
    errors.Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Locked: HTTPStatus.LOCKED,
    # Of tus 1.0, which Python's list does not know.
    errors.Mangled: 460,
    errors.TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    errors.QuotaExceeded: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

# What frameworks refuse with. Python's own names for some of these have changed between versions; ours stay.
HTTP_CODES = {
    400: "BAD_REQUEST",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    408: "REQUEST_TIMEOUT",
    411: "LENGTH_REQUIRED",
    412: "PRECONDITION_FAILED",
    415: "UNSUPPORTED_MEDIA_TYPE",
    416: "RANGE_NOT_SATISFIABLE",
    **{int(theirs): kind.code for kind, theirs in STATUSES.items()},
}

# The pool waits 2 s for a connection: whoever was refused finds out sooner than that nothing has changed.
DATABASE_RETRY_SECONDS = 2


# What Python's parser of JSON stumbles over, and the framework wraps without a word; their children mean other things.
UNREADABLE = (RecursionError, ValueError, UnicodeDecodeError)
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Problem(BaseModel):
    """What every refusal looks like (RFC 9457)."""

    type: str = Field(description="Stable for each code.", examples=["/problems/not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="One sentence for a person.")
    code: str = Field(description="Stable, for a program.", examples=["NOT_FOUND"])
    errors: list[dict[str, Any]] = Field(
        default=[], description="With 422: `loc`, `msg` and `type` of each field that can't be."
    )


def documented(*kinds: type[errors.ServiceError]) -> dict[int | str, dict[str, Any]]:
    """The refusals of an endpoint, for its `responses`."""
    answers: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        answer = answers.setdefault(status_of(kind), {"description": "", "content": PROBLEM_CONTENT})
        answer["description"] += f"`{kind.code}`: {' '.join((kind.__doc__ or '').split())}\n\n"
    return answers


PROBLEM_CONTENT = {"application/problem+json": {"schema": Problem.model_json_schema()}}
ANY_PROBLEM: dict[int | str, dict[str, Any]] = {"default": {"description": "A refusal.", "content": PROBLEM_CONTENT}}


def status_of(kind: type[errors.ServiceError]) -> int:
    """The HTTP status of an error, which is that of its nearest kind."""
    return next(int(STATUSES[ancestor]) for ancestor in kind.__mro__ if ancestor in STATUSES)


def install(app: FastAPI) -> None:
    """Let `app` answer refusals as problems."""
    app.add_exception_handler(errors.ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(PlanError, _bad_plan)
    app.add_exception_handler(DataError, _unstorable)
    for away in DATABASE_AWAY:
        app.add_exception_handler(away, _database_away)


def problem(
    *,
    status: int,
    code: str,
    detail: str,
    headers: dict[str, str] | None = None,
    field_errors: list[dict[str, Any]] | None = None,
) -> JSONResponse:
    """One refusal as a response."""
    body: dict[str, Any] = {
        "type": f"/problems/{code.lower().replace('_', '-')}",
        "title": code.replace("_", " ").capitalize(),
        "status": int(status),
        "detail": detail,
        "code": code,
    }
    if field_errors is not None:
        body["errors"] = field_errors
    return _ProblemResponse(body, status_code=int(status), headers=headers)


class _ProblemResponse(JSONResponse):
    """Tells also of what was sent, which may be no valid Unicode."""

    media_type = "application/problem+json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False).encode(errors="replace")


def unexpected() -> JSONResponse:
    """The answer to what nobody thought of; it tells nothing of the inside."""
    return problem(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        code="INTERNAL",
        detail="Something went wrong here; it was logged under this request's id.",
    )


def _service_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.ServiceError)
    status = status_of(type(error))
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(status=status, code=error.code, detail=error.message, headers=headers)


def _bad_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    if (wanted := _other_kind(request, error.body)) is not None:
        return problem(
            status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            code=HTTP_CODES[HTTPStatus.UNSUPPORTED_MEDIA_TYPE],
            detail=f"Send the body as {wanted}, and say so in Content-Type.",
        )
    # What was sent is left out: it may be a password, and may not even be valid Unicode.
    field_errors = [{key: field[key] for key in ("loc", "msg", "type")} for field in error.errors()]
    first = field_errors[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or first["loc"][0]
    detail = f"{where}: {first['msg']}"
    if first["type"] == "json_invalid":
        detail = f"The body is no JSON from character {where} on."
    return problem(status=HTTPStatus.UNPROCESSABLE_ENTITY, code="INVALID", detail=detail, field_errors=field_errors)


def _other_kind(request: Request, body: Any) -> str | None:
    """What the body should have been, where it is of another kind."""
    if isinstance(body, bytes):
        # The framework leaves as it came what is not said to be JSON.
        return "application/json"
    says_form = request.headers.get("Content-Type", "").lower().startswith(FORMS)
    return FORMS[0] if isinstance(body, FormData) and not says_form else None


def _bad_plan(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PlanError)
    return problem(status=HTTPStatus.UNPROCESSABLE_ENTITY, code=error.code.name, detail=error.sentence)


def _http_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = HTTP_CODES.get(error.status_code, "REFUSED")
    headers = dict(error.headers) if error.headers else None
    detail = str(error.detail)
    if type(error.__cause__) in UNREADABLE:
        detail = "The body can't be read: it is nested too deeply, has too long a number or is not UTF-8."
    return problem(status=error.status_code, code=code, detail=detail, headers=headers)


def _unstorable(_: Request, __: Exception) -> JSONResponse:
    return problem(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        code="INVALID",
        detail="That holds a character or number that can't be stored.",
    )


def _database_away(request: Request, error: Exception) -> JSONResponse:
    logger.warning("database away", error=str(error))
    return _service_error(request, errors.Unavailable(retry_after_seconds=DATABASE_RETRY_SECONDS))
