"""What went wrong, as RFC 9457 has it: one table from the error tree to statuses."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engram.kernel.errors import (
    BadReply,
    BudgetExceeded,
    ConfigError,
    Conflict,
    EngramError,
    Forbidden,
    InvalidInput,
    MissingExtra,
    ModelError,
    ModelUnavailable,
    NeedsMigration,
    NotFound,
    StoreError,
)

__all__ = [
    "KINDS",
    "MEDIA_TYPE",
    "Busy",
    "Malformed",
    "NotAllowed",
    "Problem",
    "TooLarge",
    "TooMany",
    "Unauthorized",
    "Unknown",
    "problem_of",
]

MEDIA_TYPE = "application/problem+json"


class Unauthorized(EngramError):
    """No key was shown, or none that may be used."""


class Malformed(EngramError):
    """The request cannot be read: not JSON, nested too deep, a header twice."""


class TooLarge(EngramError):
    """The body is longer than this service takes."""


class Unknown(EngramError):
    """There is no such route."""


class NotAllowed(EngramError):
    """The route does not know this method."""


class TooMany(EngramError):
    """This key, or this address, asks more often than it may. `again` is in how many seconds it may."""

    def __init__(self, message: str, again: float) -> None:
        super().__init__(message)
        self.retry_after = again


class Busy(EngramError):
    """The service has as many requests under way as it takes, or is about to stop."""

    retry_after = 1.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the table: the status, what it is called, and whether the error's own words go out."""

    status: int
    name: str
    title: str
    told: bool = True


KINDS: Mapping[type[Exception], Kind] = {
    Malformed: Kind(400, "malformed", "The request cannot be read"),
    Unauthorized: Kind(401, "unauthorized", "A key is needed"),
    Forbidden: Kind(403, "forbidden", "The key or the call does not reach that"),
    NotFound: Kind(404, "not-found", "There is no such thing in this scope"),
    Unknown: Kind(404, "no-route", "There is no such route"),
    NotAllowed: Kind(405, "no-method", "The route does not know this method"),
    Conflict: Kind(409, "conflict", "The memory holds what contradicts the call"),
    TooLarge: Kind(413, "too-large", "The body is too long"),
    InvalidInput: Kind(422, "invalid-input", "An argument cannot be taken"),
    TooMany: Kind(429, "too-many-requests", "Too many requests"),
    BudgetExceeded: Kind(429, "budget-exceeded", "A budget is used up"),
    MissingExtra: Kind(501, "missing-extra", "The service was installed without this"),
    BadReply: Kind(502, "bad-reply", "The model's reply cannot be used", told=False),
    ModelError: Kind(502, "model-failed", "A model failed", told=False),
    ModelUnavailable: Kind(503, "model-unavailable", "A model cannot be reached", told=False),
    Busy: Kind(503, "busy", "The service is busy"),
    NeedsMigration: Kind(503, "needs-migration", "The store needs migration", told=False),
    StoreError: Kind(503, "store-failed", "The store failed", told=False),
    ConfigError: Kind(500, "misconfigured", "The service is misconfigured", told=False),
    EngramError: Kind(500, "failed", "The service failed", told=False),
    Exception: Kind(500, "internal", "The service failed", told=False),
}
"""Every class of the error tree; one that is not named here is what its nearest ancestor is."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a response: its status, headers, and the body's fields."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The body as it is sent; half characters of what was asked stand in it as escapes."""
        return json.dumps(self.body).encode()


def problem_of(error: Exception, request: str, details: Iterable[Mapping[str, Any]] = ()) -> Problem:
    """The problem that an error is; `request` is the request's id, `details` name places of a body."""
    kind = next(KINDS[parent] for parent in type(error).__mro__ if parent in KINDS)
    said = str(error) if kind.told else f"{kind.title}; the service's log tells more under this request's id"
    body: dict[str, Any] = {
        "type": f"urn:engram:problem:{kind.name}",
        "title": kind.title,
        "status": kind.status,
        "detail": said,
        "instance": f"urn:engram:request:{request}",
    }
    found = [dict(item) for item in details]
    if found:
        body["errors"] = found
    body |= _figures(error)
    headers = {"WWW-Authenticate": 'Bearer realm="engram"'} if kind.status == 401 else {}
    again = _again(error)
    if again is not None:
        headers["Retry-After"] = str(again)
    return Problem(kind.status, body, headers)


def _figures(error: Exception) -> dict[str, Any]:
    """What an error tells besides its words, as JSON values."""
    if isinstance(error, BudgetExceeded):
        again = None if error.again is None else error.again.isoformat()
        return {"spent": error.spent, "limit": error.limit, "again": again}
    return {"extra": error.extra} if isinstance(error, MissingExtra) else {}


def _again(error: Exception) -> int | None:
    """In how many whole seconds the same call may work, where that is known."""
    seconds: float | None = getattr(error, "retry_after", None)
    if isinstance(error, BudgetExceeded) and error.again is not None:
        seconds = (error.again - datetime.now(error.again.tzinfo)).total_seconds()
    return None if seconds is None else max(1, math.ceil(seconds))
