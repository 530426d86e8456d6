"""What the tools give: the output schemas, and records as a model is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engram.engine.results import Page, Receipt
from engram.kernel.record import Hit, Record
from engram.operators.answering import Answer
from engram.operators.packing import Citation, Context
from engram.serve.mcp.arguments import plain

__all__ = [
    "Answered",
    "Changed",
    "Erased",
    "Gathered",
    "Listed",
    "Memory",
    "Result",
    "Searched",
    "Versions",
    "answered",
    "changed",
    "gathered",
    "listed",
    "memory",
    "output_schema",
    "searched",
    "versions",
]

_LONGEST = 4000
_MOST_ITEMS = 200


class Result(BaseModel):
    """What a tool gives; what is not known is left out."""

    model_config = ConfigDict(extra="forbid")

    @property
    def structured(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return self.model_dump(mode="json", exclude_none=True)


class Memory(Result):
    """One memory: what was said, or what was derived from that."""

    id: str
    memory: str = Field(description="Its text.")
    kind: str = Field(
        description="`episode` for what was said; `fact` and others for what was derived from it."
    )
    created_at: str = Field(description="When it was said, in ISO 8601.")
    updated_at: str | None = Field(None, description="When this version of it was written.")
    valid_until: str | None = Field(None, description="Since when it is not true any more, or will not be.")
    score: float | None = Field(None, description="How well it fits, from 0 to 1.")
    cut: bool | None = Field(None, description="True where only the beginning of the text is given.")
    role: str | None = None
    name: str | None = None
    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    metadata: dict[str, Any] | None = None


class Searched(Result):
    """What a search has found, best first."""

    results: list[Memory]


class Listed(Result):
    """A page of memories in order of arrival."""

    results: list[Memory]
    next: str | None = Field(None, description="Give it as `after` for the next page; not there at the end.")


class Item(Result):
    """What happened to one memory."""

    event: Literal["stored", "duplicate", "merged", "superseded", "failed", "pending", "erased"]
    id: str | None = None
    reason: str | None = None


class Changed(Result):
    """What a call did, memory by memory."""

    results: list[Item]
    count: int = Field(description="How many memories; of very many, `results` has the first.")
    job: str | None = Field(None, description="Work that is still owed; it is done in the background.")
    change_set: str | None = Field(None, description="The change, as it can be undone by.")
    note: str | None = None


class Erased(Result):
    """What was erased, or would be."""

    erased: bool
    count: int = Field(description="How many memories.")
    note: str | None = None


class Cited(Result):
    """Which memory a number in a text stands for."""

    number: int
    id: str
    score: float
    kind: str
    who: str
    time: str | None = None


class Gathered(Result):
    """What is remembered, as text for a prompt."""

    text: str = Field(description="Quoted memories, numbered; empty where there are none.")
    tokens: int
    citations: list[Cited]
    notes: list[str]


class Answered(Result):
    """An answer with the memories that it stands on."""

    text: str
    abstained: bool = Field(description="True where the memory holds no answer.")
    kind: Literal["answer", "extract"] = Field(
        description="`extract` where there is no chat model: memories that fit, for you to answer from."
    )
    citations: list[Cited]
    notes: list[str]


class Version(Result):
    """What a memory said for a while."""

    version: int
    memory: str
    known_from: str | None = None
    known_until: str | None = Field(
        None, description="When the next version took its place; not there for the last."
    )
    metadata: dict[str, Any] | None = None


class Versions(Result):
    """Every version of a memory, oldest first."""

    id: str
    results: list[Version]


def output_schema(gives: type[Result]) -> dict[str, Any]:
    """The JSON schema of what a tool gives."""
    schema: dict[str, Any] = plain(gives.model_json_schema())
    return schema


def memory(record: Record, score: float | None = None, most: int | None = None) -> Memory:
    """A record as a model is told of it, at most `most` characters of its text."""
    text, scope = record.indexed, record.scope
    return Memory(
        id=record.id,
        memory=text if most is None else text[:most],
        kind=record.kind,
        created_at=record.time.isoformat(),
        updated_at=_iso(record.known.start),
        valid_until=_iso(record.valid.end),
        score=None if score is None else round(score, 4),
        cut=True if most is not None and len(text) > most else None,
        role=record.role,
        name=record.name,
        user_id=scope.user_id,
        agent_id=scope.agent_id,
        run_id=scope.run_id,
        metadata=dict(record.metadata) or None,
    )


def searched(hits: Sequence[Hit]) -> Searched:
    """Hits as a model is told of them."""
    return Searched(results=[memory(hit.record, hit.score, _LONGEST) for hit in hits])


def listed(page: Page) -> Listed:
    """A page as a model is told of it."""
    return Listed(results=[memory(record, most=_LONGEST) for record in page.items], next=page.next)


def changed(receipt: Receipt) -> Changed:
    """A receipt as a model is told of it."""
    told = [
        Item(event=item.event, id=item.id, reason=item.reason or None) for item in receipt.items[:_MOST_ITEMS]
    ]
    note = "What is derived from it follows in the background." if receipt.job is not None else None
    return Changed(
        results=told, count=len(receipt.items), job=receipt.job, change_set=receipt.change_set, note=note
    )


def gathered(context: Context) -> Gathered:
    """A context as a model is told of it."""
    return Gathered(
        text=context.text,
        tokens=context.tokens,
        citations=_cited(context.citations),
        notes=list(context.notes),
    )


def answered(answer: Answer) -> Answered:
    """An answer as a model is told of it."""
    return Answered(
        text=answer.text,
        abstained=answer.abstained,
        kind=answer.kind,
        citations=_cited(answer.citations),
        notes=list(answer.notes),
    )


def versions(id: str, records: Sequence[Record]) -> Versions:
    """The versions of a record as a model is told of them."""
    told = [
        Version(
            version=record.version,
            memory=record.indexed,
            known_from=_iso(record.known.start),
            known_until=_iso(record.known.end),
            metadata=dict(record.metadata) or None,
        )
        for record in records
    ]
    return Versions(id=id, results=told)


def _cited(citations: Sequence[Citation]) -> list[Cited]:
    return [
        Cited(
            number=item.number,
            id=item.id,
            score=round(item.score, 4),
            kind=item.kind,
            who=item.who,
            time=_iso(item.time),
        )
        for item in citations
    ]


def _iso(moment: Any) -> str | None:
    return None if moment is None else str(moment.isoformat())
