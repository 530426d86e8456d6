"""The error tree: one class for each thing a caller can do about it."""

from __future__ import annotations

from datetime import datetime

__all__ = [
    "BadReply",
    "BudgetExceeded",
    "ConfigError",
    "Conflict",
    "EngramError",
    "Forbidden",
    "InvalidInput",
    "MissingExtra",
    "ModelError",
    "ModelUnavailable",
    "NeedsMigration",
    "NotFound",
    "StoreError",
]


class EngramError(Exception):
    """The root of everything that engram raises on purpose."""


class InvalidInput(EngramError, ValueError):
    """An argument that cannot be taken; nothing was stored. Mend the argument and call again."""


class ConfigError(EngramError):
    """A setting that cannot work; says which one and what it may be."""


class MissingExtra(ConfigError):
    """A feature whose package is not installed; says the command that installs it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs a package that is not installed: pip install 'engram[{extra}]'")
        self.extra = extra


class StoreError(EngramError):
    """The store could not do its work; the cause is attached."""


class NotFound(StoreError):
    """No such record, change set or job in this scope."""


class Conflict(StoreError):
    """The store holds what contradicts the call: another version, other content, a later change."""


class NeedsMigration(StoreError):
    """The store was written by another version of engram, or with another embedder or analyser."""


class ModelError(EngramError):
    """A model (embedder, reranker, chat model) failed."""


class ModelUnavailable(ModelError):
    """The model could not be reached or refused for now; the same call may work later.

    `retry_after` is in how many seconds, where the other side says so.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadReply(ModelError):
    """The model answered with something that cannot be used.

    `prompt` and `reply` hold both sides, for whoever looks into it.
    """

    def __init__(self, message: str, *, prompt: str = "", reply: str = "") -> None:
        super().__init__(message)
        self.prompt = prompt
        self.reply = reply


class BudgetExceeded(EngramError):
    """A limit on tokens or money was reached; nothing that was stored is lost.

    `spent` includes what the refused call might have taken. `again` is when the limit is lifted by itself.
    """

    def __init__(self, message: str, *, spent: float, limit: float, again: datetime | None = None) -> None:
        super().__init__(message)
        self.spent = spent
        self.limit = limit
        self.again = again


class Forbidden(EngramError):
    """The call reaches beyond its scope, or names none where one is needed."""
