"""What mem0's routes answer: the shapes that the OpenAPI file tells, each with an example."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, RootModel

__all__ = [
    "AddedOut",
    "ChangesOut",
    "EntitiesOut",
    "MemoriesOut",
    "MemoryOut",
    "MemoryPageOut",
    "MessageOut",
    "PingOut",
    "SearchedOut",
    "UpdatedOut",
]

_ID = "06GZV2VW5G00000002AFDVGQ3G"
_TIME = "2024-05-02T10:00:00+00:00"
_MEMORY: dict[str, Any] = {
    "id": _ID, "memory": "I moved to Lisbon in May.", "user_id": "ana", "agent_id": None, "app_id": None,
    "run_id": None, "hash": "f3f4d2d35b1bd77f6c3f44c885800957", "metadata": {}, "categories": [],
    "created_at": _TIME, "updated_at": _TIME, "expiration_date": None,
}  # fmt: skip
_CHANGE: dict[str, Any] = {
    "id": f"{_ID}:1", "memory_id": _ID, "input": [], "old_memory": None, "user_id": "ana", "event": "ADD",
    "new_memory": "I moved to Lisbon in May.", "metadata": {}, "created_at": _TIME, "updated_at": _TIME,
    "is_deleted": False,
}  # fmt: skip
_ENDS: dict[str, Any] = {"next": None, "previous": None}


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class MemoryOut(BaseModel):
    """A memory; a search that names `fields` leaves the others out."""

    model_config = _example(**_MEMORY)
    id: str
    memory: str | None = None
    user_id: str | None = None
    agent_id: str | None = None
    app_id: Any = None
    run_id: str | None = None
    hash: str | None = None
    metadata: dict[str, Any] | None = None
    categories: list[str] | None = None
    created_at: str | None = None
    updated_at: str | None = None
    expiration_date: str | None = None


class AddedMemory(MemoryOut):
    """A memory, and what became of it."""

    model_config = _example(**_MEMORY, event="ADD")
    event: Literal["ADD", "UPDATE", "DELETE", "NONE"]


class AddedOut(BaseModel):
    """What messages became; `status` and `event_id`, a job's, stand there where work is owed."""

    model_config = _example(results=[{**_MEMORY, "event": "ADD"}])
    results: list[AddedMemory]
    message: str | None = None
    status: str | None = None
    event_id: str | None = None


class FoundMemory(MemoryOut):
    """A memory, and how well it fits the question."""

    model_config = _example(**_MEMORY, score=0.87)
    score: float | None = None


class SearchedOut(BaseModel):
    """Memories, best first."""

    model_config = _example(results=[{**_MEMORY, "score": 0.87}])
    results: list[FoundMemory]


class MemoriesOut(BaseModel):
    """Memories in order of arrival."""

    model_config = _example(results=[_MEMORY])
    results: list[MemoryOut]


class MemoryPageOut(MemoriesOut):
    """A page of memories, with the number of all of them."""

    model_config = _example(count=1, results=[_MEMORY], **_ENDS)
    count: int
    next: str | None
    previous: str | None


class UpdatedOut(MemoryOut):
    """A memory as it is from now on."""

    model_config = _example(message="Memory updated successfully!", **_MEMORY)
    message: str


class ChangeOut(BaseModel):
    """What a memory said before a change, and after it."""

    model_config = _example(**_CHANGE)
    id: str
    memory_id: str
    input: list[Any]
    old_memory: str | None
    new_memory: str | None
    user_id: str | None
    event: Literal["ADD", "UPDATE", "DELETE"]
    metadata: dict[str, Any]
    created_at: str
    updated_at: str
    is_deleted: bool


class ChangesOut(RootModel[list[ChangeOut]]):
    """The changes of a memory, oldest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [[_CHANGE]]})


class MessageOut(BaseModel):
    """That it is done."""

    model_config = _example(message="Memory deleted successfully!")
    message: str


class PingOut(BaseModel):
    """Whose the key is."""

    model_config = _example(status="ok", org_id="engram", project_id="default", user_email=None)
    status: str
    org_id: str
    project_id: str
    user_email: str | None


class EntityOut(BaseModel):
    """A user, an agent or a run."""

    id: str
    type: Literal["user", "agent", "run"]
    name: str
    total_memories: int


class EntitiesOut(BaseModel):
    """Those that have memories."""

    model_config = _example(
        count=1, results=[{"id": "user:ana", "type": "user", "name": "ana", "total_memories": 12}], **_ENDS
    )
    count: int
    next: str | None
    previous: str | None
    results: list[EntityOut]
