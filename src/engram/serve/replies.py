"""What engram's own routes answer: the shapes that the OpenAPI file tells, each with an example."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "AnswerOut",
    "ContextOut",
    "GraphOut",
    "HealthOut",
    "HistoryOut",
    "HitsOut",
    "ImportedOut",
    "JobOut",
    "JobsOut",
    "KeyOut",
    "KeysOut",
    "NewKeyOut",
    "PageOut",
    "ProblemOut",
    "ReceiptOut",
    "RecordOut",
    "ReportOut",
    "ScopesOut",
    "StatsOut",
    "WaitOut",
]

_ID = "06GZV2VW5G00000002AFDVGQ3G"
_SCOPE = {"tenant": "default", "user_id": "ana", "agent_id": None, "run_id": None}
_SPAN = {"start": "2024-05-02T10:00:00+00:00", "end": None}
_RECORD: dict[str, Any] = {
    "id": _ID, "kind": "episode", "level": 0, "text": "I moved to Lisbon in May.", "origin": None,
    "scope": _SCOPE, "role": "user", "name": None, "time": "2024-05-02T10:00:00+00:00", "valid": _SPAN,
    "known": _SPAN, "sources": [], "made_by": None, "strength": 1.0, "trust": 1.0, "metadata": {},
    "payload": None, "expires": None, "version": 1, "arrival": 1, "opened": 1, "closed": None,
}  # fmt: skip
_KEY: dict[str, Any] = {
    "id": "5f0c2d9be1a4", "name": "app", "rights": "write", "tenant": "acme", "users": "team-*",
    "state": "active", "created": "2026-11-21T10:00:00+00:00", "expires": None, "revoked": None,
}  # fmt: skip
_JOB: dict[str, Any] = {
    "id": _ID, "kind": "write", "status": "pending", "scope": _SCOPE, "created": "2024-05-02T10:00:00+00:00",
    "policy": "mem0:1a2b3c4d", "priority": 10, "records": [_ID], "attempts": 0, "not_before": None,
    "error": None, "replies": [],
}  # fmt: skip
_CITATION: dict[str, Any] = {
    "number": 1, "id": _ID, "origin": None, "score": 0.87, "kind": "episode", "who": "user",
    "time": "2024-05-02T10:00:00+00:00",
}  # fmt: skip


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class ScopeOut(BaseModel):
    """Whose a record is."""

    tenant: str
    user_id: str | None
    agent_id: str | None
    run_id: str | None


class SpanOut(BaseModel):
    """A stretch of time, its end not in it; null is open."""

    start: str | None
    end: str | None


class RecordOut(BaseModel):
    """A record; `GET …/history` tells its other versions."""

    model_config = _example(**_RECORD)
    id: str
    kind: str
    level: int | None
    text: str
    origin: str | None
    scope: ScopeOut
    role: str | None
    name: str | None
    time: str
    valid: SpanOut
    known: SpanOut
    sources: list[str]
    made_by: str | None
    strength: float
    trust: float
    metadata: dict[str, Any]
    payload: Any
    expires: str | None
    version: int
    arrival: int
    opened: int
    closed: int | None


class HitOut(BaseModel):
    """A record found, with its score in [0, 1] and, where asked for, each signal's share."""

    id: str
    text: str
    score: float
    why: dict[str, float]
    record: RecordOut


class HitsOut(BaseModel):
    """Hits, best first."""

    model_config = _example(
        items=[{"id": _ID, "text": _RECORD["text"], "score": 0.87, "why": {}, "record": _RECORD}]
    )
    items: list[HitOut]


class PageOut(BaseModel):
    """Records in order of arrival; `next` is the `after` of the next page, null at the end."""

    model_config = _example(items=[_RECORD], next=None)
    items: list[RecordOut]
    next: str | None


class HistoryOut(BaseModel):
    """Every version of a record, oldest first."""

    model_config = _example(items=[_RECORD])
    items: list[RecordOut]


class ItemOut(BaseModel):
    """What happened to one record."""

    event: Literal["stored", "duplicate", "merged", "superseded", "failed", "pending", "erased"]
    id: str | None
    origin: str | None
    reason: str


class ReceiptOut(BaseModel):
    """What a call did, item by item. `change_set` can be undone; `job` is still owed."""

    model_config = _example(
        items=[{"event": "stored", "id": _ID, "origin": None, "reason": ""}],
        change_set="1", job=None, usage={}, purge=None, dry_run=False, outside=[], derived=None,
    )  # fmt: skip
    items: list[ItemOut]
    change_set: str | None
    job: str | None
    usage: dict[str, float]
    purge: str | None
    dry_run: bool
    outside: list[str]
    derived: str | None


class CitationOut(BaseModel):
    """Which record a number in a text stands for."""

    number: int
    id: str
    origin: str | None
    score: float
    kind: str
    who: str
    time: str | None


