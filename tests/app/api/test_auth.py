"""Signing in, renewing and signing out, as a client and as an attacker."""

import base64
import datetime
import hmac
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi.testclient import TestClient

from app.settings import get_settings

# Samples of each kind; 200 of them tell a tenth apart.
TIMED = int(os.environ.get("FOTOGRAMA_TIMED_SIGN_INS", "8"))


@pytest.fixture(scope="module")
def someone(make_user):
    return make_user()


def sign_in(client: TestClient, email: str, password: str):
    return client.post("/auth/token", data={"username": email, "password": password})


def bearer(access_token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access_token}"}


def test_sign_in_gives_a_pair(client: TestClient, make_user):
    user = make_user()

    answer = sign_in(client, f" {user.email.upper()} ", user.password)

    assert answer.status_code == 200
    pair = answer.json()
    assert pair.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (pair["token_type"], pair["expires_in"]) == ("bearer", 1800)
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.get("/users/me", headers=bearer(pair["access_token"])).status_code == 200


@pytest.mark.parametrize("email", [None, "nobody@example.com", "x" * 100_000])
def test_wrong_password_and_unknown_account_are_the_same_401(client: TestClient, make_user, email: str | None):
    answer = sign_in(client, email or make_user().email, "not the password")

    assert answer.status_code == 401
    assert answer.json()["code"] == "BAD_CREDENTIALS"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_address_that_cannot_be_stored_is_422(client: TestClient):
    answer = sign_in(client, "no\x00body@example.com", "not the password")

    assert answer.status_code == 422


def test_unknown_account_takes_as_long_as_a_wrong_password(client: TestClient, make_user):
    # In turn, so that whatever else this machine does falls on both.
    known, unknown = [], []
    for number in range(TIMED // 4):
        somewhere = TestClient(client.app, client=(f"2001:db8:0:{number:x}::1", 1234))
        email = make_user().email
        for _ in range(4):
            for address, seconds in ((email, known), (f"{secrets.token_hex(6)}@example.com", unknown)):
                begun = time.perf_counter()
                assert sign_in(somewhere, address, "not the password").status_code == 401
                seconds.append(time.perf_counter() - begun)

    # The hash takes nearly all of the time: without one it is a tenth and less.
    most = 1.1 if TIMED >= 200 else 2
    assert 1 / most < statistics.median(known) / statistics.median(unknown) < most


def test_fifth_failure_closes_the_account_for_this_address_only(client: TestClient, make_user):
    victim, other = make_user(), make_user()
    for _ in range(5):
        assert sign_in(client, victim.email, "a guess").status_code == 401

    refused = sign_in(client, victim.email.upper(), victim.password)

    assert refused.status_code == 429
    assert refused.json()["code"] == "TOO_MANY_SIGN_INS"
    assert 0 < int(refused.headers["Retry-After"]) <= 900
    assert sign_in(client, other.email, other.password).status_code == 200
    elsewhere = TestClient(client.app, client=("198.51.100.7", 1234))
    assert sign_in(elsewhere, victim.email, victim.password).status_code == 200


def test_good_sign_ins_are_not_counted(client: TestClient, make_user):
    user = make_user()

    answers = [sign_in(client, user.email, user.password).status_code for _ in range(8)]

    assert answers == [200] * 8


def test_crowd_of_guesses_is_limited_like_a_row_of_them(client: TestClient, make_user):
    user = make_user()

    with ThreadPoolExecutor(16) as crowd:
        answers = list(crowd.map(lambda _: sign_in(client, user.email, "a guess").status_code, range(24)))

    assert set(answers) == {401, 429}
    # Those under way when the limit is reached may still be told; none of them could have got in.
    assert answers.count(401) <= 5 + 4


def test_forwarded_address_of_a_stranger_is_not_believed(client: TestClient, make_user):
    user = make_user()

    answers = [
        client.post(
            "/auth/token",
            data={"username": user.email, "password": "a guess"},
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
        ).status_code
        for number in range(6)
    ]

    assert answers == [401] * 5 + [429]


def test_forwarded_address_of_a_trusted_proxy_is_the_address(environment: dict[str, str], make_user):
    user = make_user()
    code = (
        "import main\n"
        "from fastapi.testclient import TestClient\n"
        "with TestClient(main.app, client=('10.1.2.3', 1)) as client:\n"
        "    for number in range(6):\n"
        "        answer = client.post(\n"
        "            '/auth/token',\n"
        f"            data={{'username': {user.email!r}, 'password': 'a guess'}},\n"
        "            headers={'X-Forwarded-For': f'198.51.100.{number}'},\n"
        "        )\n"
        "        print(answer.status_code)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment, "TRUSTED_PROXIES": "192.0.2.1, 10.0.0.0/8"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.split() == ["401"] * 6, done.stderr


def test_refresh_rotates(client: TestClient, make_user):
    user = make_user()
    first = sign_in(client, user.email, user.password).json()

    answer = client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})

    assert answer.status_code == 200
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert client.get("/users/me", headers=bearer(second["access_token"])).status_code == 200
    assert client.post("/auth/refresh", json={"refresh_token": second["refresh_token"]}).status_code == 200


