"""What the tools take: the input schemas, and how arguments that do not fit are told."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from engram.kernel.errors import InvalidInput
from engram.serve.limits import too_deep

__all__ = [
    "Add",
    "Arguments",
    "Ask",
    "Delete",
    "DeleteAll",
    "Gather",
    "Get",
    "History",
    "List",
    "Search",
    "Update",
    "input_schema",
    "plain",
    "read",
]

A = TypeVar("A", bound="Arguments")
_DEEPEST = 64
_MOST_PLACES = 5


def _unquoted(value: Any) -> Any:
    """A list or an object; some clients send one as a text that holds its JSON."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    if too_deep(value.encode("utf-8", "replace"), _DEEPEST):
        raise ValueError(f"nested over {_DEEPEST} deep; flatten it")
    try:
        return json.loads(value)
    except ValueError:
        return value


Id = Annotated[str | None, Field(min_length=1, max_length=512)]
Moment = Annotated[str | None, Field(max_length=64)]
Query = Annotated[str, Field(min_length=1, max_length=100_000)]
Metadata = Annotated[
    dict[str, Any] | None,
    BeforeValidator(_unquoted),
    Field(description="Anything that JSON holds, such as a topic; filters can ask for it as metadata.topic."),
]
Filters = Annotated[
    dict[str, Any] | None,
    BeforeValidator(_unquoted),
    Field(
        description='Conditions that results must meet: a field to a value, or to {"gte": value}; joined by '
        'and, or, not. Fields: kind, role, name, time, metadata.KEY, … Example: {"role": "user", "time": '
        '{"gte": "2024-05-01"}}. mem0\'s form {"AND": [{"created_at": {"gte": …}}]} is understood too.'
    ),
]
MemoryId = Annotated[
    str,
    Field(min_length=1, max_length=512, description="The memory's id, as a search or a listing gives it."),
]


class Arguments(BaseModel):
    """The arguments of a tool, and whose memory is meant."""

    model_config = ConfigDict(extra="forbid")
    user_id: Id = Field(None, description="The user whose memory is meant.")
    agent_id: Id = Field(None, description="An agent, where its own memory is meant.")
    run_id: Id = Field(None, description="One session or run, where only that is meant.")
    tenant: Id = Field(None, description="The tenant; default: default.")

    @property
    def who(self) -> dict[str, str | None]:
        """The scope ids."""
        return {
            "tenant": self.tenant,
            "user_id": self.user_id,
            "agent_id": self.agent_id,
            "run_id": self.run_id,
        }


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["user", "assistant", "system", "developer", "tool"]
    content: str = Field(description="What was said.")
    name: str | None = Field(None, max_length=512, description="Who said it.")
    time: Moment = Field(None, description="When it was said, in ISO 8601; default: now.")


class Add(Arguments):
    """What is to be remembered: `text`, or `messages`."""

    text: str | None = Field(
        None,
        min_length=1,
        description="What is to be remembered, in sentences that are understood by themselves.",
    )
    messages: Annotated[
        list[Message] | None,
        BeforeValidator(_unquoted),
        Field(description="Turns of a conversation as they were said, instead of text."),
    ] = None
    metadata: Metadata = None
    infer: bool = Field(
        True, description="Let the memory derive facts from it; false stores the words alone."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.text and not self.messages:
            raise ValueError("give text, or messages with at least one turn")
        return self

    @property
    def said(self) -> list[dict[str, Any]]:
        """The messages that are stored; one that is only a text is the user's."""
        turns = [message.model_dump(exclude_none=True) for message in self.messages or []]
        return turns or [{"role": "user", "content": self.text}]


class Asking(Arguments):
    """A question, which may be asked of the past."""

    filters: Filters = None
    valid: Moment = Field(None, description="Ask what was true then: a time in ISO 8601. Default: now.")
    known: Moment = Field(None, description="Ask what this memory knew then. Default: now.")

    @property
    def when(self) -> tuple[object, object]:
        """The time that is asked of."""
        return self.valid, self.known


class Search(Asking):
    """A question to search for."""

    query: Query = Field(description="What to find, in natural language.")
    limit: int = Field(10, ge=1, le=100, description="How many memories.")
    threshold: float = Field(0.0, ge=0, le=1, description="Leave out memories that score below it.")


class Gather(Asking):
    """What a prompt is to be given the context for."""

    query: Query = Field(description="What the context is for: the task, or the user's message.")
    budget: int = Field(1500, ge=50, le=100_000, description="The most tokens that the context may have.")


class Ask(Asking):
    """A question that is to be answered."""

    question: Query = Field(description="The question, in natural language.")


class Get(Arguments):
    """A memory to read."""

    memory_id: MemoryId


class History(Get):
    """A memory whose versions are wanted."""


class Delete(Get):
    """A memory to erase."""


class List(Arguments):
    """Which memories to list."""

    filters: Filters = None
    page_size: int = Field(20, ge=1, le=200, description="How many memories a page holds.")
    after: str | None = Field(None, max_length=64, description="The `next` of the page before this one.")


class Update(Get):
    """What a memory is to say from now on."""

    text: str | None = Field(None, min_length=1, description="The new text, as a whole.")
    metadata: Metadata = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.text is None and self.metadata is None:
            raise ValueError("give text, metadata or both")
        return self


class DeleteAll(Arguments):
    """Whose memories to erase."""

    confirm: int | None = Field(
        None,
        ge=1,
        description="The number that a call without it has told. Only then anything is erased.",
    )


def input_schema(takes: type[Arguments], hidden: frozenset[str]) -> dict[str, Any]:
    """The JSON schema of a tool's arguments: its own first, and no ids that the connection fixes."""
    schema = takes.model_json_schema()
    fields = {name: field for name, field in schema.pop("properties").items() if name not in hidden}
    own = sorted(
        fields, key=lambda name: (name in Arguments.model_fields, name not in schema.get("required", ()))
    )
    del schema["title"]
    told: dict[str, Any] = plain({**schema, "properties": {name: fields[name] for name in own}})
    return told


def plain(schema: Any) -> Any:
    """A JSON schema without what tells a model nothing: titles, and that what may be left out may be null."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: plain(value) for key, value in schema.items() if not _idle(key, value)}
    choices = [item for item in kept.get("anyOf", ()) if item != {"type": "null"}]
    if len(choices) == 1:
        kept = {**choices[0], **{key: value for key, value in kept.items() if key != "anyOf"}}
    return kept


def _idle(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)


def read(takes: type[A], given: Mapping[str, Any] | None, hidden: Collection[str] = ()) -> A:
    """A tool's arguments. Raises `InvalidInput`, which repeats nothing of what they held."""
    try:
        return takes.model_validate(dict(given or {}))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        told = "; ".join(_told(item) for item in found[:_MOST_PLACES])
        taken = ", ".join(name for name in takes.model_fields if name not in hidden)
        raise InvalidInput(f"{told}. It takes {taken}") from None


def _told(item: Mapping[str, Any]) -> str:
    place = ".".join(f"{part!s:.60}" for part in item["loc"] if part != "function-before[_unquoted()")
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