class ContextOut(BaseModel):
    """What is remembered, as text for a prompt."""

    model_config = _example(
        text='<memory note="…">\n[1] …\n</memory>', tokens=20, citations=[_CITATION], notes=[]
    )
    text: str
    tokens: int
    citations: list[CitationOut]
    notes: list[str]


class AnswerOut(BaseModel):
    """An answer with what it stands on; `kind` is `extract` without a chat model."""

    model_config = _example(
        text="In Lisbon. [1]", citations=[_CITATION], abstained=False, kind="answer", notes=[], usage={}
    )
    text: str
    citations: list[CitationOut]
    abstained: bool
    kind: str
    notes: list[str]
    usage: dict[str, float]


class EdgeOut(BaseModel):
    """A relation between two records."""

    id: str
    version: int
    source: str
    target: str
    edge: str
    scope: ScopeOut
    valid: SpanOut
    known: SpanOut
    weight: float
    sources: list[str]
    made_by: str | None
    metadata: dict[str, Any]
    opened: int
    closed: int | None


class GraphOut(BaseModel):
    """Records and the relations between them; `more` says that the limit left something out."""

    model_config = _example(nodes=[_RECORD], edges=[], start=[_ID], more=False)
    nodes: list[RecordOut]
    edges: list[EdgeOut]
    start: list[str]
    more: bool


class CountedScopeOut(ScopeOut):
    """A scope that holds records."""

    records: int


class ScopesOut(BaseModel):
    """Scopes by tenant, user, agent and run; `next` is the `after` of the next page."""

    model_config = _example(items=[{**_SCOPE, "records": 12}], next=None)
    items: list[CountedScopeOut]
    next: str | None


class StatsOut(BaseModel):
    """Counts. Figures of the whole store are told to a key of everything alone."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{
            "records": 12, "scopes": 1, "jobs": {"pending": 0, "parked": 0}, "usage": {},
            "policy": "fusion:1a2b3c4d", "embedder": "engram-static-1", "dimensions": 256, "analyser": "1",
            "format": "1",
        }]},
    )  # fmt: skip
    records: int
    scopes: int
    jobs: dict[str, int]
    usage: dict[str, Any]
    policy: str
    embedder: str | None
    dimensions: int
    analyser: str | None
    format: str | None


class JobOut(BaseModel):
    """Owed work."""

    model_config = _example(**_JOB)
    id: str
    kind: str
    status: str
    scope: ScopeOut
    created: str
    policy: str | None
    priority: int
    records: list[str]
    attempts: int
    not_before: str | None
    error: str | None
    replies: list[dict[str, Any]]


class JobsOut(BaseModel):
    """Owed work, oldest first; `next` is the `after` of the next page."""

    model_config = _example(items=[_JOB], next=None)
    items: list[JobOut]
    next: str | None


class WaitOut(BaseModel):
    """Whether nothing is owed, what is left, and whether waiting longer may help."""

    model_config = _example(done=True, pending=0, parked=0, more=False)
    done: bool
    pending: int
    parked: int
    more: bool


class FoundOut(BaseModel):
    """Something wrong; `id` is the record concerned, if one is."""

    what: str
    id: str | None


class ReportOut(BaseModel):
    """What was looked at and found, or mended."""

    model_config = _example(checked=12, ok=True, mended=0, problems=[])
    checked: int
    ok: bool
    mended: int
    problems: list[FoundOut]


class ImportedOut(BaseModel):
    """What an import did."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{
            "format": "openai", "ok": True, "stored": 12, "duplicate": 0, "skipped": 0, "failed": 0,
            "reasons": {}, "examples": [], "jobs": 0, "change_sets": ["1"], "notes": [], "dry_run": False,
        }]},
    )  # fmt: skip
    format: str
    ok: bool
    stored: int
    duplicate: int
    skipped: int
    failed: int


class KeyOut(BaseModel):
    """A key, without its secret, which nobody has."""

    model_config = _example(**_KEY)
    id: str
    name: str
    rights: str
    tenant: str
    users: str
    state: str
    created: str
    expires: str | None
    revoked: str | None


class NewKeyOut(KeyOut):
    """A key with what a program shows; it is told this once."""

    model_config = _example(**_KEY, key="engram_5f0c2d9be1a4_…")
    key: str


class KeysOut(BaseModel):
    """Keys, oldest first."""

    model_config = _example(items=[_KEY])
    items: list[KeyOut]


class HealthOut(BaseModel):
    """Whether the service is there."""

    model_config = _example(status="ok", version="0.1.0")
    status: str
    version: str


class ProblemOut(BaseModel):
    """A problem, as RFC 9457 has it; `errors` name places of the request."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{
            "type": "urn:engram:problem:not-found", "title": "There is no such thing in this scope",
            "status": 404, "detail": f"there is no record '{_ID}' in this scope",
            "instance": "urn:engram:request:3b1f0c2d9be1a477",
        }]},
    )  # fmt: skip
    type: str
    title: str
    status: int
    detail: str
    instance: str
