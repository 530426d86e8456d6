"""Routes that move whole scopes: a streamed export, and an import that is streamed to disk as it comes."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import zipfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
from fastapi import Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from engram.engine.results import Left
from engram.formats import format_names
from engram.kernel.errors import Conflict, Forbidden, InvalidInput
from engram.serve import replies
from engram.serve.doors import Ids, Json, Read, Write, own_router
from engram.serve.problems import Busy
from engram.serve.service import Service

__all__ = ["router"]

router = own_router(tags=["Move in and out"])
_NAME = re.compile(r"[\w(][\w.,()+@#&' -]{0,99}")
_MOST_LEFT = 100_000
_PACKED = "application/zip"
_LONGEST_NAME = 200
_CHUNK = 1 << 16
_LINES = "application/x-ndjson"
_TIME = "2024-05-02T10:00:00+00:00"
_SPAN = {"start": _TIME, "end": None}
_SAMPLE = "".join(
    json.dumps(line) + "\n"
    for line in (
        {"type": "header", "format": "engram-export/2", "analyser": "engram-analyser/1", "embedder": None},
        {
            "type": "record", "id": "06GZV2VW5G00000002AFDVGQ3G", "kind": "episode", "level": 0,
            "text": "I moved to Lisbon in May.", "origin": None, "role": "user", "name": None, "time": _TIME,
            "scope": {"tenant": "default", "user_id": "ana", "agent_id": None, "run_id": None},
            "valid": _SPAN, "known": _SPAN, "sources": [], "made_by": None, "strength": 1.0, "trust": 1.0,
            "metadata": {}, "payload": {"$text": True, "role": "user"}, "expires": None, "versions": [],
            "changes": [[1, None]],
        },
        {"type": "change_set", "id": 1, "opened": 1, "closed": 0},
        {"type": "end", "lines": 2},
    )
)  # fmt: skip
"""An export of one record, for the OpenAPI file."""
_FILE = {"schema": {"type": "string", "format": "binary"}, "example": _SAMPLE}
_When = Annotated[str | None, Query(max_length=64, description="A time in ISO 8601.")]


@router.get(
    "/export",
    summary="Export a scope",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "JSON lines, or an archive of pages",
            "content": {
                _LINES: {"schema": {"type": "string"}, "example": _SAMPLE},
                _PACKED: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def export(
    reading: Read,
    ids: Ids,
    since: _When = None,
    until: _When = None,
    format: Annotated[Literal["jsonl", "markdown"], Query(description="Lines, or pages to read.")] = "jsonl",
    topics: Annotated[list[str] | None, Query(max_length=100, description="A page of Markdown each.")] = None,
) -> StreamingResponse:
    """A scope as JSON lines, which `POST /import` takes, or as a zip archive of Markdown.

    It is complete before the first byte is sent.
    """
    options = {"since": since, "until": until, "format": format, "topics": topics or ()}
    with ExitStack() as held:
        await _room(reading.guard.service, held)
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="engram-")))
        path = folder / "export"
        count = await reading.export(path, ids, options)
        if format == "markdown":
            path = await asyncio.to_thread(_packed, path, folder / "export.zip")
        files = held.pop_all()
    name = "engram.zip" if format == "markdown" else "engram.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Engram-Records": str(count)}
    return _Held(_parts(path), files, headers, _PACKED if format == "markdown" else _LINES)


def _packed(folder: Path, goal: Path) -> Path:
    """An archive of a folder: the same pages give the same bytes."""
    with zipfile.ZipFile(goal, "w") as archive:
        for page in sorted(folder.rglob("*.md")):
            info = zipfile.ZipInfo(page.relative_to(folder).as_posix())
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, page.read_bytes())
    return goal


class _Held(StreamingResponse):
    """An answer from files that are gone when it has been sent, or given up."""

    def __init__(
        self, parts: AsyncIterator[bytes], files: ExitStack, headers: dict[str, str], media_type: str
    ) -> None:
        super().__init__(parts, media_type=media_type, headers=headers)
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
            "content": {"application/octet-stream": _FILE},
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
    every: Annotated[
        bool, Query(description="Tell each thing left out, in `left`: the first 100,000.")
    ] = False,
) -> Json:
    """Read an export of engram's own, or another program's. What is there already counts as duplicate.

    The body goes to disk as it comes. Of an export of engram's own no record may lie outside the scope.
    """
    if not _NAME.fullmatch(name) or len(name.encode()) > _LONGEST_NAME:
        raise InvalidInput("name: expected a file's name: letters, digits, dots, dashes and blanks")
    if format is not None and format not in format_names():
        raise InvalidInput(f"format: {format!r} is unknown; it may be {', '.join(format_names())}")
    left: list[Left] = []
    options: dict[str, Any] = {"format": format, "infer": infer, "dry_run": dry_run}
    if every:
        options["on_skip"] = lambda item: left.append(item) if len(left) < _MOST_LEFT else None
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
        except (InvalidInput, Conflict, Forbidden) as error:  # they name the file by where it lies here
            raise type(error)(str(error).replace(f"{folder}/", "")) from error
    told = imported.to_dict()
    each = {"left": [_placed(item.to_dict(), path) for item in left]} if every else {}
    return Json({**told, "examples": [_placed(item, path) for item in told["examples"]], **each})


def _placed(left: dict[str, Any], path: Path) -> dict[str, Any]:
    """What was left out, named without the folder that the file lay in here."""
    return {**left, "place": str(left["place"]).replace(f"{path.parent}/", "")}
