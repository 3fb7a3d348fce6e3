"""Pages on which uploaded policies are tried out on what was judged before."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Annotated, Final

from fastapi import Depends, Request
from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import RedirectResponse, Response

from gate.api.view import View
from gate.blob_size import says_too_much
from gate.errors import Code, Fault
from gate.identity.permissions import Action
from gate.pages.rendering import HEADERS
from gate.pages.route import OWN_FORM, ThePageView, page_router, shown
from gate.previews.evidence import Reviewable
from gate.previews.messages import Uploaded
from gate.previews.previews import Preview

router = page_router()

MAX_UPLOAD: Final = 16 << 20
MAX_FILES: Final = 200
PATIENCE: Final = 10.0
"""Seconds that a page waits for the end, so that most are there at once and nobody has to look again."""

_FIELD: Final = "policies"


async def _reviews(view: ThePageView) -> View:
    if not view.reader.patterns(Action.REVIEW):
        raise Fault(404, Code.UNKNOWN, "there is no such page")
    return view


TheReview = Annotated[View, Depends(_reviews)]


@router.get("/impact")
async def ask(view: TheReview) -> Response:
    previews = view.service.previews.of(view.reader.name)
    return shown("impact.html", view, title="Impact of policies", previews=previews)


@router.post("/impact", dependencies=[OWN_FORM])
async def begin(view: TheReview, request: Request) -> Response:
    """Take the files, and lead to the page of what comes of them."""
    previews, name = view.service.previews, view.reader.name
    previews.require_room(name)
    directory = await asyncio.to_thread(previews.new_place)
    try:
        files = await _received(request, directory)
        evidence = Reviewable(view.service.store.published, view.reader)
        preview = previews.begin(name, directory, files, view.service.now(), evidence)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        raise
    return RedirectResponse(f"/impact/{preview.id}", 303, HEADERS)


@router.get("/impact/{id_}")
async def read(id_: str, view: TheReview) -> Response:
    """What came of it, or how far it is."""
    preview = _found(view, id_)
    try:
        async with asyncio.timeout(PATIENCE):
            await preview.ended.wait()
    except TimeoutError:
        pass
    seen = [one for one in (*preview.lost, *preview.others) if view.reader.may(Action.REVIEW, one.repository)]
    return await asyncio.to_thread(
        shown, "preview.html", view, title="Impact of policies", preview=preview, changes=seen
    )


@router.post("/impact/{id_}/stop", dependencies=[OWN_FORM])
async def stop(id_: str, view: TheReview) -> Response:
    preview = _found(view, id_)
    preview.stop()
    return RedirectResponse(f"/impact/{preview.id}", 303, HEADERS)


def _found(view: View, id_: str) -> Preview:
    found = view.service.previews.find(id_, view.reader.name)
    if found is None:
        raise Fault(404, Code.UNKNOWN, "there is no such preview, or not any more; upload the policies again")
    return found


async def _received(request: Request, directory: Path) -> tuple[Uploaded, ...]:
    """The uploaded files, stored under names of the gate's own. Raises the 400 or 413 answer."""
    if says_too_much(request.headers, MAX_UPLOAD):
        raise _too_large()
    parser = MultiPartParser(
        request.headers, _bounded(request.stream()), max_files=MAX_FILES, max_fields=10, max_part_size=1024
    )
    if not request.headers.get("Content-Type", "").startswith("multipart/form-data"):
        raise Fault(400, Code.UNSUPPORTED, "the body is not a form with files")
    try:
        form = await parser.parse()
    except (MultiPartException, MultipartParseError, KeyError, ValueError) as error:
        raise Fault(400, Code.UNSUPPORTED, "the form cannot be read, or has too many files") from error
    try:
        return await asyncio.to_thread(_store, form, directory)
    finally:
        await form.close()


def _store(form: FormData, directory: Path) -> tuple[Uploaded, ...]:
    files = [one for one in form.getlist(_FIELD) if isinstance(one, UploadFile) and one.filename]
    if not files:
        raise Fault(400, Code.UNSUPPORTED, "no file was chosen")
    stored = []
    for number, one in enumerate(files):
        with (directory / f"{number}").open("wb") as target:
            shutil.copyfileobj(one.file, target)
        stored.append(Uploaded(name=(one.filename or "")[:200], stored=f"{number}"))
    return tuple(stored)


async def _bounded(body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    left = MAX_UPLOAD
    async for chunk in body:
        left -= len(chunk)
        if left < 0:
            raise _too_large()
        yield chunk


def _too_large() -> Fault:
    return Fault(413, Code.SIZE_INVALID, f"files of {MAX_UPLOAD >> 20} MiB may be uploaded at once, all together")
