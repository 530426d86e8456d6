"""mem0's routes: those of its open-source server, and those of its platform that `MemoryClient` calls.

Written from what the open-source server (`server/main.py` of mem0ai/mem0, Apache-2.0) answers and from the
calls of mem0ai 2.2's client. docs/serving.md tells what differs.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from engram.kernel.errors import Forbidden
from engram.serve import mem0_calls
from engram.serve import mem0_replies as replies
from engram.serve.doors import PROBLEMS, Json, Read, Write
from engram.serve.mem0_filters import literal, wanted
from engram.serve.mem0_shapes import (
    AddMemories,
    BatchDelete,
    BatchUpdate,
    ListMemories,
    SearchMemories,
    UpdateMemory,
    memory_of,
    versions_of,
)
from engram.serve.reading import Reading
from engram.serve.writing import Writing

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS)
Tags = list[str | Enum]
_SERVER: Tags = ["mem0: open-source server"]
_PLATFORM: Tags = ["mem0: platform"]
_NOBODY: dict[str, str | None] = {}
MemoryId = Annotated[str, Path(max_length=512, description="A memory's id.")]
Who = Annotated[str | None, Query(min_length=1, max_length=512)]
Held = Annotated[str | None, Query(max_length=4096, description="An object of filters, as JSON.")]


@router.post("/memories", tags=_SERVER, response_model=replies.AddedOut, summary="Create memories")
@router.post("/v3/memories/add/", tags=_PLATFORM, response_model=replies.AddedOut, summary="Add memories")
async def add(body: AddMemories, writing: Write) -> Json:
    """Store messages, and tell what memories were made of them."""
    return Json(await mem0_calls.add(body, writing))


@router.post("/search", tags=_SERVER, response_model=replies.SearchedOut, summary="Search memories")
@router.post(
    "/v3/memories/search/", tags=_PLATFORM, response_model=replies.SearchedOut, summary="Search memories"
)
async def search(body: SearchMemories, reading: Read) -> Json:
    """The best memories for a query."""
    return Json(await mem0_calls.searched(body, reading))


@router.get("/memories", tags=_SERVER, response_model=replies.MemoriesOut, summary="Get memories")
async def get_all(
    reading: Read,
    user_id: Who = None,
    agent_id: Who = None,
    run_id: Who = None,
    app_id: Who = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Json:
    """The first memories of a user, an agent or a run, in order of arrival."""
    given = {"user_id": user_id, "agent_id": agent_id, "run_id": run_id, "app_id": app_id}
    asked = ListMemories.model_validate(given)
    results: list[dict[str, Any]] = []
    async for record in mem0_calls.listed(asked, reading):
        results.append(memory_of(record))
        if len(results) == limit:
            break
    return Json({"results": results})


@router.post("/v3/memories/", tags=_PLATFORM, response_model=replies.MemoryPageOut, summary="Get memories")
async def get_page(
    body: ListMemories,
    reading: Read,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Json:
    """A page of memories, with the number of all of them."""
    first, count = (page - 1) * page_size, 0
    results: list[dict[str, Any]] = []
    async for record in mem0_calls.listed(body, reading):
        if first <= count < first + page_size:
            results.append(memory_of(record))
        count += 1
    more = count > first + page_size
    told: dict[str, Any] = {
        "count": count,
        "next": f"/v3/memories/?page={page + 1}&page_size={page_size}" if more else None,
        "previous": f"/v3/memories/?page={page - 1}&page_size={page_size}" if page > 1 else None,
        "results": results,
    }
    return Json(told)


@router.get("/memories/{memory_id}", tags=_SERVER, response_model=replies.MemoryOut, summary="Get a memory")
@router.get(
    "/v1/memories/{memory_id}/", tags=_PLATFORM, response_model=replies.MemoryOut, summary="Get a memory"
)
async def get(memory_id: MemoryId, reading: Read) -> Json:
    """One memory."""
    return Json(memory_of(await reading.get(memory_id, _NOBODY)))


@router.get(
    "/memories/{memory_id}/history",
    tags=_SERVER,
    response_model=replies.ChangesOut,
    summary="Get a memory's history",
)
@router.get(
    "/v1/memories/{memory_id}/history/",
    tags=_PLATFORM,
    response_model=replies.ChangesOut,
    summary="Get a memory's history",
)
async def history(memory_id: MemoryId, reading: Read) -> Json:
    """The changes of one memory, oldest first."""
    return Json(versions_of(memory_id, await reading.history(memory_id, _NOBODY)))


@router.put(
    "/memories/{memory_id}", tags=_SERVER, response_model=replies.UpdatedOut, summary="Update a memory"
)
@router.put(
    "/v1/memories/{memory_id}/", tags=_PLATFORM, response_model=replies.UpdatedOut, summary="Update a memory"
)
async def update(memory_id: MemoryId, body: UpdateMemory, writing: Write) -> Json:
    """Another text or other metadata for one memory."""
    await writing.edit(memory_id, _NOBODY, body.changes)
    record = await Reading(writing.guard).get(memory_id, _NOBODY)
    return Json({"message": "Memory updated successfully!", **memory_of(record)})


@router.delete(
    "/memories/{memory_id}", tags=_SERVER, response_model=replies.MessageOut, summary="Delete a memory"
)
@router.delete(
    "/v1/memories/{memory_id}/", tags=_PLATFORM, response_model=replies.MessageOut, summary="Delete a memory"
)
async def delete(
    memory_id: MemoryId,
    writing: Write,
) -> Json:
    """Erase one memory with all its versions, whatever `delete_linked` says."""
    await writing.forget([memory_id], _NOBODY)
    return Json({"message": "Memory deleted successfully!"})


@router.delete("/memories", tags=_SERVER, response_model=replies.MessageOut, summary="Delete all memories")
@router.delete(
    "/v1/memories/", tags=_PLATFORM, response_model=replies.MessageOut, summary="Delete all memories"
)
async def delete_all(
    writing: Write,
    user_id: Who = None,
    agent_id: Who = None,
    run_id: Who = None,
    app_id: Who = None,
    filters: Held = None,
) -> Json:
    """Erase all memories of a user, an agent, a run or an app."""
    given = {"user_id": user_id, "agent_id": agent_id, "run_id": run_id, "app_id": app_id}
    asked = ListMemories.model_validate({**given, "filters": None if filters is None else literal(filters)})
    whose = wanted(asked.filters, asked.ids)
    if whose.filters or whose.everyone or not whose.named:
        await _forget_listed(asked, writing)
    else:
        await writing.forget(None, whose.ids)
    return Json({"message": "Memories deleted successfully!"})


async def _forget_listed(asked: ListMemories, writing: Writing) -> None:
    """Erase what filters choose."""
    writing.guard.require("write")
    found = [record.id async for record in mem0_calls.listed(asked, Reading(writing.guard))]
    if found:
        await writing.forget(found, wanted(asked.filters, asked.ids).ids)


@router.post("/reset", tags=_SERVER, response_model=replies.MessageOut, summary="Erase everything")
async def reset(writing: Write) -> Json:
    """Erase every memory of the key's tenant. It needs an admin key."""
    writing.guard.require("admin")
    await writing.forget(None, _NOBODY, everyone=True)
    return Json({"message": "All memories reset"})


