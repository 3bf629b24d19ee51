"""What users choose for themselves, what comes of it, and what of their share is taken."""

import uuid

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.database import open_session
from app.extractions import lifecycle
from app.notifications.models import Email

pytestmark = pytest.mark.usefixtures("leaves_no_work")


@pytest.fixture
def user(make_user):
    return make_user()


def upload(client: TestClient, user, *, filename: str = "a.mp4", **fields: str) -> dict:
    answer = client.post("/videos/upload", files={"file": (filename, b"no")}, data=fields, headers=user.headers)
    assert answer.status_code == 202, answer.text
    return answer.json()


def change(client: TestClient, user, **values: object):
    return client.patch("/users/me", headers=user.headers, json=values)


def test_choices_are_kept_and_what_is_left_out_stays(client: TestClient, user):
    plan = {"mode": "count", "n": 3}

    first = change(client, user, time_zone="America/Sao_Paulo", mail=False, default_plan=plan)
    second = change(client, user, locale="pt")

    assert first.status_code == second.status_code == 200
    me = client.get("/users/me", headers=user.headers).json()
    assert me == second.json()
    assert (me["time_zone"], me["mail"], me["default_plan"]) == ("America/Sao_Paulo", False, plan)
    assert change(client, user, default_plan=None).json()["default_plan"] is None


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"time_zone": "Mars/Olympus"}, "INVALID"),
        ({"time_zone": "../../etc/passwd"}, "INVALID"),
        ({"default_plan": {"mode": "every"}}, "BAD_PLAN"),
        ({"default_plan": {"mode": "every", "seconds": 1, "nonsense": 2}}, "BAD_PLAN"),
    ],
)
def test_what_cannot_be_chosen_is_422(client: TestClient, user, values: dict, code: str):
    answer = change(client, user, **values)

    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_own_plan_is_for_uploads_that_say_nothing(client: TestClient, user):
    plan = {"mode": "count", "n": 3}
    change(client, user, default_plan=plan)

    plans = [upload(client, user)["plan"], upload(client, user, interval="2")["plan"]]
    begun = client.post("/uploads/", headers={**user.headers, "Tus-Resumable": "1.0.0", "Upload-Length": "0"})
    resumable = client.get(begun.headers["Content-Location"], headers=user.headers).json()["plan"]

    assert [*plans, resumable] == [plan, {"mode": "every", "seconds": 2}, plan]


@pytest.mark.parametrize(("mail", "mails"), [(True, 1), (False, 0)])
def test_outcome_is_mailed_to_those_who_want_it(client: TestClient, user, mail: bool, mails: int):
    change(client, user, mail=mail)
    extraction_id = uuid.UUID(upload(client, user)["extraction_id"])

    with open_session() as session:
        assert lifecycle.fail(session, extraction_id, code="NOT_A_VIDEO", message="No video.")
        owed = session.scalars(select(Email).where(Email.extraction_id == extraction_id)).all()

    assert len(owed) == mails


def test_usage_counts_what_is_there(client: TestClient, user):
    upload(client, user)
    upload(client, user, extract="false")
    client.post("/uploads/", headers={**user.headers, "Tus-Resumable": "1.0.0", "Upload-Length": "1000"})

    usage = client.get("/users/me/usage", headers=user.headers).json()

    assert usage == {
        "stored_bytes": 1004,
        "stored_max_bytes": 100 * 2**30,
        "videos": 2,
        "videos_max": 10_000,
        "extractions_running": 0,
        "extractions_running_max": 4,
        "extractions_waiting": 1,
        "extractions_waiting_max": 1000,
        # What has begun counts: else any number could be begun at once.
        "uploads_today": 3,
        "uploads_a_day_max": 1000,
        "upload_max_bytes": 10 * 2**30,
        "direct_upload_max_bytes": 0,
    }


def test_videos_are_found_by_a_part_of_their_name(client: TestClient, user, make_user):
    names = ["Férias 100%.mp4", "ferias_1.mp4", "FÉRIAS.mov", "\\odd.mp4"]
    for name in names:
        upload(client, user, filename=name, extract="false")
    upload(client, make_user(), filename="Férias.mp4")

    def found(search: str, **more: object) -> list[str]:
        answer = client.get("/videos/status", params={"search": search, **more}, headers=user.headers)
        return [item["filename"] for item in answer.json()["items"]]

    # The second is the same word with its accents written apart.
    assert found("férias") == found("FE\u0301RIAS") == ["FÉRIAS.mov", "Férias 100%.mp4"]
    assert found("%") == ["Férias 100%.mp4"]
    assert found("_") == ["ferias_1.mp4"]
    assert found(".") == list(reversed([name.removeprefix("\\") for name in names]))
    assert found("[a-z]") == found("\\d") == found("(") == found("***:.") == []
    assert found("férias", limit=1) == ["FÉRIAS.mov"]
    assert found("férias", status="READY") == []
    assert found("nothing") == []