def test_refresh_token_used_twice_ends_its_session_and_no_other(client: TestClient, make_user):
    user = make_user()
    first = sign_in(client, user.email, user.password).json()
    second = client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]}).json()

    reuse = client.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})

    assert (reuse.status_code, reuse.json()["code"]) == (401, "BAD_TOKEN")
    assert client.post("/auth/refresh", json={"refresh_token": second["refresh_token"]}).status_code == 401
    assert client.get("/users/me", headers=bearer(second["access_token"])).status_code == 401
    assert client.get("/users/me", headers=user.headers).status_code == 200


def test_refresh_token_used_by_many_at_once_gives_one_pair_at_most(client: TestClient, make_user):
    user = make_user()
    token = sign_in(client, user.email, user.password).json()["refresh_token"]

    with ThreadPoolExecutor(8) as crowd:
        answers = list(
            crowd.map(lambda _: client.post("/auth/refresh", json={"refresh_token": token}).status_code, range(8))
        )

    assert sorted(answers) == [200] + [401] * 7


def test_unknown_refresh_token_is_401(client: TestClient):
    answer = client.post("/auth/refresh", json={"refresh_token": "made up"})

    assert answer.status_code == 401


def test_logout_ends_the_session_and_no_other(client: TestClient, make_user):
    user = make_user()
    pair = sign_in(client, user.email, user.password).json()

    answers = [client.post("/auth/logout", json={"refresh_token": pair["refresh_token"]}).status_code for _ in "12"]

    assert answers == [204, 204]
    assert client.get("/users/me", headers=bearer(pair["access_token"])).status_code == 401
    assert client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]}).status_code == 401
    assert client.get("/users/me", headers=user.headers).status_code == 200


def signing_key() -> bytes:
    return hmac.digest(get_settings().secret_key.get_secret_value().encode(), b"fotograma access token", "sha256")


def forged(claims: dict[str, Any], *, key: Any = None, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode({**claims, **changes}, key or signing_key(), algorithm=algorithm)


def tampered(token: str, **changes: Any) -> str:
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    changed = base64.urlsafe_b64encode(json.dumps({**claims, **changes}).encode()).rstrip(b"=").decode()
    return f"{head}.{changed}.{signature}"


def without(claims: dict[str, Any], name: str) -> str:
    return forged({key: value for key, value in claims.items() if key != name})


def rsa_key() -> bytes:
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


NOW = datetime.datetime.now(datetime.UTC)
ATTACKS: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "alg none": lambda _, claims: jwt.encode(claims, None, algorithm="none"),
    "RS256": lambda _, claims: forged(claims, key=rsa_key(), algorithm="RS256"),
    "HS512": lambda _, claims: forged(claims, algorithm="HS512"),
    "key of a stranger": lambda _, claims: forged(claims, key=secrets.token_bytes(32)),
    "the secret key itself": lambda _, claims: forged(claims, key=get_settings().secret_key.get_secret_value()),
    "expired": lambda _, claims: forged(claims, exp=NOW - datetime.timedelta(minutes=1)),
    "from the future": lambda _, claims: forged(claims, iat=NOW + datetime.timedelta(hours=1)),
    "another audience": lambda _, claims: forged(claims, aud="another"),
    "another issuer": lambda _, claims: forged(claims, iss="another"),
    "a version to come": lambda _, claims: forged(claims, ver=claims["ver"] + 1),
    "a session that never was": lambda _, claims: forged(claims, sid="0192f0c0-0000-7000-8000-000000000000"),
    "sub changed": lambda token, _: tampered(token, sub="0192f0c0-0000-7000-8000-000000000000"),
    "without exp": lambda _, claims: without(claims, "exp"),
    "without aud": lambda _, claims: without(claims, "aud"),
    "without sid": lambda _, claims: without(claims, "sid"),
    "cut": lambda token, _: token[:-4],
    "no token at all": lambda _, __: "x",
    "a pit of brackets": lambda _, __: base64.urlsafe_b64encode(b"[" * 20_000).decode() + ".e30.e30",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_forged_token_is_401(client: TestClient, someone, attack: Callable[[str, dict[str, Any]], str]):
    token = someone.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})

    good = client.get("/users/me", headers=bearer(forged(claims)))
    answer = client.get("/users/me", headers=bearer(attack(token, claims)))

    assert good.status_code == 200
    assert answer.status_code == 401
    assert answer.json()["code"] == "BAD_TOKEN"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}])
def test_without_token_is_401(client: TestClient, headers: dict[str, str]):
    answer = client.get("/users/me", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
