"""How a memory asks its chat model: which one, how patiently, and for how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from engram.kernel.chat import ChatModel
from engram.kernel.errors import ConfigError
from engram.models.prices import Price

__all__ = ["Budget", "Chat"]


@dataclass(frozen=True)
class Budget:
    """Limits in tokens (read and written together) and US dollars; `None` is no limit.

    `call_…` bounds one call, by a shorter reply where need be. `scope_…` bounds all that is ever spent on
    one (tenant, user, agent), `scope_day_…` what is spent on it in one day, `day_…` what is spent in one
    day on all. Days are UTC days. The counts stand in the store, shared by every process that uses it. A
    call is only begun where it stays within the limits even if its reply is as long as it may be.
    """

    call_tokens: int | None = None
    call_cost: float | None = None
    scope_tokens: int | None = None
    scope_cost: float | None = None
    scope_day_tokens: int | None = None
    scope_day_cost: float | None = None
    day_tokens: int | None = None
    day_cost: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.limits.items():
            if value is not None and (isinstance(value, bool) or not value >= 0):
                raise ConfigError(f"budget {name}: expected 0 or more, got {value!r}")

    @property
    def limits(self) -> dict[str, float | None]:
        """The fields and their values."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return any(value is not None for value in self.limits.values())

    @property
    def money(self) -> bool:
        """Whether there is a limit in money."""
        return any(value is not None for name, value in self.limits.items() if name.endswith("cost"))


@dataclass(frozen=True)
class Chat:
    """A chat model and how it is asked; `Memory(model=Chat("openai:gpt-5-mini", timeout=30))`.

    `model` is a spec or a chat model, `options` are what the adapter of a spec takes besides (such as
    `base_url` or `api_key`). `timeout` (seconds) holds for one call, of which at most `calls` run at once.
    One that meets a busy or silent server is repeated up to `retries` times within `patience` seconds.
    `max_tokens` and `temperature` hold where an `Ask` has none of its own. `prices` are by name of model,
    in front of the published ones (`engram.models.prices`). `cache` is how many replies to keep for each
    (tenant, user, agent), given again to the very same question; they are erased with what was read for it.
    Raises `ConfigError` for values that cannot work.
    """

    model: str | ChatModel
    options: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 60
    retries: int = 4
    patience: float = 120
    calls: int = 8
    max_tokens: int = 4096
    temperature: float | None = 0.0
    budget: Budget = Budget()
    prices: Mapping[str, Price] = field(default_factory=dict)
    cache: int = 0

    def __post_init__(self) -> None:
        for name, least in (("timeout", 0.001), ("retries", 0), ("patience", 0), ("calls", 1)):
            if not getattr(self, name) >= least:
                raise ConfigError(f"Chat {name}: expected at least {least}, got {getattr(self, name)!r}")
        if self.max_tokens < 1 or self.cache < 0:
            raise ConfigError("Chat max_tokens is above 0, and cache 0 or more")
