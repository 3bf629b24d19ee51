"""Every refusal is a problem of one shape."""

import uuid

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from app import errors
from app.api import error_responses
from app.api.request_log import RequestLog
from fotograma.errors import PlanError


class ShelfEmpty(errors.NotFound):
    """The shelf is empty."""

    code = "SHELF_EMPTY"


@pytest.fixture(scope="module")
def failing() -> TestClient:
    """An API of which each address fails in its way."""
    app = FastAPI()
    error_responses.install(app)
    app.add_middleware(RequestLog)

    @app.get("/shelf")
    def shelf():
        raise ShelfEmpty

    @app.get("/busy")
    def busy():
        raise errors.TooMany("Not so fast.", retry_after_seconds=7)

    @app.get("/plan")
    def plan():
        raise PlanError("seconds must be more than 0")

    @app.get("/bug")
    def bug():
        raise RuntimeError("the inside of the machine")

    @app.get("/database")
    def database():
        create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none").connect()

    @app.get("/statement")
    def statement():
        raise AssertionError(text("SELECT secret FROM users"))

    return TestClient(app)


def test_problem_has_the_shape_of_rfc_9457(failing: TestClient):
    answer = failing.get("/shelf")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/problems/shelf-empty",
        "title": "Shelf empty",
        "status": 404,
        "detail": "The shelf is empty.",
        "code": "SHELF_EMPTY",
    }


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.NotFound, 404),
        (errors.Conflict, 409),
        (errors.Gone, 410),
        (errors.Invalid, 422),
        (errors.Unauthenticated, 401),
        (errors.Forbidden, 403),
        (errors.TooLarge, 413),
        (errors.TooMany, 429),
        (errors.QuotaExceeded, 507),
        (errors.Unavailable, 503),
    ],
)
def test_each_kind_has_its_status(kind: type[errors.ServiceError], status: int):
    assert error_responses.status_of(kind) == status


def test_every_kind_has_a_status():
    assert set(errors.ServiceError.__subclasses__()) == set(error_responses.STATUSES)


def test_too_many_says_when_to_come_again(failing: TestClient):
    answer = failing.get("/busy")

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


def test_plan_that_cannot_be_is_422(failing: TestClient):
    answer = failing.get("/plan")

    assert answer.status_code == 422
    assert (answer.json()["code"], answer.json()["detail"]) == ("BAD_PLAN", "seconds must be more than 0")


@pytest.mark.parametrize("path", ["/bug", "/statement"])
def test_unexpected_error_tells_nothing_of_the_inside(failing: TestClient, path: str):
    answer = failing.get(path)

    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "INTERNAL"
    assert not {"inside", "SELECT", "Error"} & set(answer.text.split())
    assert uuid.UUID(answer.headers["X-Request-Id"])


def test_database_away_is_503_to_be_tried_again(failing: TestClient):
    answer = failing.get("/database")

    assert answer.status_code == 503
    assert answer.json()["code"] == "UNAVAILABLE"
    assert int(answer.headers["Retry-After"]) > 0
    assert "127.0.0.1" not in answer.text


def test_unknown_address_is_404(client: TestClient):
    answer = client.get("/nowhere")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "NOT_FOUND"


def test_wrong_method_is_405(client: TestClient):
    answer = client.put("/users/me")

    assert answer.status_code == 405
    assert answer.json()["code"] == "METHOD_NOT_ALLOWED"
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"email": 1}', b'{"email": "\\ud800", "password": "\\ud800"}', b"[" * 100_000],
    ids=["nothing", "half", "list", "null", "number", "half a character", "pit of brackets"],
)
def test_body_that_is_no_request_is_a_problem(client: TestClient, body: bytes):
    answer = client.post("/users/", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code in {400, 422}
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"]


@pytest.mark.parametrize("says_its_length", [True, False])
def test_body_that_is_too_long_is_413(client: TestClient, says_its_length: bool):
    chunks = [b'{"email": "', b"x" * 2**20, b"x" * 2**20, b"x" * 2**20, b"x" * 2**20, b'"}']

    answer = client.post(
        "/users/",
        content=b"".join(chunks) if says_its_length else iter(chunks),
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "TOO_LARGE"


def test_every_answer_has_an_id_and_no_guessed_type(client: TestClient):
    first, second = client.get("/health/live"), client.get("/nowhere")

    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert first.headers["X-Content-Type-Options"] == second.headers["X-Content-Type-Options"] == "nosniff"


def test_documentation_tells_of_problems_and_of_signing_in(client: TestClient):
    document = client.get("/openapi.json").json()

    sign_up = document["paths"]["/users/"]["post"]["responses"]
    assert "EMAIL_TAKEN" in sign_up["409"]["description"]
    assert list(sign_up["default"]["content"]) == ["application/problem+json"]
    assert document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]["tokenUrl"] == (
        "/auth/token"
    )
    assert client.get("/docs").status_code == 200
