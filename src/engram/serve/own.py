"""engram's own routes about records: adding, finding, changing, forgetting."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from fastapi import Path, Query

from engram.serve import bodies, replies
from engram.serve.doors import Ids, Json, Once, Page, Past, Read, RepeatableRoute, Write, own_router

__all__ = ["router"]

router = own_router(route_class=RepeatableRoute)
RecordId = Annotated[str, Path(max_length=512, description="A record's id.")]
Tags = list[str | Enum]
_WRITE: Tags = ["Remember and forget"]
_FIND: Tags = ["Find"]
_RECORDS: Tags = ["Records"]


@router.post("/memories", tags=_WRITE, response_model=replies.ReceiptOut, summary="Store messages")
async def add(body: bodies.AddBody, writing: Write, once: Once) -> Json:
    """Store a text, a message or a list of them; all are checked before any is stored.

    What was acknowledged survives a killed server. Under an `Idempotency-Key`, messages without an id get
    one made of it, so that sending them again adds nothing, also after a restart.
    """
    options = {
        "metadata": body.metadata,
        "kind": body.kind,
        "infer": body.infer,
        "expires": body.expires,
        "wait": body.wait,
    }
    return Json((await writing.add(body.messages, body.who, options, once)).to_dict())


@router.post("/triples", tags=_WRITE, response_model=replies.ReceiptOut, summary="Store triples")
async def add_triples(body: bodies.TriplesBody, writing: Write, once: Once) -> Json:
    """Store triples, each as a record of kind `fact`. Under an `Idempotency-Key` as `POST /memories` does."""
    options = {"metadata": body.metadata, "wait": body.wait}
    return Json((await writing.add_triples(body.triples, body.who, options, once)).to_dict())


@router.post("/cited", tags=_WRITE, response_model=replies.ReceiptOut, summary="Tell what an answer stood on")
async def cited(body: bodies.CitedBody, writing: Write, _once: Once) -> Json:
    """Tell the policy which records an answer stood on that was made elsewhere, so that it may learn."""
    options = {"cited": body.cited, "shown": body.shown, "at": body.at, "everyone": body.everyone}
    return Json((await writing.cited(body.question, body.who, options)).to_dict())


@router.post("/search", tags=_FIND, response_model=replies.HitsOut, summary="Search")
async def search(body: bodies.SearchBody, reading: Read) -> Json:
    """The best current records for a query; with `valid` or `known`, of that time."""
    hits = await reading.search(body.query, body.who, body.options, body.when)
    return Json({"items": [hit.to_dict() for hit in hits]})


@router.post("/as_of", tags=_FIND, response_model=replies.HitsOut, summary="Search the past")
async def as_of(body: bodies.AsOfBody, reading: Read) -> Json:
    """The best records for a query, of what was true at `valid`, as it was known at `known`."""
    hits = await reading.search(body.query, body.who, body.options, body.when)
    return Json({"items": [hit.to_dict() for hit in hits]})


@router.post("/context", tags=_FIND, response_model=replies.ContextOut, summary="Context for a prompt")
async def context(body: bodies.ContextBody, reading: Read) -> Json:
    """What is remembered about a query, packed into a budget of tokens, as quoted data with citations."""
    return Json((await reading.context(body.query, body.who, body.options, body.when)).to_dict())


@router.post("/ask", tags=_FIND, response_model=replies.AnswerOut, summary="Ask")
async def ask(body: bodies.AskBody, reading: Read, _once: Once) -> Json:
    """An answer with the records that it stands on; it abstains where the memory holds none.

    Under an `Idempotency-Key` a model is asked once.
    """
    return Json((await reading.ask(body.question, body.who, body.options, body.when)).to_dict())


@router.post("/graph", tags=_FIND, response_model=replies.GraphOut, summary="What relates what")
async def graph(body: bodies.GraphBody, reading: Read) -> Json:
    """The graph around names or ids, or of the whole scope."""
    return Json((await reading.graph(body.who, body.options, body.when)).to_dict())


@router.get("/memories", tags=_RECORDS, response_model=replies.PageOut, summary="List records")
async def listing(
    reading: Read,
    ids: Ids,
    page: Page,
    when: Past,
    everyone: Annotated[bool, Query(description="Everybody in the tenant, where no id is named.")] = False,
) -> Json:
    """Current records in order of arrival, a page at a time."""
    options: dict[str, Any] = {"after": page[0], "limit": page[1], "everyone": everyone}
    return Json((await reading.listing(ids, options, when)).to_dict())


@router.post("/list", tags=_RECORDS, response_model=replies.PageOut, summary="List with filters")
async def filtered(body: bodies.ListBody, reading: Read) -> Json:
    """As `GET /memories`, with filters."""
    return Json((await reading.listing(body.who, body.options, body.when)).to_dict())


@router.get("/memories/{id}", tags=_RECORDS, response_model=replies.RecordOut, summary="One record")
async def get(id: RecordId, reading: Read, ids: Ids, when: Past) -> Json:
    """One record, as it is or was."""
    return Json((await reading.get(id, ids, when)).to_dict())


@router.get(
    "/memories/{id}/history", tags=_RECORDS, response_model=replies.HistoryOut, summary="Versions of a record"
)
async def history(id: RecordId, reading: Read, ids: Ids, when: Past) -> Json:
    """Every version of a record, oldest first."""
    return Json({"items": [record.to_dict() for record in await reading.history(id, ids, when)]})


@router.patch("/memories/{id}", tags=_WRITE, response_model=replies.ReceiptOut, summary="Edit a record")
async def edit(id: RecordId, body: bodies.EditBody, writing: Write, _once: Once) -> Json:
    """Open a new version with another text or, replaced as a whole, other metadata."""
    options = {"text": body.text, "metadata": body.metadata}
    return Json((await writing.edit(id, body.who, options)).to_dict())


@router.delete("/memories/{id}", tags=_WRITE, response_model=replies.ReceiptOut, summary="Forget a record")
async def forget_one(
    id: RecordId,
    writing: Write,
    ids: Ids,
    _once: Once,
    dry_run: Annotated[bool, Query(description="Only tell what would go.")] = False,
) -> Json:
    """Erase a record with all versions and all that was derived from it alone. It cannot be undone."""
    return Json((await writing.forget([id], ids, dry_run=dry_run)).to_dict())


@router.post("/forget", tags=_WRITE, response_model=replies.ReceiptOut, summary="Forget records or a scope")
async def forget(body: bodies.ForgetBody, writing: Write, _once: Once) -> Json:
    """Erase records, or a scope. It cannot be undone; `dry_run` only tells what would go."""
    receipt = await writing.forget(body.ids, body.who, everyone=body.everyone, dry_run=body.dry_run)
    return Json(receipt.to_dict())


@router.post("/undo", tags=_WRITE, response_model=replies.ReceiptOut, summary="Undo a change set")
async def undo(body: bodies.UndoBody, writing: Write, _once: Once) -> Json:
    """Reverse a commit; refused where later ones stand on it."""
    return Json((await writing.undo(body.change_set, body.who)).to_dict())
