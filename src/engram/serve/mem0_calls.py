"""mem0's calls as guarded calls of engram's, for both families of routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from engram.engine.results import Item
from engram.kernel.errors import Forbidden, InvalidInput, NotFound
from engram.kernel.record import Record
from engram.serve.mem0_filters import Wanted, wanted
from engram.serve.mem0_shapes import AddMemories, ListMemories, SearchMemories, derives, memory_of
from engram.serve.reading import Reading
from engram.serve.writing import Writing

__all__ = ["add", "entities", "forget_entity", "listed", "searched"]

_NOW = (None, None)
_PAGE = 1000
_NOBODY: dict[str, str | None] = {}
_DERIVED = {"kind": {"nin": ["episode", "entity"]}}


async def add(body: AddMemories, writing: Writing) -> dict[str, Any]:
    """Store messages; what was made of them, as mem0 tells it.

    Where the memory's policy makes memories of turns, they are what is told; else the turns are. With
    `infer` false the messages are the memories in either case.
    """
    whose = wanted(body.filters, body.ids)
    _somebody(whose)
    if whose.everyone:
        raise InvalidInput("add: name one user_id, agent_id or run_id that the memories are to belong to")
    metadata = {**(body.metadata or {}), **({"app_id": body.app_id} if body.app_id is not None else {})}
    making = derives(writing.guard.service.core.policy.wants)
    direct = body.infer is False and making
    options = {
        "metadata": metadata or None,
        "infer": body.infer is not False,
        "expires": body.expiration_date,
        "kind": "fact" if direct else None,
    }
    messages = _timed(body.messages, body.timestamp)
    receipt = await writing.add(messages, whose.ids, options)
    raw = len(messages) if isinstance(messages, list) else 1
    items = receipt.items if direct or not making else receipt.items[raw:]
    reading = Reading(writing.guard)
    results = [await _told(item, reading, whose.ids) for item in items if item.id is not None]
    found: dict[str, Any] = {"results": [result for result in results if result is not None]}
    if receipt.job is not None:
        found |= {"message": "what is derived follows by a job", "status": "PENDING", "event_id": receipt.job}
    return found


async def searched(body: SearchMemories, reading: Reading) -> dict[str, Any]:
    """The best memories for a query."""
    if body.categories:
        raise InvalidInput("categories: engram files nothing by category; give metadata, and filter by that")
    if body.metadata:
        filters = {"AND": [*([body.filters] if body.filters else []), {"metadata": body.metadata}]}
    else:
        filters = body.filters or {}
    whose = wanted(filters, body.ids)
    options = {
        **_options(whose, reading),
        "k": body.top_k or body.limit or 10,
        "min_score": body.threshold or 0.0,
        "at": _moment(body.reference_date),
    }
    hits = await reading.search(body.query, whose.ids, options, _NOW)
    return {"results": [memory_of(hit, body.fields) for hit in hits]}


async def listed(body: ListMemories, reading: Reading) -> AsyncIterator[Record]:
    """Every memory that is asked for, in order of arrival; no more than a page of them is held at once."""
    if body.categories:
        raise InvalidInput("categories: engram files nothing by category; give metadata, and filter by that")
    whose = wanted(body.filters, body.ids)
    bounds = {"gte": body.start_date, "lte": body.end_date}
    times = {name: value for name, value in bounds.items() if value is not None}
    if times:
        whose.filters.append({"time": times})
    after: str | None = None
    while True:
        options = {**_options(whose, reading), "after": after, "limit": _PAGE}
        page = await reading.listing(whose.ids, options)
        for record in page.items:
            yield record
        after = page.next
        if after is None:
            return


async def entities(reading: Reading) -> list[dict[str, Any]]:
    """The users, agents and runs that have memories, each with their number."""
    counts: dict[tuple[str, str], int] = {}
    for scope in await reading.scopes({"tenant": reading.guard.reach(_NOBODY, looked_at=True)["tenant"]}):
        for field in ("user_id", "agent_id", "run_id"):
            if scope[field] is not None:
                place = field.removesuffix("_id"), scope[field]
                counts[place] = counts.get(place, 0) + scope["records"]
    return [
        {"id": f"{kind}:{name}", "type": kind, "name": name, "total_memories": count}
        for (kind, name), count in sorted(counts.items())
    ]


async def forget_entity(kind: str, name: str, writing: Writing) -> None:
    """Erase all that belongs to a user, an agent or a run."""
    if kind not in ("user", "agent", "run"):
        raise NotFound(f"there are no entities of the type {kind!r:.40} here: user, agent and run are kept")
    await writing.forget(None, {f"{kind}_id": name})


def _options(whose: Wanted, reading: Reading) -> dict[str, Any]:
    """The filters of a question, which asks for derived memories alone where there are such."""
    _somebody(whose)
    if derives(reading.guard.service.core.policy.wants):
        whose = Wanted(whose.ids, [*whose.filters, _DERIVED], whose.named)
    return whose.options


def _somebody(whose: Wanted) -> None:
    if not whose.named:
        raise Forbidden("name a user_id, agent_id, run_id or app_id, in the filters or beside them")


def _timed(messages: Any, timestamp: int | None) -> Any:
    """The messages with the time that all of them were said at, where one is given."""
    listed = messages if isinstance(messages, list) else [messages]
    plain = [{"role": "user", "content": item} if isinstance(item, str) else item for item in listed]
    if timestamp is None:
        return plain
    said = datetime.fromtimestamp(timestamp, UTC).isoformat()
    return [{"time": said, **item} if isinstance(item, dict) else item for item in plain]


def _moment(value: str | int | None) -> str | None:
    if isinstance(value, int):
        if not 0 <= value <= 4_102_444_800:
            raise InvalidInput("reference_date: expected seconds since 1970, or a date")
        return datetime.fromtimestamp(value, UTC).isoformat()
    return value


async def _told(item: Item, reading: Reading, ids: Mapping[str, str | None]) -> dict[str, Any] | None:
    """What happened to one memory, as mem0 tells it."""
    if item.event not in ("stored", "duplicate", "merged", "superseded") or item.id is None:
        return None
    try:
        memory = memory_of(await reading.get(item.id, {**ids, "run_id": None}))
    except NotFound:
        return {"id": item.id, "memory": "", "event": "DELETE"}
    event = {"stored": "ADD", "superseded": "UPDATE"}.get(item.event, "NONE")
    return {**memory, "event": event}
