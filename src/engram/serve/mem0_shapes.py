"""mem0's shapes: what its callers send, and records as its callers know them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engram.kernel.errors import InvalidInput
from engram.kernel.record import Hit, Interval, Record
from engram.kernel.scope import Scope
from engram.serve.mem0_filters import ENTITIES

__all__ = [
    "AddMemories",
    "BatchDelete",
    "BatchUpdate",
    "ListMemories",
    "SearchMemories",
    "UpdateMemory",
    "derives",
    "memory_of",
    "versions_of",
]

Id = Annotated[str | None, Field(min_length=1, max_length=512)]
_WHO = {"user_id": "ana"}
_NOT_HERE = (
    "custom_categories",
    "custom_instructions",
    "agent_custom_instructions",
    "structured_data_schema",
    "includes",
    "excludes",
)


def _example(**fields: Any) -> ConfigDict:
    """A model's configuration: what callers send besides is let pass, and this is an example."""
    return ConfigDict(extra="ignore", json_schema_extra={"examples": [fields]})


class _Whose(BaseModel):
    """Whose memories are meant: ids, or filters that hold them."""

    user_id: Id = None
    agent_id: Id = None
    run_id: Id = None
    app_id: Id = None
    filters: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        """Refuse what would change what is remembered or found, and which engram has no part for."""
        if isinstance(given, dict):
            asked = [name for name in _NOT_HERE if given.get(name)]
            asked += ["show_expired"] if given.get("show_expired") is True else []
            if asked:
                raise ValueError(f"{asked[0]} is nothing that engram does; leave it out")
        return given

    @property
    def ids(self) -> dict[str, str | None]:
        """The ids by name."""
        return {name: getattr(self, name) for name in ENTITIES}


class AddMemories(_Whose):
    """Messages that memories are to be made of."""

    model_config = _example(messages=[{"role": "user", "content": "I moved to Lisbon in May."}], **_WHO)
    messages: str | dict[str, Any] | list[Any]
    metadata: dict[str, Any] | None = None
    infer: bool | None = None
    timestamp: int | None = Field(None, ge=0, le=4_102_444_800, description="Seconds since 1970.")
    expiration_date: str | None = Field(None, max_length=64)


class SearchMemories(_Whose):
    """A question to search for."""

    model_config = _example(query="Where does she live?", filters=_WHO, top_k=5)
    query: str = Field(max_length=100_000)
    top_k: int | None = Field(None, ge=1, le=1000)
    limit: int | None = Field(None, ge=1, le=1000)
    threshold: float | None = Field(None, ge=0, le=1)
    metadata: dict[str, Any] | None = None
    fields: list[str] | None = None
    reference_date: str | int | None = None
    categories: list[str] | None = None


class ListMemories(_Whose):
    """Which memories to list."""

    model_config = _example(filters=_WHO)
    start_date: str | None = Field(None, max_length=64)
    end_date: str | None = Field(None, max_length=64)
    categories: list[str] | None = None


class UpdateMemory(BaseModel):
    """What a memory is to say from now on."""

    model_config = _example(text="I moved to Lisbon in June.")
    text: str | None = None
    data: str | None = Field(None, description="The same, as older callers name it.")
    metadata: dict[str, Any] | None = None
    timestamp: int | float | str | None = None
    expiration_date: str | None = None

    @property
    def changes(self) -> dict[str, Any]:
        """The arguments of an edit. Raises `InvalidInput` for what engram does not change."""
        for name in ("timestamp", "expiration_date"):
            if name in self.model_fields_set:
                raise InvalidInput(f"{name}: engram does not change it; add the memory anew")
        return {"text": self.text if self.text is not None else self.data, "metadata": self.metadata}


class _Item(BaseModel):
    model_config = ConfigDict(extra="ignore")
    memory_id: str = Field(max_length=512)
    text: str | None = None
    metadata: dict[str, Any] | None = None


class BatchUpdate(BaseModel):
    """Memories to change, at most 1,000."""

    model_config = _example(memories=[{"memory_id": "06GZV2VW5G00000002AFDVGQ3G", "text": "In June."}])
    memories: list[_Item] = Field(min_length=1, max_length=1000)


class BatchDelete(BaseModel):
    """Memories to erase, at most 1,000."""

    model_config = _example(memories=[{"memory_id": "06GZV2VW5G00000002AFDVGQ3G"}])
    memories: list[_Item] = Field(min_length=1, max_length=1000)


_TURN = Record(
    "",
    "episode",
    "I moved.",
    Scope(),
    datetime(1970, 1, 1, tzinfo=UTC),
    Interval(),
    Interval(),
    level=0,
    role="user",
)


def derives(wants: Any) -> bool:
    """Whether a policy makes memories of turns, as mem0 does; else the turns are what a caller gets."""
    return bool(wants(_TURN))


def memory_of(item: Record | Hit, fields: Sequence[str] | None = None) -> dict[str, Any]:
    """A record, or a hit with its score, as mem0's callers know a memory."""
    record = item.record if isinstance(item, Hit) else item
    metadata = dict(record.metadata)
    told: dict[str, Any] = {
        "id": record.id,
        "memory": record.indexed,
        "user_id": record.scope.user_id,
        "agent_id": record.scope.agent_id,
        "app_id": metadata.pop("app_id", None),
        "run_id": record.scope.run_id,
        "hash": hashlib.blake2b(record.indexed.encode(), digest_size=16).hexdigest(),
        "metadata": metadata,
        "categories": [],
        "created_at": record.time.isoformat(),
        "updated_at": _moment(record),
        "expiration_date": None if record.expires is None else record.expires.date().isoformat(),
    }
    if isinstance(item, Hit):
        told["score"] = item.score
    return (
        told
        if not fields
        else {name: value for name, value in told.items() if name == "id" or name in fields}
    )


def versions_of(id: str, versions: Sequence[Record]) -> list[dict[str, Any]]:
    """The versions of a record as mem0's callers know a history: an entry for each change."""
    told: list[dict[str, Any]] = []
    before: str | None = None
    for record in versions:
        event = "ADD" if before is None else "UPDATE"
        told.append(_entry(id, record, before, record.text, event, _moment(record)))
        before = record.text
    last = versions[-1]
    if not last.current and last.known.end is not None:
        told.append(_entry(id, last, before, None, "DELETE", last.known.end.isoformat()))
    return told


def _entry(
    id: str,
    record: Record,
    before: str | None,
    now: str | None,
    event: str,
    at: str,
) -> dict[str, Any]:
    return {
        "id": f"{id}:{record.version}" + (":end" if event == "DELETE" else ""),
        "memory_id": id,
        "input": [],
        "old_memory": before,
        "new_memory": now,
        "user_id": record.scope.user_id,
        "event": event,
        "metadata": dict(record.metadata),
        "created_at": record.time.isoformat(),
        "updated_at": at,
        "is_deleted": event == "DELETE",
    }


def _moment(record: Record) -> str:
    return (record.known.start or record.time).isoformat()
