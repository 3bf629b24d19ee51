"""Videos that are fetched from elsewhere."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.api.dependencies import CurrentUser, SessionDep
from app.api.error_responses import documented
from app.api.plans import BadPlan, default_plan, plan_of_json
from app.api.schemas import VideoView
from app.errors import Unauthenticated
from app.extractions import admission
from app.extractions.errors import ImportsOff, TooManyWaiting
from app.extractions.states import VideoState
from app.outbound import AddressRefused
from app.videos.errors import NoRoomLeft

router = APIRouter(prefix="/videos", tags=["videos"])


class Import(BaseModel):
    """What to fetch, and which frames of it."""

    url: Annotated[str, Field(max_length=2048, description="Of http or https.", examples=["https://example.com/a.mp4"])]
    plan: dict[str, Any] | None = Field(
        default=None,
        description="Which frames and how they are written; without it your `default_plan`, or one frame a second.",
        examples=[{"mode": "every", "seconds": 2}],
    )
    extract: bool = Field(default=True, description="`false`: only look at the video.")


@router.post(
    "/import",
    status_code=202,
    response_model=VideoView,
    responses=documented(Unauthenticated, ImportsOff, BadPlan, AddressRefused, TooManyWaiting, NoRoomLeft),
)
def import_video(asked: Import, response: Response, session: SessionDep, user: CurrentUser) -> VideoState:
    """Have a video fetched from an address that anybody can download from; `bytes` is 0 until it is here.

    What goes wrong while it is fetched makes it FAILED. Operators switch this on by `IMPORT_BY_URL`.
    """
    plan = None
    if asked.extract:
        plan = default_plan(user) if asked.plan is None else plan_of_json(asked.plan)
    state = admission.begin_import(session, user_id=user.id, url=asked.url, plan=plan)
    response.headers["Location"] = f"/videos/{state.video.id}"
    return state
