"""Server-sent events: what changes in a scope, and what becomes of its owed work. Ids only, never a text."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import Header
from fastapi.responses import StreamingResponse

from engram.engine import queue
from engram.kernel.errors import InvalidInput
from engram.kernel.operations import Job
from engram.kernel.protocols import Entry, Position
from engram.kernel.scope import Scope
from engram.serve.doors import Ids, Read, own_router
from engram.serve.guard import Guard
from engram.serve.problems import Busy

__all__ = ["router"]

router = own_router(tags=["Events"])
_TYPE = "text/event-stream"
_LOOK = 0.2  # seconds between two looks at where the store's history stands, which takes microseconds
_BEAT = 10.0
_PAGE = 1000
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_SCOPE = {"tenant": "default", "user_id": "ana", "agent_id": None, "run_id": None}
_ID = "06GZV2VW5G00000002AFDVGQ3G"


def _event(name: str, data: Mapping[str, Any], id: int | None = None) -> str:
    head = "" if id is None else f"id: {id}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _stream_of(first: str) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI file tells of a stream, with its first event."""
    content = {_TYPE: {"schema": {"type": "string"}, "example": f"retry: 2000\n\n{first}"}}
    return {200: {"description": "A stream that stays open", "content": content}}


_CHANGES = _stream_of(
    _event("change", {"event": "written", "id": _ID, "version": 1, "kind": "episode", "scope": _SCOPE}, 7)
)
_JOBS = _stream_of(_event("job", {"id": _ID, "kind": "write", "status": "pending", "scope": _SCOPE}))


class _Stream:
    """An open stream: it ends with the service, with its key, and with whoever reads it."""

    def __init__(self, guard: Guard) -> None:
        self.guard, self.core = guard, guard.service.core
        self._beat = time.monotonic()

    async def ticks(self) -> AsyncIterator[str]:
        """Something to look for changes at, or (not empty) a sign of life to send on."""
        service = self.guard.service
        while not service.stopping.is_set():
            yield ""
            if time.monotonic() > self._beat + _BEAT:
                if not await service.keyring.still(self.guard.key):
                    return
                self._beat = time.monotonic()
                yield ": still here\n\n"
            await asyncio.sleep(_LOOK)

    async def changes(self, scope: Scope, after: int | None) -> AsyncIterator[str]:
        """What was written and closed since `after`; `None`: from now on."""
        start: Position = await asyncio.to_thread(self.core.store.sequence, scope.tenant)
        last, erasures = (start.last if after is None else after), start.erasures
        yield f"retry: 2000\nid: {last}\n\n"
        async for beat in self.ticks():
            if beat:
                yield beat
            now: Position = await asyncio.to_thread(self.core.store.sequence, scope.tenant)
            while now.last > last:
                entries: list[Entry] = await asyncio.to_thread(self.core.store.entries, scope, last, _PAGE)
                for entry in entries:
                    if entry.made_by in (None, self.core.policy.made_by):
                        yield _event("change", _change(scope, entry), entry.sequence)
                last = entries[-1].sequence if len(entries) == _PAGE else max(last, now.last)
            if now.erasures != erasures:
                erasures = now.erasures
                yield _event("erasure", {"note": "something was erased, here or elsewhere: look again"}, last)

    async def jobs(self, scope: Scope | None) -> AsyncIterator[str]:
        """What is owed, and each job that comes, changes or ends."""
        before: dict[str, str] = {}
        yield "retry: 2000\n\n"
        async for beat in self.ticks():
            if beat:
                yield beat
            found: list[Job] = await asyncio.to_thread(self.core.call, queue.owed, scope)
            now = {job.id: queue.state(self.core, job) for job in found}
            for job in found:
                if before.get(job.id) != now[job.id]:
                    yield _event("job", _job(job, now[job.id]))
            for id in before.keys() - now.keys():
                yield _event("job", {"id": id, "status": "ended"})
            before = now


@router.get("/events/changes", summary="Changes", response_class=StreamingResponse, responses=_CHANGES)
async def changes(
    reading: Read,
    ids: Ids,
    last_event_id: Annotated[str | None, Header(max_length=32, description="Go on behind it.")] = None,
) -> StreamingResponse:
    """An event for each version that is written or closed in a scope: its id, never its text.

    Whoever was cut off goes on behind the last event's id. `erasure` says that something was erased, perhaps
    in another scope: what is gone has no id any more.
    """
    after = None if last_event_id is None else _place(last_event_id)
    with reading.guard.passing("events.changes", "read", reading.guard.reach(ids)) as passage:
        scope = passage.scope
    return await _opened(reading.guard, _Stream(reading.guard).changes(scope, after))


@router.get("/events/jobs", summary="Owed work", response_class=StreamingResponse, responses=_JOBS)
async def jobs(reading: Read, ids: Ids) -> StreamingResponse:
    """An event for each job of a scope that is owed, changes its status, or ends."""
    with reading.guard.passing("events.jobs", "read", reading.guard.reach(ids)) as passage:
        lane = passage.lane
    return await _opened(reading.guard, _Stream(reading.guard).jobs(lane))


async def _opened(guard: Guard, events: AsyncIterator[str]) -> StreamingResponse:
    """The response of a stream, where there is room for one more."""
    if guard.service.streams.locked():
        raise Busy(f"{guard.service.limits.streams} event streams are open; close one")

    async def sent() -> AsyncIterator[str]:
        async with guard.service.streams:
            async for event in events:
                if not await guard.service.keyring.still(guard.key):
                    return  # before it tells anything more
                yield event

    return StreamingResponse(sent(), media_type=_TYPE, headers=_HEADERS)


def _change(scope: Scope, entry: Entry) -> dict[str, Any]:
    whose = Scope(scope.tenant, entry.user_id, entry.agent_id, entry.run_id).to_dict()
    event = "closed" if entry.closed else "written"
    return {"event": event, "id": entry.id, "version": entry.version, "kind": entry.kind, "scope": whose}


def _job(job: Job, status: str) -> dict[str, Any]:
    return {"id": job.id, "kind": job.kind, "status": status, "scope": job.scope.to_dict()}


def _place(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidInput("Last-Event-ID: expected the id of an event of this stream")
    return int(text)
