"""Routes that move whole scopes: a streamed export, and an import that is streamed to disk as it comes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from engram.formats import format_names
from engram.kernel.errors import Conflict, InvalidInput
from engram.serve import replies
from engram.serve.doors import Ids, Json, Read, Write, own_router
from engram.serve.problems import Busy
from engram.serve.service import Service

__all__ = ["router"]

router = own_router(tags=["Move in and out"])
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CHUNK = 1 << 16
_LINES = "application/x-ndjson"
_When = Annotated[str | None, Query(max_length=64, description="A time in ISO 8601.")]


@router.get(
    "/export",
    summary="Export a scope",
    response_class=StreamingResponse,
    responses={200: {"description": "JSON lines", "content": {_LINES: {"example": "{}"}}}},
)
async def export(reading: Read, ids: Ids, since: _When = None, until: _When = None) -> StreamingResponse:
    """A scope as JSON lines, which `POST /import` takes. It is complete before the first byte is sent."""
    with ExitStack() as held:
        await _room(reading.guard.service, held)
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="engram-")))
        path = folder / "export.jsonl"
        count = await reading.export(path, ids, {"since": since, "until": until})
        files = held.pop_all()
    headers = {"Content-Disposition": 'attachment; filename="engram.jsonl"', "Engram-Records": str(count)}
    return _Held(_parts(path), files, headers)


class _Held(StreamingResponse):
    """An answer from files that are gone when it has been sent, or given up."""

    def __init__(self, parts: AsyncIterator[bytes], files: ExitStack, headers: dict[str, str]) -> None:
        super().__init__(parts, media_type=_LINES, headers=headers)
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._files:
            await super().__call__(scope, receive, send)


async def _room(service: Service, held: ExitStack) -> None:
    """Take one of the places for files on disk until `held` is closed. Raises `Busy` where there is none."""
    if service.files.locked():
        raise Busy(f"{service.limits.files} exports and imports are under way; ask again")
    await service.files.acquire()
    held.callback(service.files.release)


async def _parts(path: Path) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        while part := await file.read(_CHUNK):
            yield part


@router.post(
    "/import",
    summary="Import a file",
    response_model=replies.ImportedOut,
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The file itself, as it is.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def import_(
    request: Request,
    writing: Write,
    ids: Ids,
    name: Annotated[str, Query(description="The file's name; its ending helps to tell its kind.")] = "import",
    format: Annotated[str | None, Query(max_length=40, description="How to read it; else found out.")] = None,
    infer: bool = True,
    dry_run: bool = False,
) -> Json:
    """Read an export of engram's own, or another program's. What is there already counts as duplicate.

    The body goes to disk as it comes. Of an export of engram's own no record may lie outside the scope.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput("name: expected a file's name: letters, digits, dots and dashes")
    if format is not None and format not in format_names():
        raise InvalidInput(f"format: {format!r} is unknown; it may be {', '.join(format_names())}")
    options: dict[str, Any] = {"format": format, "infer": infer, "dry_run": dry_run}
    writing.guard.require("write")
    with ExitStack() as held:
        await _room(writing.guard.service, held)
        folder = held.enter_context(tempfile.TemporaryDirectory(prefix="engram-"))
        path = Path(folder) / name
        async with await anyio.open_file(path, "wb") as file:
            async for part in request.stream():
                await file.write(part)
        try:
            imported = await writing.import_(path, ids, options)
        except (InvalidInput, Conflict) as error:  # they name the file by where it lies here
            raise type(error)(str(error).replace(f"{folder}/", "")) from error
    told = imported.to_dict()
    return Json({**told, "examples": [_placed(item, path) for item in told["examples"]]})


def _placed(left: dict[str, Any], path: Path) -> dict[str, Any]:
    """What was left out, named without the folder that the file lay in here."""
    return {**left, "place": str(left["place"]).replace(f"{path.parent}/", "")}
