"""The one door to chat models: a request goes in, a reply with what it cost comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

__all__ = ["ChatModel", "ChatReply", "ChatRequest", "Finish", "Message", "Role"]

Role = Literal["system", "user", "assistant"]
"""Whose turn a message is."""
Finish = Literal["stop", "length", "refused", "other"]
"""Why a reply ends."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of what a model is given."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a chat model is asked.

    `schema` is the JSON schema that the reply must follow (its root is an object), `None` for plain text;
    `name` is what an endpoint may call it. `max_tokens` bounds the reply, `timeout` is in seconds for the
    whole call. `None` leaves a setting to the model.
    """

    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    name: str = "reply"
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a chat model answered.

    Token counts are the model's own; `tokens_in` includes `tokens_cached`, those that the provider had
    read before. `None` where it does not tell. `cost` is what the provider itself says it takes, in US
    dollars. `finish` is `length` where `max_tokens` cut the reply off, `refused` where the model or a filter
    declined. `latency` is in seconds.
    """

    text: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int = 0
    cost: float | None = None
    model: str = ""
    finish: Finish = "stop"
    latency: float = 0.0


@runtime_checkable
class ChatModel(Protocol):
    """A chat model, wherever it runs. Blocking; safe to use from several threads.

    `name` is its identity, such as `openai:gpt-5-mini`: prices and cached replies hang on it.
    """

    @property
    def name(self) -> str:
        """The model's identity."""
        ...

    def reply(self, request: ChatRequest) -> ChatReply:
        """The model's reply.

        Raises `ModelUnavailable` where it cannot be reached, is busy or takes too long, `ConfigError` where
        key, address or model are refused, `BadReply` where what comes back is no reply of a chat model.
        """
        ...
