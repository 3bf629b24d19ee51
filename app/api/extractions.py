"""Extractions: more of them of a video, how far each is, its archive, its end, and what one would cost."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from app.api import archives
from app.api.dependencies import CurrentUser, CurrentVideo, SessionDep, StorageDep, look
from app.api.error_responses import documented
from app.api.plans import BadPlan, plan_of_json
from app.api.schemas import EstimateView, ExtractionView, LinkView
from app.extractions import lifecycle, queries
from app.extractions.errors import (
    ArchiveExpired,
    ExtractionEnded,
    ExtractionNotFound,
    NothingReady,
    NotProbed,
    TooManyWaiting,
)
from app.extractions.states import ExtractionState
from app.storage import SignedUrl
from app.videos.errors import VideoNotFound
from fotograma.estimate import Estimate

router = APIRouter(tags=["extractions"])

PlanJson = Annotated[
    dict[str, Any],
    Body(
        description="Which frames and how they are written.",
        examples=[{"mode": "every", "seconds": 2, "format": "png"}, {"mode": "count", "n": 12, "width": 640}],
    ),
]


@router.get("/videos/{video_id}/extractions", response_model=list[ExtractionView], responses=documented(VideoNotFound))
async def list_extractions(video_id: uuid.UUID, user: CurrentUser) -> list[ExtractionState]:
    """All extractions of a video, newest first."""
    return await look(queries.list_extractions, video_id, user_id=user.id)


@router.post(
    "/videos/{video_id}/extractions",
    status_code=202,
    response_model=ExtractionView,
    responses=documented(VideoNotFound, BadPlan, TooManyWaiting),
)
def request_extraction(video: CurrentVideo, session: SessionDep, plan: PlanJson, response: Response) -> ExtractionState:
    """Take other frames of a video that is here already."""
    extraction = lifecycle.request_extraction(session, video, plan=plan_of_json(plan))
    response.headers["Location"] = f"/extractions/{extraction.id}"
    return ExtractionState(extraction=extraction, video=video, frames_done=0)


@router.post(
    "/videos/{video_id}/estimate",
    response_model=EstimateView,
    responses=documented(VideoNotFound, BadPlan, NotProbed),
)
def estimate_extraction(video: CurrentVideo, plan: PlanJson) -> Estimate:
    """What a plan would give of a video, without decoding any of it."""
    return queries.estimate_extraction(video, plan=plan_of_json(plan))


@router.get("/extractions/{extraction_id}", response_model=ExtractionView, responses=documented(ExtractionNotFound))
async def get_extraction(extraction_id: uuid.UUID, user: CurrentUser) -> ExtractionState:
    """One extraction and how far it is."""
    return await look(queries.extraction_state, extraction_id, user_id=user.id)


@router.post(
    "/extractions/{extraction_id}/cancel",
    status_code=202,
    response_model=ExtractionView,
    responses=documented(ExtractionNotFound, ExtractionEnded),
)
def cancel_extraction(extraction_id: uuid.UUID, session: SessionDep, user: CurrentUser) -> ExtractionState:
    """Stop an extraction: what waits never begins, what runs ends within seconds, and nobody is mailed."""
    state = queries.extraction_state(session, extraction_id, user_id=user.id)
    lifecycle.cancel(session, state.extraction)
    return state


@router.get(
    "/extractions/{extraction_id}/download",
    response_class=Response,
    responses={
        200: {"content": {"application/zip": {}}},
        **documented(ExtractionNotFound, NothingReady, ArchiveExpired),
    },
)
def download(
    extraction_id: uuid.UUID, session: SessionDep, user: CurrentUser, storage: StorageDep, request: Request
) -> Response:
    """The frames as a ZIP. A download that broke off can be resumed (`Range`)."""
    archive = queries.archive_of(session, extraction_id, user_id=user.id)
    return archives.archive_response(storage, archive, request=request, session=session, user=user)


@router.get(
    "/extractions/{extraction_id}/download-url",
    response_model=LinkView,
    responses=documented(ExtractionNotFound, NothingReady, ArchiveExpired),
)
def get_download_url(
    extraction_id: uuid.UUID, session: SessionDep, user: CurrentUser, storage: StorageDep
) -> SignedUrl:
    """A link to the same ZIP that needs no login and works for a limited time."""
    archive = queries.archive_of(session, extraction_id, user_id=user.id)
    return archives.archive_link(storage, archive, session=session, user=user)
