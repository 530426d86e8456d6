"""`/engram/v1/audit`: who read and changed what, for admins, as far as their keys reach."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict

from engram.kernel.clock import parse_time
from engram.kernel.errors import NotFound
from engram.serve.audit import OUTPUT
from engram.serve.doors import Ids, Json, Page, guarded, own_router
from engram.serve.guard import Given, Guard
from engram.serve.trail import Line, Trail, Wanted, read_trail

__all__ = ["AuditLine", "AuditOut", "router"]

router = own_router(tags=["Audit"])
_LINE: dict[str, Any] = {
    "time": "2026-03-01T09:00:00+00:00",
    "request": "5d4c7f0a1b2c3d4e",
    "key": "5f0c2d9be1a4",
    "call": "search",
    "scope": {"tenant": "acme", "user_id": "ana"},
    "ids": ["06GZV2VW5G00000002AFDVGQ3G"],
    "count": 1,
    "outcome": "done",
}
_EXAMPLE: dict[str, Any] = {"items": [_LINE], "next": None, "damaged": 0}
_Moment = Annotated[str | None, Query(max_length=64, description="A time in ISO 8601.")]
_Name = Annotated[str | None, Query(min_length=1, max_length=512)]


class AuditLine(BaseModel):
    """One call: when, by which request and key, whose memory, which records, and what came of it."""

    time: str
    request: str
    key: str
    call: str
    scope: dict[str, str]
    ids: list[str]
    count: int
    outcome: str


class AuditOut(BaseModel):
    """Lines of the audit, newest first; a page may be short though `next` goes on.

    `damaged` counts lines that were looked at and cannot be read.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})
    items: list[AuditLine]
    next: str | None
    damaged: int


@router.get("/audit", response_model=AuditOut, summary="Who read and changed what")
async def audit(
    guard: Annotated[Guard, Depends(guarded)],
    ids: Ids,
    page: Page,
    since: _Moment = None,
    until: _Moment = None,
    key: _Name = None,
    call: _Name = None,
    record: _Name = None,
) -> Json:
    """Lines about the scopes that the key reaches, and about keys within its reach; for admin keys.

    By time (`since` included, `until` not), the id of the key that called, the call, a record's id, and the
    scope's ids. Files beside it that it was rotated into (`.1`, `-20261121`) are read too, packed ones not.
    """
    given = {"since": since, "until": until}
    first, last = (None if text is None else parse_time(text, name)[0] for name, text in given.items())
    scope = {name: id for name, id in ids.items() if id is not None}
    found = await _seen(guard, Wanted(first, last, key, call, record, scope), page)
    return Json({"items": found.items, "next": found.next, "damaged": found.damaged})


async def _seen(guard: Guard, wanted: Wanted, page: tuple[str | None, int]) -> Trail:
    """A page of what the key may see, which is written down itself."""
    with guard.passing("audit", "admin", {}) as passage:
        path = guard.service.audit.path
        if path is None or path == OUTPUT:
            raise NotFound("this service keeps no audit that can be read here; start it with --audit FILE")
        near = await _near(guard)

        def sees(line: Line) -> bool:
            return _reaches(guard, line["scope"]) if line["scope"].get("tenant") else line["key"] in near

        found = await asyncio.to_thread(read_trail, path, wanted, sees, *page)
        passage.saw([], len(found.items))
    return found


async def _near(guard: Guard) -> frozenset[str]:
    """The ids of keys that reach no further than this one: what is told of no scope, was their call."""
    keys = await asyncio.to_thread(guard.service.keyring.store.all)
    return frozenset(key.id for key in keys if guard.key.includes(key.tenant, key.users))


def _reaches(guard: Guard, scope: Given) -> bool:
    return guard.key.covers(scope["tenant"] or "", scope.get("user_id"))
