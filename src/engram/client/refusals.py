"""What went wrong on the way to a service or in it, as the error tree has it; and whether to ask again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engram.client.call import Request
from engram.client.service import Service
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
from engram.models.http import retry_after

__all__ = ["BrokeOff", "Trouble", "refused", "unreadable"]

_TYPE = "urn:engram:problem:"
_PASSING = frozenset({502, 503, 504})
_SHOWN = 200
_KINDS: Mapping[str, type[EngramError]] = {
    "malformed": InvalidInput,
    "forbidden": Forbidden,
    "not-found": NotFound,
    "conflict": Conflict,
    "too-large": InvalidInput,
    "invalid-input": InvalidInput,
    "bad-reply": BadReply,
    "model-failed": ModelError,
    "needs-migration": NeedsMigration,
    "store-failed": StoreError,
    "misconfigured": ConfigError,
}
_PUT_OFF = ("too-many-requests", "busy")


class BrokeOff(StoreError):
    """An answer that ended before it was whole."""


@dataclass(frozen=True)
class Trouble:
    """An error, whether the same request may do better, and in how many seconds where the service says.

    `begun` says that the service may have begun with the request.
    """

    error: EngramError
    again: bool = False
    begun: bool = True
    after: float | None = None


def refused(
    service: Service, request: Request, status: int, headers: Mapping[str, str], body: bytes
) -> Trouble:
    """What an answer with an error's status stands for."""
    found = _problem(body)
    after = retry_after(headers.get("retry-after"))
    if found is None:
        return _foreign(service, status, headers, after)
    kind, told = str(found["type"]).removeprefix(_TYPE), str(found.get("detail", found["title"]))
    if kind in _PUT_OFF:
        wait = "" if after is None else f"; it may be asked again in {after:g} s"
        return Trouble(StoreError(f"{service.address}: {told}{wait}"), again=True, begun=False, after=after)
    try:
        return Trouble(_error(service, request, kind, told, found, after))
    except (TypeError, ValueError, OverflowError):  # figures that are none
        return _foreign(service, status, headers, after)


def _error(
    service: Service, request: Request, kind: str, told: str, found: Mapping[str, Any], after: float | None
) -> EngramError:
    if kind == "unauthorized":
        return Forbidden(f"{service.address} does not take this key: {told}; give key=… or set ENGRAM_KEY")
    if kind in ("no-route", "no-method"):
        return StoreError(
            f"{service.address} has no {request.method} {request.path}: it is of another version "
            "than this client; install the same version of engram on both sides"
        )
    if kind == "model-unavailable":
        return ModelUnavailable(_named(told, found), retry_after=after)
    if kind == "budget-exceeded":
        again = found.get("again")
        return BudgetExceeded(
            told,
            spent=float(found.get("spent", 0.0)),
            limit=float(found.get("limit", 0.0)),
            again=None if again is None else datetime.fromisoformat(str(again)).astimezone(UTC),
        )
    if kind == "missing-extra":
        feature = told.partition(" needs a package")[0]
        return MissingExtra(f"{service.address}: {feature}", str(found.get("extra", "all")))
    error = _KINDS.get(kind, StoreError)
    return error(told if 400 <= int(found.get("status", 500)) < 500 else _named(told, found))


def _named(told: str, found: Mapping[str, Any]) -> str:
    """The words, with the request's id where they leave the rest to the service's log."""
    return f"{told} ({found['instance']})" if "instance" in found else told


def _foreign(service: Service, status: int, headers: Mapping[str, str], after: float | None) -> Trouble:
    """An answer that is not engram's: of a proxy, or of something else that answers there."""
    where, kind = service.address, headers.get("content-type", "nothing")
    if 300 <= status < 400:
        goal = headers.get("location", "elsewhere")
        return Trouble(
            ConfigError(f"{where} sends on to {goal:.200}: use that address; a key is not sent after it")
        )
    told = f"{where} answers {status} with {kind:.80}, which is not how engram answers"
    if status in _PASSING:
        return Trouble(StoreError(f"{told}: is the service up behind its proxy?"), again=True, after=after)
    return Trouble(ConfigError(f"{told}: mend the url, its port or its path"))


def unreadable(service: Service, headers: Mapping[str, str]) -> EngramError:
    """The error for a good status without JSON."""
    kind = headers.get("content-type", "nothing")
    return ConfigError(
        f"{service.address} answers with {kind:.80}, not with JSON as engram does: "
        "mend the url, its port or path"
    )


def _problem(body: bytes) -> Mapping[str, Any] | None:
    """The problem that a body is, as RFC 9457 has it and engram writes it."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(found, dict) and str(found.get("type", "")).startswith(_TYPE) and "title" in found
    return found if is_ours else None