@router.post(
    "/configure",
    tags=_SERVER,
    response_model=replies.MessageOut,
    summary="Refused: the service is configured when it starts",
)
async def configure(writing: Write) -> Json:
    """Refused: whoever starts the service says which models and policy it uses."""
    writing.guard.require("admin")
    raise Forbidden("engram serve is configured when it starts, by its options and ENGRAM_ variables")


@router.get("/v1/ping/", tags=_PLATFORM, response_model=replies.PingOut, summary="Whether a key is good")
async def ping(reading: Read) -> Json:
    """What a client asks first."""
    reading.guard.require("read")
    whose = {"org_id": "engram", "project_id": reading.guard.key.tenant, "user_email": None}
    return Json({"status": "ok", **whose})


@router.get(
    "/v1/entities/", tags=_PLATFORM, response_model=replies.EntitiesOut, summary="Users, agents and runs"
)
async def entities(reading: Read) -> Json:
    """The users, agents and runs that have memories."""
    found = await mem0_calls.entities(reading)
    return Json({"count": len(found), "next": None, "previous": None, "results": found})


@router.delete(
    "/v2/entities/{kind}/{name}/",
    tags=_PLATFORM,
    response_model=replies.MessageOut,
    summary="Delete an entity",
)
async def forget_entity(
    kind: Annotated[str, Path(max_length=20)], name: Annotated[str, Path(max_length=512)], writing: Write
) -> Json:
    """Erase all that belongs to a user, an agent or a run."""
    await mem0_calls.forget_entity(kind, name, writing)
    return Json({"message": "Entity deleted successfully!"})


@router.put(
    "/v1/batch/", tags=_PLATFORM, response_model=replies.MessageOut, summary="Update several memories"
)
async def update_several(body: BatchUpdate, writing: Write) -> Json:
    """Another text or other metadata for several memories, one after the other."""
    for item in body.memories:
        await writing.edit(item.memory_id, _NOBODY, {"text": item.text, "metadata": item.metadata})
    return Json({"message": f"Successfully updated {len(body.memories)} memories"})


@router.delete(
    "/v1/batch/", tags=_PLATFORM, response_model=replies.MessageOut, summary="Delete several memories"
)
async def delete_several(body: BatchDelete, writing: Write) -> Json:
    """Erase several memories; none where one of them is not there."""
    await writing.forget([item.memory_id for item in body.memories], _NOBODY)
    return Json({"message": f"Successfully deleted {len(body.memories)} memories"})
