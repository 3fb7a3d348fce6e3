"""The webhooks as HTTP: an AdmissionReview is asked, and one is answered; what is none gets a 400.

An answer other than 200 counts as a failed webhook, which API servers are told to take as a refusal.
"""

from __future__ import annotations

from typing import Annotated, Final, cast

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import Response

from compliance.errors import InvalidInput
from gate.cluster.admission_review import AdmissionRequest, Answer, parse_review, to_json
from gate.cluster.reviews import Reviews
from gate.errors import Code, Fault
from gate.failures import answer_errors
from gate.telemetry.metrics import Metrics

MAX_BYTES: Final = 16 << 20
"""Of a question. API servers take objects of 3 MiB, and ask with the old one beside the new."""

router = APIRouter(prefix="/cluster")


def make_webhook(reviews: Reviews, metrics: Metrics) -> FastAPI:
    """The application at the address for API servers, which answers nothing else."""
    app = FastAPI(title="mlgate webhook", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.reviews = reviews
    app.state.metrics = metrics
    app.include_router(router)
    answer_errors(app)
    return app


async def _reviews(request: Request) -> Reviews:
    return cast(Reviews, request.app.state.reviews)


async def _question(request: Request) -> AdmissionRequest:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BYTES:
            raise Fault(413, Code.SIZE_INVALID, f"a question has at most {MAX_BYTES} bytes")
    try:
        return parse_review(bytes(data))
    except InvalidInput as error:
        raise Fault(400, Code.UNSUPPORTED, error.message) from error


TheReviews = Annotated[Reviews, Depends(_reviews)]
TheQuestion = Annotated[AdmissionRequest, Depends(_question)]


@router.post("/validate/{stage}")
async def validate(stage: str, question: TheQuestion, reviews: TheReviews, request: Request) -> Response:
    """Whether an object may run what it names, in namespaces of this stage."""
    return _told(request, question, await reviews.validate(question, stage))


@router.post("/pin/{stage}")
async def pin(stage: str, question: TheQuestion, reviews: TheReviews, request: Request) -> Response:
    """Digests in place of tags, in namespaces of this stage."""
    return _told(request, question, await reviews.pin(question, stage))


@router.post("/unlabelled")
async def unlabelled(question: TheQuestion, reviews: TheReviews, request: Request) -> Response:
    """That nothing runs in a namespace that says no stage."""
    return _told(request, question, reviews.unlabelled(question))


def _told(request: Request, question: AdmissionRequest, answer: Answer) -> Response:
    cast(Metrics, request.app.state.metrics).reviews.labels(answer.outcome).inc()
    return Response(to_json(question.uid, answer), media_type="application/json")
